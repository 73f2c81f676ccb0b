// A client for tests: each exchange has a connection of its own.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "weft/context.h"
#include "weft/net/dial.h"

namespace weft::testing {

// Returns everything that the server sends after `request`, until it closes the connection.
inline std::string ask(const std::string& address, const std::string& request) {
  Result<net::Conn> conn = net::dial(background(), "tcp", address);
  if (!conn) return "no connection: " + conn.error().message();
  if (const IoResult sent = conn->write(request); sent.ec) return "not sent: " + sent.ec.message();
  std::string answer;
  std::array<char, 4096> buffer;
  for (;;) {
    const IoResult got = conn->read(buffer);
    answer.append(buffer.data(), got.n);
    if (!got.ec) continue;
    static_cast<void>(conn->close());
    if (got.ec != make_error_condition(Condition::eof)) answer += "[" + got.ec.message() + "]";
    return answer;
  }
}

inline std::string get(const std::string& address, const std::string& path) {
  return ask(address, "GET " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
}

inline std::string body_of(const std::string& response) {
  const std::size_t end = response.find("\r\n\r\n");
  return end == std::string::npos ? "no response: " + response : response.substr(end + 4);
}

// Returns true when nobody listens at the address.
inline bool refused(const std::string& address) {
  const Result<net::Conn> conn = net::dial(background(), "tcp", address);
  return !conn && conn.error() == std::errc::connection_refused;
}

}  // namespace weft::testing
