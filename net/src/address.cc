#include "weft/net/address.h"

#include <charconv>
#include <cstdint>
#include <utility>

namespace weft::net {
namespace {

Unexpected address_error(std::string_view address, std::string_view reason) {
  return Unexpected(Error::text("address " + std::string(address) + ": " + std::string(reason)));
}

struct Families {
  bool v4;
  bool v6;
};

Result<Families> families_of(std::string_view network) {
  if (network == "tcp") return Families{true, true};
  if (network == "tcp4") return Families{true, false};
  if (network == "tcp6") return Families{false, true};
  return Unexpected(Error::text("unknown network " + std::string(network)));
}

}  // namespace

Result<HostPort> split_host_port(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return address_error(address, "missing port in address");
  std::string_view host = address.substr(0, colon);
  if (!host.empty() && host.front() == '[') {
    const std::size_t end = address.find(']');
    if (end == std::string_view::npos) return address_error(address, "missing ']' in address");
    if (end + 1 == address.size()) return address_error(address, "missing port in address");
    if (end + 1 != colon)
      return address_error(address, address[end + 1] == ':' ? "too many colons in address" : "missing port in address");
    host = address.substr(1, end - 1);
  } else if (host.find(':') != std::string_view::npos) {
    return address_error(address, "too many colons in address");
  }
  const std::string_view port = address.substr(colon + 1);
  if (host.find('[') != std::string_view::npos || port.find('[') != std::string_view::npos)
    return address_error(address, "unexpected '[' in address");
  if (host.find(']') != std::string_view::npos || port.find(']') != std::string_view::npos)
    return address_error(address, "unexpected ']' in address");
  return HostPort{std::string(host), std::string(port)};
}

std::string join_host_port(std::string_view host, std::string_view port) {
  const bool brackets = host.find(':') != std::string_view::npos;
  return (brackets ? "[" : "") + std::string(host) + (brackets ? "]:" : ":") + std::string(port);
}

std::string to_string(const Endpoint& endpoint) {
  return join_host_port(endpoint.address().to_string(), std::to_string(endpoint.port()));
}

Result<std::vector<Endpoint>> resolve(std::string_view network, std::string_view address, Purpose purpose) {
  const Result<Families> families = families_of(network);
  if (!families) return Unexpected(families.error());
  const Result<HostPort> parts = split_host_port(address);
  if (!parts) return Unexpected(parts.error());

  std::uint16_t port = 0;
  const char* const end = parts->port.data() + parts->port.size();
  if (!parts->port.empty()) {
    const auto [p, ec] = std::from_chars(parts->port.data(), end, port);
    if (ec != std::errc() || p != end) return address_error(address, "invalid port");
  }

  std::vector<Endpoint> endpoints;
  const auto add = [&](const asio::ip::address& ip) {
    if (ip.is_v4() ? families->v4 : families->v6) endpoints.emplace_back(ip, port);
  };
  if (parts->host.empty() && purpose == Purpose::listen) {
    add(asio::ip::address_v6::any());
    add(asio::ip::address_v4::any());
  } else if (parts->host.empty() || parts->host == "localhost") {
    add(asio::ip::address_v4::loopback());
    add(asio::ip::address_v6::loopback());
  } else {
    asio::error_code ec;
    const asio::ip::address ip = asio::ip::make_address(parts->host, ec);
    if (ec) {
      return Unexpected(Error::text("lookup " + parts->host +
                                    ": no such host: names other than localhost are not resolved, give an IP address"));
    }
    add(ip);
  }
  if (endpoints.empty()) return address_error(address, "no suitable address for " + std::string(network));
  return endpoints;
}

}  // namespace weft::net
