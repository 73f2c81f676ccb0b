// Authority: the "host" or "host:port" of a Host field or a request target (RFC 3986 section 3.2).
//
//   host   a name (reg-name) whose every '%' begins an escape, an IPv4 address, or an IP literal in brackets: an IPv6
//          address or the form that is kept for later versions, "[v1.x]"
//   port   digits, at most 65535; there may be none after the colon
//
// Stricter than the RFC is: there is a host. Refused are user information ("user@host", RFC 9110 section 4.2.4) and the
// zone of an IPv6 address ("[fe80::1%25eth0]"), which means something on the client's machine alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weft::http::detail {

struct Authority {
  std::string_view host;  // as it stands in the text: escaped, an IP literal with its brackets
  std::optional<std::uint16_t> port;
};

// Returns nothing when `text` is no authority.
std::optional<Authority> parse_authority(std::string_view text);

// Returns what patterns with a host are compared with, as Go's ServeMux does: the host, and without its brackets if
// there is a port. So "[::1]:80" gives "::1", but "[::1]" stays as it is. `authority` is one, or empty.
std::string_view strip_port(std::string_view authority);

}  // namespace weft::http::detail
