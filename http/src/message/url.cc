#include "http/src/message/url.h"

#include <vector>

#include "http/src/message/chars.h"

namespace weft::http::detail {

std::size_t unescape_to(char* out, std::string_view text, Unescape mode) {
  char* const start = out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_escape(text, i)) {
      *out++ = static_cast<char>(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
      i += 2;
    } else if (text[i] == '+' && mode == Unescape::query) {
      *out++ = ' ';
    } else {
      *out++ = text[i];
    }
  }
  return static_cast<std::size_t>(out - start);
}

std::optional<std::string> unescape(std::string_view text, Unescape mode) {
  if (!escapes_are_whole(text)) return std::nullopt;
  std::string plain(text.size(), '\0');
  plain.resize(unescape_to(plain.data(), text, mode));
  return plain;
}

bool is_clean_path(std::string_view path) {
  if (path.empty() || path.front() != '/') return false;
  for (std::size_t slash = 0; slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
    const std::string_view rest = path.substr(slash + 1);
    if (rest.empty()) return true;
    if (rest.front() == '/') return false;
    if (rest.front() != '.') continue;
    if (rest.size() == 1 || rest[1] == '/') return false;
    if (rest[1] == '.' && (rest.size() == 2 || rest[2] == '/')) return false;
  }
  return true;
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> segments;
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    const std::string_view segment = rest.substr(0, slash);
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  std::string clean;
  for (const std::string_view segment : segments) {
    clean += '/';
    clean += segment;
  }
  if (clean.empty() || (!path.empty() && path.back() == '/')) clean += '/';
  return clean;
}

}  // namespace weft::http::detail
