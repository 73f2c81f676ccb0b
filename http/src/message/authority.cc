#include "http/src/message/authority.h"

#include <charconv>
#include <cstddef>
#include <system_error>

#include "http/src/message/chars.h"
#include "weft/net/address.h"

namespace weft::http::detail {
namespace {

// Returns the size of the name at the start of the text; 0 when there is none. An IPv4 address is a name, too.
std::size_t name_size(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size()) {
    if (has_class(text[size], kRegName)) {
      ++size;
    } else if (is_escape(text, size)) {
      size += 3;
    } else {
      break;
    }
  }
  return size;
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
std::size_t literal_size(std::string_view text) {
  const std::size_t end = text.find(']');
  if (end == std::string_view::npos) return 0;
  const std::string_view inside = text.substr(1, end - 1);
  return is_ipv6(inside) || is_future_ip(inside) ? end + 1 : 0;
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
  std::uint16_t port = 0;
  const char* const end = rest.data() + rest.size();
  const auto [p, ec] = std::from_chars(rest.data(), end, port);
  if (ec != std::errc() || p != end) return std::nullopt;
  authority.port = port;
  return authority;
}

std::string_view strip_port(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.back() == ']') return authority;
  const std::string_view host = authority.substr(0, colon);
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

}  // namespace weft::http::detail
