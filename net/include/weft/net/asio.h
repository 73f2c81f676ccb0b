// Addresses of weft as those of standalone Asio, and back, for programs that use both. Nothing else of weft needs Asio:
// a program that includes this header links Asio itself. In CMake that is the target Asio::Asio, which
// find_package(weft) makes where Asio is installed.
//
//   asio::ip::tcp::endpoint peer = weft::net::to_asio<asio::ip::tcp>(conn.remote_address()).value();
//
// Thread safety and blocking: these are functions of values; nothing here blocks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <system_error>

#include <asio/ip/address.hpp>
#include <asio/ip/basic_endpoint.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>

#include <weft/error.h>
#include <weft/net/address.h>

namespace weft::net {

inline asio::ip::address to_asio(const IpAddress& ip) {
  if (ip.is_v4()) {
    asio::ip::address_v4::bytes_type bytes;
    std::copy(ip.bytes().begin(), ip.bytes().end(), bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  asio::ip::address_v6::bytes_type bytes;
  std::copy(ip.bytes().begin(), ip.bytes().end(), bytes.begin());
  return asio::ip::address_v6(bytes, ip.scope());
}

inline IpAddress from_asio(const asio::ip::address& ip) {
  if (ip.is_v4()) {
    IpAddress::V4Bytes bytes;
    const auto from = ip.to_v4().to_bytes();
    std::copy(from.begin(), from.end(), bytes.begin());
    return IpAddress(bytes);
  }
  IpAddress::V6Bytes bytes;
  const auto from = ip.to_v6().to_bytes();
  std::copy(from.begin(), from.end(), bytes.begin());
  return IpAddress(bytes, static_cast<std::uint32_t>(ip.to_v6().scope_id()));
}

// `Protocol` is asio::ip::tcp or asio::ip::udp. An address that is not IP is the error
// std::errc::address_family_not_supported.
template <typename Protocol>
Result<asio::ip::basic_endpoint<Protocol>> to_asio(const Address& address) {
  if (!address.is_ip()) return Unexpected(Error(std::make_error_code(std::errc::address_family_not_supported)));
  return asio::ip::basic_endpoint<Protocol>(to_asio(address.ip()), address.port());
}

template <typename Protocol>
Address from_asio(const asio::ip::basic_endpoint<Protocol>& endpoint) {
  return {from_asio(endpoint.address()), endpoint.port()};
}

}  // namespace weft::net
