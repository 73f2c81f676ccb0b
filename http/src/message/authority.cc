#include "http/src/message/authority.h"

#include <cstddef>

#include "http/src/message/chars.h"
#include "weft/net/address.h"

namespace weft::http::detail {
namespace {

// Returns the size of the name at the start of the text; 0 when there is none. An IPv4 address is a name, too.
std::size_t name_size(std::string_view text) {
  const char* p = text.data();
  const char* const end = p + text.size();
  for (;;) {
    while (p != end && has_class(*p, kRegName)) ++p;
    const auto size = static_cast<std::size_t>(p - text.data());
    if (p == end || !is_escape(text, size)) return size;
    p += 3;
  }
}

bool is_ipv6(std::string_view text) {
  // IpAddress::parse() takes a zone, too.
  if (text.find('%') != std::string_view::npos) return false;
  const Result<net::IpAddress> ip = net::IpAddress::parse(text);
  return ip && ip->is_v6();
}

// "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
bool is_future_ip(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos || to_lower(text.front()) != 'v') return false;
  const std::string_view version = text.substr(1, dot - 1);
  const std::string_view address = text.substr(dot + 1);
  if (version.empty() || !all_of_class(version, kHexDigit) || address.empty()) return false;
  for (const char c : address) {
    if (c != ':' && !has_class(c, kRegName)) return false;
  }
  return true;
}

// Returns the size of the IP literal at the start of the text, which is a '['; 0 when it isn't whole or isn't one.
// Out of line, because every request's Host is parsed, and nearly all of them are names.
[[gnu::noinline]] std::size_t literal_size(std::string_view text) {
  const std::size_t end = text.find(']');
  if (end == std::string_view::npos) return 0;
  const std::string_view inside = text.substr(1, end - 1);
  return is_ipv6(inside) || is_future_ip(inside) ? end + 1 : 0;
}

// Returns nothing when the text, which is not empty, is no port.
std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint32_t port = 0;
  for (const char c : text) {
    if (!has_class(c, kDigit)) return std::nullopt;
    port = port * 10 + static_cast<std::uint32_t>(c - '0');
    if (port > 65535) return std::nullopt;
  }
  return static_cast<std::uint16_t>(port);
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  const std::size_t size = text.starts_with('[') ? literal_size(text) : name_size(text);
  if (size == 0) return std::nullopt;
  Authority authority{text.substr(0, size), std::nullopt};
  std::string_view rest = text.substr(size);
  if (rest.empty()) return authority;
  if (rest.front() != ':') return std::nullopt;
  rest.remove_prefix(1);
  if (rest.empty()) return authority;
  authority.port = parse_port(rest);
  if (!authority.port) return std::nullopt;
  return authority;
}

std::string_view strip_port(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.back() == ']') return authority;
  const std::string_view host = authority.substr(0, colon);
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

}  // namespace weft::http::detail
