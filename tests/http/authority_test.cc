// Authorities: good and bad ones, and what the mux compares of them.
#include "http/src/message/authority.h"

#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace weft::http::detail {
namespace {

// Returns "host", "host port", or "bad".
std::string parse(std::string_view text) {
  const std::optional<Authority> authority = parse_authority(text);
  if (!authority) return "bad";
  return std::string(authority->host) + (authority->port ? " " + std::to_string(*authority->port) : "");
}

TEST(Authority, OfNames) {
  const struct {
    std::string_view text;
    std::string_view want;
  } rows[] = {
      {"a", "a"},
      {"Example.COM", "Example.COM"},
      {"example.com.", "example.com."},
      {"a..b", "a..b"},
      {"-", "-"},
      {"under_score", "under_score"},
      {"a%41%e2%82%AC", "a%41%e2%82%AC"},
      {"!$&'()*+,;=~", "!$&'()*+,;=~"},
      {"127.0.0.1", "127.0.0.1"},
      {"999.999.999.999", "999.999.999.999"},  // no IPv4 address, and so a name
      {"localhost:", "localhost"},
      {"localhost:0", "localhost 0"},
      {"localhost:80", "localhost 80"},
      {"localhost:00080", "localhost 80"},
      {"localhost:65535", "localhost 65535"},
      {"localhost:000000000000000000000000080", "localhost 80"},
      {"127.0.0.1:8080", "127.0.0.1 8080"},
      {"a%3A80:81", "a%3A80 81"},
  };
  for (const auto& row : rows) EXPECT_EQ(parse(row.text), row.want) << row.text;
}

TEST(Authority, OfAddressesInBrackets) {
  for (const std::string text : {
           "[::]",
           "[::1]",
           "[1::]",
           "[1:2:3:4:5:6:7:8]",
           "[1:2:3:4:5:6:7::]",
           "[::2:3:4:5:6:7:8]",
           "[1:2::7:8]",
           "[2001:DB8::AbCd]",
           "[0001:0002:0003:0004:0005:0006:0007:0008]",
           "[::1.2.3.4]",
           "[::ffff:255.255.255.255]",
           "[1:2:3:4:5:6:0.0.0.0]",
           "[v1.a]",
           "[V1F.fe80::a+en1]",
           "[v0.!$&'()*+,;=:~]",
       }) {
    EXPECT_EQ(parse(text), text);
    EXPECT_EQ(parse(text + ":"), text);
    EXPECT_EQ(parse(text + ":443"), text + " 443");
    for (const std::string bad : {"x", ":x", ":-1", ":65536", ":80x", ":80:80", "]", "[", "@", " "}) {
      EXPECT_EQ(parse(text + bad), "bad") << text + bad;
    }
    // Each piece of it is cut.
    for (std::size_t i = 1; i < text.size(); ++i) EXPECT_EQ(parse(text.substr(0, i)), "bad") << text.substr(0, i);
  }
}

TEST(Authority, IsNothingElse) {
  for (const std::string_view text : {
           // no host
           "",
           ":",
           ":80",
           "::",
           ":::",
           // ports
           "a:b",
           "localhost:abc",
           "localhost:-1",
           "localhost:+1",
           "localhost: 80",
           "localhost:80 ",
           "localhost:0x50",
           "localhost:65536",
           "localhost:99999999999999999999",
           "localhost:80:80",
           "localhost:80:",
           "a:b:c",
           "a::",
           "a::80",
           "::1",
           "1:2:3:4:5:6:7:8",
           "localhost:%38%30",
           // characters
           "a b",
           "a\tb",
           " a",
           "a ",
           "a/b",
           "a?b",
           "a#b",
           "u@a",
           "u:p@a",
           "@a",
           "a@",
           "a\\b",
           "a\"b",
           "a<b>",
           "bad{host}",
           "a|b",
           "a^b",
           "a`b",
           "\xc3\xa9",
           "a\x7f",
           "a\x01",
           // escapes
           "%",
           "a%",
           "a%4",
           "a%zz",
           "a%4g",
           "a%g4",
           "%%41",
           "a%4:80",
           // brackets
           "[",
           "]",
           "[]",
           "[]:80",
           "[::1",
           "::1]",
           "[zz]",
           "a[b",
           "a[b]",
           "a]b",
           "[::1]x",
           "x[::1]",
           "[[::1]]",
           "[::1]]",
           "[1.2.3.4]",
           "[localhost]",
           "[:]",
           "[:::]",
           "[1]",
           "[1:2]",
           "[1:2:3:4:5:6:7]",
           "[1:2:3:4:5:6:7:8:9]",
           "[1:2:3:4::5:6:7:8]",
           "[1::2::3]",
           "[12345::]",
           "[::00001]",
           "[1:2:3:4:5:6:7:]",
           "[:1:2:3:4:5:6:7:8]",
           "[1:]",
           "[:1]",
           "[::g]",
           "[ ::1]",
           "[::1 ]",
           "[::1.2.3]",
           "[::1.2.3.4.5]",
           "[::256.1.1.1]",
           "[::01.2.3.4]",
           "[::1.2.3.4:5]",
           "[1:2:3:4:5:6:7:1.2.3.4]",
           "[::%31]",
           "[::1/64]",
           // zones
           "[fe80::1%eth0]",
           "[fe80::1%25eth0]",
           "[fe80::1%1]",
           "[fe80::1%]",
           "[::1%lo]",
           // the form of later versions
           "[v]",
           "[v1]",
           "[v1.]",
           "[v.a]",
           "[vg.a]",
           "[1.a]",
           "[v1.%41]",
           "[v1.a/b]",
           "[v1.a[b]",
       }) {
    EXPECT_EQ(parse(text), "bad") << text;
  }
  EXPECT_EQ(parse(std::string_view("a\0b", 3)), "bad");
  EXPECT_EQ(parse(std::string_view("[::1\0]", 6)), "bad");
  EXPECT_EQ(parse("[" + std::string(100'000, ':') + "]"), "bad");
}

// As Go's ServeMux has it: what has no port stays as it is.
TEST(Authority, WithoutItsPort) {
  const struct {
    std::string_view text;
    std::string_view want;
  } rows[] = {
      {"", ""},
      {"a", "a"},
      {"a:", "a"},
      {"a:80", "a"},
      {"a.:80", "a."},
      {"A.B:80", "A.B"},
      {"[::1]", "[::1]"},
      {"[::1]:", "::1"},
      {"[::1]:80", "::1"},
      {"[v1.a:b]", "[v1.a:b]"},
      {"[v1.a:b]:1", "v1.a:b"},
  };
  for (const auto& row : rows) EXPECT_EQ(strip_port(row.text), row.want) << row.text;
}

}  // namespace
}  // namespace weft::http::detail
