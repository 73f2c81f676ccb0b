#include "weft/net/asio.h"

#include <gtest/gtest.h>

#include "weft/net/address.h"

namespace {

using weft::net::Address;
using weft::net::from_asio;
using weft::net::IpAddress;
using weft::net::to_asio;

TEST(Asio, IpAddressesGoBothWays) {
  for (const char* const text : {"127.0.0.1", "0.0.0.0", "::", "::1", "2001:db8::1", "::ffff:1.2.3.4", "ff05::1%7"}) {
    const IpAddress ip = IpAddress::parse(text).value();
    const asio::ip::address theirs = to_asio(ip);
    EXPECT_EQ(theirs.to_string(), text);
    EXPECT_EQ(theirs, asio::ip::make_address(text));
    EXPECT_EQ(from_asio(theirs), ip);
  }
}

TEST(Asio, EndpointsGoBothWays) {
  for (const char* const text : {"127.0.0.1:80", "[::1]:65535", "[ff05::1%7]:0"}) {
    const Address address = Address::parse(text).value();
    const asio::ip::tcp::endpoint tcp = to_asio<asio::ip::tcp>(address).value();
    EXPECT_EQ(tcp.port(), address.port());
    EXPECT_EQ(tcp.address(), to_asio(address.ip()));
    EXPECT_EQ(from_asio(tcp), address);
    const asio::ip::udp::endpoint udp = to_asio<asio::ip::udp>(address).value();
    EXPECT_EQ(udp.port(), address.port());
    EXPECT_EQ(from_asio(udp), address);
  }
}

TEST(Asio, OtherAddressesHaveNoEndpoint) {
  for (const Address& address : {Address(), Address::unix_path("/run/x.sock"), Address::unix_abstract("x")}) {
    const auto endpoint = to_asio<asio::ip::tcp>(address);
    ASSERT_FALSE(endpoint.has_value());
    EXPECT_EQ(endpoint.error(), std::errc::address_family_not_supported);
  }
}

}  // namespace
