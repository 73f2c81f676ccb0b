#include "net/src/resolve.h"

#include <cstdint>
#include <string>

#include "net/src/address_error.h"

namespace weft::net {
namespace {

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

Result<std::vector<Address>> resolve(std::string_view network, std::string_view address, Purpose purpose) {
  const Result<Families> families = families_of(network);
  if (!families) return Unexpected(families.error());
  const Result<HostPort> parts = split_host_port(address);
  if (!parts) return Unexpected(parts.error());

  std::uint16_t port = 0;
  if (!parts->port.empty() && !parse_port(parts->port, port)) return address_error(address, "invalid port");

  std::vector<Address> addresses;
  const auto add = [&](const IpAddress& ip) {
    if (ip.is_v4() ? families->v4 : families->v6) addresses.emplace_back(ip, port);
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
  if (addresses.empty()) return address_error(address, "no suitable address for " + std::string(network));
  return addresses;
}

}  // namespace weft::net
