#include "net/src/resolve.h"

#include <cstdint>
#include <string>

#include "net/src/address_error.h"

namespace weft::net {
namespace {

struct Network {
  std::string_view name;
  bool v4;
  bool v6;
};

constexpr Network kNetworks[] = {{"tcp", true, true}, {"tcp4", true, false}, {"tcp6", false, true}};

const Network* find_network(std::string_view name) noexcept {
  for (const Network& network : kNetworks) {
    if (network.name == name) return &network;
  }
  return nullptr;
}

Error unknown_network(std::string_view network) { return Error::text("unknown network " + std::string(network)); }

bool suits(const Network& network, const IpAddress& ip) noexcept { return ip.is_v4() ? network.v4 : network.v6; }

Unexpected no_suitable_address(std::string_view address, std::string_view network) {
  return address_error(address, "no suitable address for " + std::string(network));
}

}  // namespace

std::string_view network_name(std::string_view network) noexcept {
  const Network* const known = find_network(network);
  return known != nullptr ? known->name : std::string_view();
}

Result<std::vector<Address>> resolve(std::string_view network, std::string_view address, Purpose purpose) {
  const Network* const known = find_network(network);
  if (known == nullptr) return Unexpected(unknown_network(network));
  const Result<HostPort> parts = split_host_port(address);
  if (!parts) return Unexpected(parts.error());

  std::uint16_t port = 0;
  if (!parts->port.empty() && !parse_port(parts->port, port)) return address_error(address, "invalid port");

  std::vector<Address> addresses;
  const auto add = [&](const IpAddress& ip) {
    if (suits(*known, ip)) addresses.emplace_back(ip, port);
  };
  if (parts->host.empty() && purpose == Purpose::listen) {
    add(IpAddress::any_v6());
    add(IpAddress::any_v4());
  } else if (parts->host.empty() || parts->host == "localhost") {
    add(IpAddress::loopback_v4());
    add(IpAddress::loopback_v6());
  } else {
    const Result<IpAddress> ip = IpAddress::parse(parts->host);
    if (!ip) {
      return Unexpected(Error::text("lookup " + parts->host +
                                    ": no such host: names other than localhost are not resolved, give an IP address"));
    }
    add(*ip);
  }
  if (addresses.empty()) return no_suitable_address(address, network);
  return addresses;
}

Error unsuitable(std::string_view network, const Address& address) {
  const Network* const known = find_network(network);
  if (known == nullptr) return unknown_network(network);
  if (address.is_none()) return Error::text("missing address");
  if (!address.is_ip()) return address_error(to_string(address), "not an IP address").value();
  if (!suits(*known, address.ip())) return no_suitable_address(to_string(address), network).value();
  return {};
}

}  // namespace weft::net
