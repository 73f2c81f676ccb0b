#include "weft/net/address.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "net/src/sockaddr.h"

namespace {

using weft::net::Address;
using weft::net::IpAddress;
using weft::net::SocketAddress;
using weft::net::split_host_port;
using weft::net::to_string;

TEST(Address, SplitsHostAndPort) {
  const struct {
    const char* address;
    const char* host;
    const char* port;
  } good[] = {
      {"127.0.0.1:80", "127.0.0.1", "80"},
      {"[::1]:80", "::1", "80"},
      {":80", "", "80"},
      {"localhost:", "localhost", ""},
      {"[fe80::1%lo0]:1", "fe80::1%lo0", "1"},
      {"a.b.c:http", "a.b.c", "http"},
      {"[]:1", "", "1"},
  };
  for (const auto& row : good) {
    const auto parts = split_host_port(row.address);
    ASSERT_TRUE(parts.has_value()) << row.address;
    EXPECT_EQ(parts->host, row.host);
    EXPECT_EQ(parts->port, row.port);
  }
}

TEST(Address, RefusesWithGoReasons) {
  const struct {
    const char* address;
    const char* reason;
  } bad[] = {
      {"", "missing port in address"},          {"host", "missing port in address"},
      {"[::1]", "missing port in address"},     {"::1", "too many colons in address"},
      {"::1:80", "too many colons in address"}, {"[::1", "missing ']' in address"},
      {"[::1]x:80", "missing port in address"}, {"a[b:80", "unexpected '[' in address"},
      {"a]b:80", "unexpected ']' in address"},  {"[a]:b:80", "too many colons in address"},
  };
  for (const auto& row : bad) {
    const auto parts = split_host_port(row.address);
    ASSERT_FALSE(parts.has_value()) << row.address;
    const std::string text = parts.error().message();
    if (std::string(row.address) == "host" || std::string(row.address).empty() || row.address[0] != '[') {
      EXPECT_EQ(text, "address " + std::string(row.address) + ": " + row.reason);
    } else {
      EXPECT_NE(text.find(row.address), std::string::npos);
    }
  }
}

TEST(Address, JoinsAndPrints) {
  EXPECT_EQ(weft::net::join_host_port("::1", "80"), "[::1]:80");
  EXPECT_EQ(weft::net::join_host_port("127.0.0.1", "80"), "127.0.0.1:80");
}

TEST(IpAddress, ReadsAndPrints) {
  const struct {
    const char* text;
    const char* printed;
  } good[] = {
      {"127.0.0.1", "127.0.0.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"0001::", "1::"},
      {"0:0:1:0:0:1:0:0", "::1:0:0:1:0:0"},
      {"1:0:0:2:0:0:0:0", "1:0:0:2::"},
      {"1:0:0:2:0:0:3:4", "1::2:0:0:3:4"},
      {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
      {"1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"},
      {"0:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
      {"ABCD:EF01:2345:6789:0010:0200:3000:000f", "abcd:ef01:2345:6789:10:200:3000:f"},
      {"::1:2", "::1:2"},
      {"::1.2.3.4", "::102:304"},
      {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
      {"::fffe:1.2.3.4", "::fffe:102:304"},
      {"::ffff:0:1", "::ffff:0.0.0.1"},
      {"::ffff:255.255.255.255%3", "::ffff:255.255.255.255%3"},
      {"::ffff:10.1.2.3", "::ffff:10.1.2.3"},
      {"fe80::1%2", "fe80::1%2"},
      {"fe80::1%4294967295", "fe80::1%4294967295"},
      {"fe80::1%lo", "fe80::1%1"},
  };
  for (const auto& row : good) {
    const auto ip = IpAddress::parse(row.text);
    ASSERT_TRUE(ip.has_value()) << row.text;
    EXPECT_EQ(to_string(*ip), row.printed);
    EXPECT_EQ(IpAddress::parse(row.printed).value(), *ip);
  }
}

TEST(IpAddress, RefusesEverythingElse) {
  const char* const bad[] = {
      "",           "127.1",          "127.0.0.01", "127.0.0.256", "1.2.3.4.5", " 1.2.3.4", "1.2.3.4 ",
      "1.2.3.4%1",  "[::1]",          "::1::",      "1:2:3:4:5",   "12345::",   "::1%",     "::1%no-such-one",
      "::1%-1",     "::1%4294967296", "%1",         "1.2.3.4:",    "localhost", ":",        "::ffff:1.2.3.",
      "0x7f.0.0.1",
  };
  for (const char* const text : bad) {
    const auto ip = IpAddress::parse(text);
    ASSERT_FALSE(ip.has_value()) << text;
    EXPECT_EQ(ip.error().message(), "address " + std::string(text) + ": not an IP address");
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("::1\0", 4)).has_value());
  EXPECT_FALSE(IpAddress::parse("::1%" + std::string(100, '1')).has_value());
}

TEST(IpAddress, TellsItsKind) {
  const auto ip = [](const char* text) { return IpAddress::parse(text).value(); };
  EXPECT_EQ(IpAddress(), ip("0.0.0.0"));
  EXPECT_EQ(IpAddress::any_v4(), ip("0.0.0.0"));
  EXPECT_EQ(IpAddress::any_v6(), ip("::"));
  EXPECT_EQ(IpAddress::loopback_v4(), ip("127.0.0.1"));
  EXPECT_EQ(IpAddress::loopback_v6(), ip("::1"));
  EXPECT_NE(ip("0.0.0.0"), ip("::"));
  EXPECT_NE(ip("fe80::1"), ip("fe80::1%2"));
  EXPECT_TRUE(ip("10.0.0.1").is_v4());
  EXPECT_TRUE(ip("::10.0.0.1").is_v6());
  EXPECT_EQ(ip("10.0.0.1").bytes().size(), 4u);
  EXPECT_EQ(ip("::1").bytes().size(), 16u);
  EXPECT_EQ(ip("fe80::1%2").scope(), 2u);
  for (const char* const text : {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE(ip(text).is_loopback()) << text;
  for (const char* const text : {"126.0.0.1", "128.0.0.1", "::", "::2", "::ffff:1.0.0.1"})
    EXPECT_FALSE(ip(text).is_loopback()) << text;
  EXPECT_TRUE(ip("::").is_unspecified());
  EXPECT_TRUE(ip("0.0.0.0").is_unspecified());
  EXPECT_TRUE(ip("::ffff:0.0.0.0").is_unspecified());
  for (const char* const text : {"::1", "0.0.0.1", "255.255.0.0", "::ffff:0.0.0.1", "::fffe:0:0"})
    EXPECT_FALSE(ip(text).is_unspecified()) << text;
  EXPECT_TRUE(ip("::ffff:1.2.3.4").is_v4_mapped());
  EXPECT_FALSE(ip("::1.2.3.4").is_v4_mapped());
  EXPECT_FALSE(ip("1.2.3.4").is_v4_mapped());
  EXPECT_EQ(ip("::ffff:1.2.3.4").unmapped(), ip("1.2.3.4"));
  EXPECT_EQ(ip("fe80::1%2").unmapped(), ip("fe80::1%2"));
}

TEST(Address, ReadsAndPrints) {
  const struct {
    const char* text;
    Address address;
  } good[] = {
      {"127.0.0.1:80", Address(IpAddress::loopback_v4(), 80)},
      {"[::1]:65535", Address(IpAddress::loopback_v6(), 65535)},
      {"[fe80::1%2]:80", Address(IpAddress::parse("fe80::1%2").value(), 80)},
      {"0.0.0.0:0", Address(IpAddress(), 0)},
      {"/run/x.sock", Address::unix_path("/run/x.sock")},
      {"./x.sock", Address::unix_path("./x.sock")},
      {"@abstract", Address::unix_abstract("abstract")},
      {"@a/b", Address::unix_abstract("a/b")},
      {"@", Address::unix_abstract("")},
  };
  for (const auto& row : good) {
    EXPECT_EQ(to_string(row.address), row.text);
    const auto address = Address::parse(row.text);
    ASSERT_TRUE(address.has_value()) << row.text;
    EXPECT_EQ(*address, row.address);
  }
  EXPECT_EQ(to_string(Address()), "");
}

TEST(Address, RefusesWhatIsNoAddress) {
  const struct {
    const char* text;
    const char* reason;
  } bad[] = {
      {"", "missing port in address"},
      {"127.0.0.1", "missing port in address"},
      {"::1:80", "too many colons in address"},
      {"localhost:80", "not an IP address"},
      {":80", "not an IP address"},
      {"127.0.0.1:", "invalid port"},
      {"127.0.0.1:65536", "invalid port"},
      {"127.0.0.1:http", "invalid port"},
      {"127.0.0.1:-1", "invalid port"},
      {"127.0.0.1: 80", "invalid port"},
  };
  for (const auto& row : bad) {
    const auto address = Address::parse(row.text);
    ASSERT_FALSE(address.has_value()) << row.text;
    EXPECT_EQ(address.error().message(), "address " + std::string(row.text) + ": " + row.reason);
  }
}

TEST(Address, HasTheAccessorsOfItsKind) {
  const Address none;
  EXPECT_TRUE(none.is_none());
  EXPECT_EQ(none.kind(), Address::Kind::none);
  EXPECT_FALSE(none.is_ip());
  EXPECT_FALSE(none.is_unix());
  EXPECT_EQ(none.ip(), IpAddress());
  EXPECT_EQ(none.port(), 0);
  EXPECT_EQ(none.path(), "");

  const Address ip(IpAddress::loopback_v4(), 80);
  EXPECT_TRUE(ip.is_ip());
  EXPECT_FALSE(ip.is_unix());
  EXPECT_EQ(ip.ip(), IpAddress::loopback_v4());
  EXPECT_EQ(ip.port(), 80);
  EXPECT_EQ(ip.path(), "");

  const Address path = Address::unix_path("/run/x.sock");
  EXPECT_EQ(path.kind(), Address::Kind::path);
  EXPECT_TRUE(path.is_unix());
  EXPECT_EQ(path.path(), "/run/x.sock");
  EXPECT_EQ(path.abstract_name(), "");
  EXPECT_EQ(path.port(), 0);

  const Address abstract = Address::unix_abstract("x");
  EXPECT_EQ(abstract.kind(), Address::Kind::abstract);
  EXPECT_TRUE(abstract.is_unix());
  EXPECT_EQ(abstract.path(), "");
  EXPECT_EQ(abstract.abstract_name(), "x");

  Address moved = path;
  const Address to = std::move(moved);
  EXPECT_EQ(to, path);
  moved = ip;
  EXPECT_EQ(moved, ip);
}

// Each address differs from the others in one part. They stand in their order.
TEST(Address, IsOrderedAndHashed) {
  const auto at = [](const char* text) { return Address::parse(text).value(); };
  const std::vector<Address> in_order = {
      Address(),
      at("1.2.3.4:80"),
      at("1.2.3.4:81"),
      at("1.2.3.5:0"),
      at("[::1]:80"),
      at("[fe80::1]:80"),
      at("[fe80::1%2]:80"),
      at("/a"),
      at("/ab"),
      at("/b"),
      at("@"),
      at("@/a"),
      at("@a"),
  };
  std::unordered_set<Address> set(in_order.begin(), in_order.end());
  EXPECT_EQ(set.size(), in_order.size());
  std::unordered_set<std::size_t> hashes;
  for (std::size_t i = 0; i < in_order.size(); ++i) {
    for (std::size_t k = 0; k < in_order.size(); ++k) {
      EXPECT_EQ(in_order[i] <=> in_order[k], i <=> k) << i << " " << k;
      EXPECT_EQ(in_order[i] == in_order[k], i == k);
    }
    hashes.insert(std::hash<Address>()(in_order[i]));
  }
  EXPECT_EQ(hashes.size(), in_order.size());
  EXPECT_EQ(std::hash<Address>()(at("/a")), std::hash<Address>()(Address::unix_path("/a")));
  EXPECT_NE(std::hash<IpAddress>()(at("1.2.3.4:0").ip()), std::hash<IpAddress>()(at("1.2.3.5:0").ip()));
  EXPECT_LE(sizeof(Address), 48u);
}

// Socket addresses as system calls take them, and addresses made of what system calls return.
TEST(Address, GoesThroughTheSystemsForm) {
  const std::string longest(107, 'x');
  for (const Address& address : {
           Address::parse("127.0.0.1:80").value(),
           Address::parse("[fe80::1%2]:80").value(),
           Address::unix_path("/run/x.sock"),
           Address::unix_path(longest),
           Address::unix_abstract("x"),
           Address::unix_abstract(longest),
           Address::unix_abstract(std::string("a\0b\0", 4)),
           Address::unix_abstract(""),
       }) {
    const SocketAddress system(address);
    EXPECT_FALSE(system.empty());
    EXPECT_EQ(system.address(), address) << to_string(address);
    SocketAddress copied;
    std::memcpy(copied.data(), system.data(), system.size());
    copied.resize(system.size());
    EXPECT_EQ(copied.address(), address) << to_string(address);
  }
  EXPECT_EQ(SocketAddress(Address::parse("127.0.0.1:80").value()).family(), AF_INET);
  EXPECT_EQ(SocketAddress(Address::parse("[::1]:80").value()).family(), AF_INET6);
  EXPECT_EQ(SocketAddress(Address::unix_path("/a")).family(), AF_UNIX);
  EXPECT_EQ(SocketAddress(Address::parse("[::ffff:1.2.3.4]:80").value()).address(),
            Address::parse("1.2.3.4:80").value());

  for (const Address& address : {Address(), Address::unix_path(""), Address::unix_path(longest + "x"),
                                 Address::unix_path(std::string("a\0b", 3)), Address::unix_abstract(longest + "x")}) {
    EXPECT_TRUE(SocketAddress(address).empty()) << to_string(address);
    EXPECT_EQ(SocketAddress(address).family(), AF_UNSPEC);
  }
  SocketAddress unnamed;
  unnamed.data()->sa_family = AF_UNIX;
  unnamed.resize(sizeof(sa_family_t));
  EXPECT_EQ(unnamed.address(), Address());
  EXPECT_EQ(SocketAddress().address(), Address());
}

}  // namespace
