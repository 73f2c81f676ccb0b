#include "weft/net/address.h"

#include <gtest/gtest.h>

#include <string>

namespace {

using weft::net::split_host_port;

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
  EXPECT_EQ(weft::net::to_string({asio::ip::make_address("::1"), 8080}), "[::1]:8080");
}

}  // namespace
