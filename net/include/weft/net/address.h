// Addresses as text: "host:port", with brackets around IPv6 hosts (Go's SplitHostPort and JoinHostPort). Nothing here blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <weft/error.h>
#include <weft/net/conn.h>

namespace weft::net {

struct HostPort {
  std::string host;
  std::string port;
};

// "[::1]:80" -> {"::1", "80"}. Errors read "address foo: missing port in address", with Go's reasons.
Result<HostPort> split_host_port(std::string_view address);

// {"::1", "80"} -> "[::1]:80".
std::string join_host_port(std::string_view host, std::string_view port);

// "127.0.0.1:80", "[::1]:80".
std::string to_string(const Endpoint& endpoint);

// The endpoints that `address` stands for on `network` ("tcp", "tcp4", "tcp6"), to be tried in order. The host is a literal address,
// "localhost", or empty: every address of this machine, for listening, or this machine itself, for dialing. Other names are
// refused: there is no resolver yet. An empty port is 0.
enum class Purpose { listen, dial };
Result<std::vector<Endpoint>> resolve(std::string_view network, std::string_view address, Purpose purpose);

}  // namespace weft::net
