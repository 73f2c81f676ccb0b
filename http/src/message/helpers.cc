#include "weft/http/helpers.h"

#include <algorithm>
#include <string>

#include "http/src/message/chars.h"
#include "http/src/message/url.h"
#include "weft/http/status.h"

namespace weft::http {
namespace {

// A URL with "scheme:" or "//authority" at its front isn't resolved against the request.
bool is_absolute(std::string_view url) {
  if (url.starts_with("//")) return true;
  const std::size_t colon = url.find_first_of(":/?#");
  return colon != std::string_view::npos && colon > 0 && url[colon] == ':';
}

std::string resolve(std::string_view base, std::string_view url) {
  std::string path;
  if (url.empty() || url.front() != '/') path = base.substr(0, base.rfind('/') + 1);
  const std::size_t query = std::min(url.find('?'), url.size());
  path += url.substr(0, query);
  return detail::clean_path(path) + std::string(url.substr(query));
}

std::string escape_non_ascii(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      escaped += c;
    } else {
      escaped += '%';
      escaped += kDigits[byte >> 4];
      escaped += kDigits[byte & 15];
    }
  }
  return escaped;
}

}  // namespace

std::string html_escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&#34;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

void error(ResponseWriter& w, std::string_view message, int code) {
  Header& header = w.header();
  header.erase("Content-Length");
  header.erase("Content-Encoding");
  header.set("Content-Type", "text/plain; charset=utf-8");
  header.set("X-Content-Type-Options", "nosniff");
  w.write_header(code);
  std::string line(message);
  line += '\n';
  static_cast<void>(w.write(line));
}

void not_found(ResponseWriter& w, Request&) { error(w, "404 page not found", kStatusNotFound); }

void redirect(ResponseWriter& w, Request& r, std::string_view url, int code) {
  const std::string target = is_absolute(url) ? std::string(url) : resolve(r.raw_path(), url);
  Header& header = w.header();
  const bool typed = header.has("Content-Type");
  const bool wants_body = r.method() == "GET";
  header.set("Location", escape_non_ascii(target));
  if (!typed && (wants_body || r.method() == "HEAD")) header.set("Content-Type", "text/html; charset=utf-8");
  w.write_header(code);
  if (!typed && wants_body) {
    static_cast<void>(
        w.write("<a href=\"" + html_escape(target) + "\">" + std::string(status_text(code)) + "</a>.\n\n"));
  }
}

}  // namespace weft::http
