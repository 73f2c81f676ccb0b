// A dial for which the kernel chooses a local port that is of no use tries again, at most twice. The kernel does so
// seldom, so the test program defines connect() itself: it binds the socket to such a port, or says that the port is in
// use, as often as the test wants.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>

#include "net/src/sockaddr.h"
#include "support/matrix.h"
#include "weft/context.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"

namespace {

enum class Port { chosen, that_is_dialed, in_use };

std::atomic<Port> bad_port{Port::chosen};
std::atomic<int> bad_ports{0};  // how many of the next connects get such a port
std::atomic<int> connects{0};

}  // namespace

extern "C" int connect(int fd, const sockaddr* address, socklen_t length) {
  connects.fetch_add(1, std::memory_order_relaxed);
  if (bad_ports.load(std::memory_order_relaxed) > 0) {
    bad_ports.fetch_sub(1, std::memory_order_relaxed);
    if (bad_port.load(std::memory_order_relaxed) == Port::in_use) {
      errno = EADDRNOTAVAIL;
      return -1;
    }
    const int on = 1;
    const linger at_once{1, 0};  // so that the port is free again after the close
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    EXPECT_EQ(::bind(fd, address, length), 0);
  }
  return static_cast<int>(::syscall(SYS_connect, fd, address, length));
}

namespace {

using weft::net::Address;
using weft::net::Conn;

// Dials while the next `n` connects get a bad port.
weft::Result<Conn> dial(const std::string& address, Port port, int n) {
  bad_port.store(port, std::memory_order_relaxed);
  bad_ports.store(n, std::memory_order_relaxed);
  connects.store(0, std::memory_order_relaxed);
  weft::Result<Conn> conn = weft::net::dial(weft::background(), "tcp", address);
  bad_ports.store(0, std::memory_order_relaxed);
  return conn;
}

// Returns an address on `host` that nobody listens on; empty when this machine has no such host.
std::string closed_address(const std::string& host) {
  auto listener = weft::net::listen("tcp", host + ":0");
  if (!listener) return {};
  const std::string port = std::to_string(listener->address().port());
  EXPECT_FALSE(listener->close());
  return host + ":" + port;
}

constexpr const char* kHosts[] = {"127.0.0.1", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"};

WEFT_MATRIX_TEST(LocalPort, ADialThatReachesItselfIsTriedAgain) {
  for (const char* const host : kHosts) {
    const std::string address = closed_address(host);
    if (address.empty()) continue;
    for (int n = 0; n <= 2; ++n) {
      const auto conn = dial(address, Port::that_is_dialed, n);
      ASSERT_FALSE(conn.has_value()) << address << " " << n;
      EXPECT_EQ(conn.error(), std::errc::connection_refused) << conn.error().message();
      EXPECT_EQ(connects.load(std::memory_order_relaxed), n + 1);
    }
  }
}

// As Go does, a dial takes what it gets the third time.
WEFT_MATRIX_TEST(LocalPort, ADialRelentsAfterThreeTimes) {
  for (const char* const host : kHosts) {
    const std::string address = closed_address(host);
    if (address.empty()) continue;
    const auto conn = dial(address, Port::that_is_dialed, 3);
    ASSERT_TRUE(conn.has_value()) << conn.error().message();
    EXPECT_EQ(connects.load(std::memory_order_relaxed), 3);
    EXPECT_EQ(conn->local_address(), conn->remote_address());
    std::string text(5, '\0');
    EXPECT_EQ(conn->write("hello").n, 5u);
    EXPECT_EQ(conn->read_full(text).n, 5u);
    EXPECT_EQ(text, "hello");
  }
}

WEFT_MATRIX_TEST(LocalPort, APortInUseIsTriedAgain) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const std::string address = to_string(listener.address());
  for (int n = 0; n <= 3; ++n) {
    const auto conn = dial(address, Port::in_use, n);
    EXPECT_EQ(connects.load(std::memory_order_relaxed), std::min(n + 1, 3));
    if (n < 3) {
      EXPECT_TRUE(conn.has_value()) << conn.error().message();
    } else {
      ASSERT_FALSE(conn.has_value());
      EXPECT_EQ(conn.error().message(), "dial tcp " + address + ": connect: cannot assign requested address");
    }
  }
}

}  // namespace
