// An accepted connection costs no system call for what nobody asks: the test program defines the functions itself,
// counts the calls, and passes them on to the kernel.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>

#include "net/src/sockaddr.h"
#include "support/matrix.h"
#include "weft/context.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace {

std::atomic<int> getsockname_calls{0};
std::atomic<int> getpeername_calls{0};
std::atomic<int> getsockopt_calls{0};
std::atomic<int> setsockopt_calls{0};

}  // namespace

extern "C" {

int getsockname(int fd, sockaddr* address, socklen_t* length) noexcept {
  getsockname_calls.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(::syscall(SYS_getsockname, fd, address, length));
}

int getpeername(int fd, sockaddr* address, socklen_t* length) noexcept {
  getpeername_calls.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(::syscall(SYS_getpeername, fd, address, length));
}

int getsockopt(int fd, int level, int option, void* value, socklen_t* length) noexcept {
  getsockopt_calls.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(::syscall(SYS_getsockopt, fd, level, option, value, length));
}

int setsockopt(int fd, int level, int option, const void* value, socklen_t length) noexcept {
  setsockopt_calls.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(::syscall(SYS_setsockopt, fd, level, option, value, length));
}

}  // extern "C"

namespace {

using weft::net::Conn;

std::array<int, 4> calls() {
  return {getsockname_calls.load(std::memory_order_relaxed), getpeername_calls.load(std::memory_order_relaxed),
          getsockopt_calls.load(std::memory_order_relaxed), setsockopt_calls.load(std::memory_order_relaxed)};
}

// A plain client, whose own calls are none of those that are counted.
class Client {
 public:
  explicit Client(const weft::net::Address& server) {
    const bool v6 = server.ip().is_v6() && !server.ip().is_unspecified();
    const weft::net::IpAddress ip = v6 ? server.ip() : weft::net::IpAddress::loopback_v4();
    const weft::net::SocketAddress to(weft::net::Address(ip, server.port()));
    fd_ = ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(fd_, to.data(), to.size()), 0);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { ::close(fd_); }

  void send(std::string_view text) const {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  std::string receive(std::size_t size) const {
    std::string text(size, '\0');
    EXPECT_EQ(::recv(fd_, text.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return text;
  }
  void reset_at_close() const {
    const linger at_once{1, 0};
    EXPECT_EQ(::syscall(SYS_setsockopt, fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
  }
  std::string address() const { return to_string(name()); }
  std::uint16_t port() const { return name().port(); }

 private:
  weft::net::Address name() const {
    weft::net::SocketAddress address;
    socklen_t length = weft::net::SocketAddress::capacity();
    EXPECT_EQ(::syscall(SYS_getsockname, fd_, address.data(), &length), 0);
    address.resize(length);
    return address.address();
  }

  int fd_ = -1;
};

WEFT_MATRIX_TEST(SocketCalls, AcceptedConnectionIsAskedNothing) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  // The first accept arms what a backend accepts with. The counts are taken after it.
  for (int i = 0; i < 5; ++i) {
    const Client client(listener.address());
    const auto before = calls();
    Conn server = listener.accept().value();
    client.send("hello");
    std::string text(5, '\0');
    ASSERT_FALSE(server.wait_readable());
    ASSERT_EQ(server.read_full(text).n, 5u);
    ASSERT_EQ(server.write(text).n, 5u);
    EXPECT_EQ(client.receive(5), "hello");
    ASSERT_FALSE(server.close());
    EXPECT_EQ(calls(), before);
  }
}

WEFT_MATRIX_TEST(SocketCalls, AnAddressIsAskedOnce) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const Client client(listener.address());
  Conn server = listener.accept().value();
  const auto before = calls();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(server.local_address(), listener.address());
    EXPECT_EQ(to_string(server.remote_address()), "127.0.0.1:" + std::to_string(client.port()));
  }
  const auto after = calls();
  EXPECT_EQ(after[0], before[0] + 1);
  EXPECT_LE(after[1], before[1] + 1);  // accept() may know it already
  // What was asked is known for good.
  ASSERT_FALSE(server.close());
  EXPECT_EQ(server.local_address(), listener.address());
  EXPECT_EQ(server.remote_address().port(), client.port());
  EXPECT_EQ(calls(), after);
}

WEFT_MATRIX_TEST(SocketCalls, WhatNobodyAskedInTimeIsNone) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const Client client(listener.address());
  Conn server = listener.accept().value();
  ASSERT_FALSE(server.close());
  EXPECT_TRUE(server.local_address().is_none());
  const weft::net::Address remote = server.remote_address();
  EXPECT_TRUE(remote.is_none() || remote.port() == client.port());
  char byte = 0;
  const std::string text = server.error("read", server.read({&byte, 1}).ec).message();
  EXPECT_EQ(text, remote.is_none() ? "read tcp: use of closed network connection"
                                   : "read tcp " + to_string(remote) + ": use of closed network connection");
}

// A peer that has reset the connection before it is accepted is known all the same.
WEFT_MATRIX_TEST(SocketCalls, AddressOfAPeerThatHasReset) {
  for (const char* const address : {"127.0.0.1:0", "[::1]:0", "[::]:0"}) {
    auto listener = weft::net::listen("tcp", address);
    if (!listener) continue;  // this machine has no IPv6
    // An accept that has to wait arms what a backend accepts with; io_uring's does not tell the peer.
    listener->set_deadline(weft::now() + std::chrono::milliseconds(5));
    EXPECT_FALSE(listener->accept());
    listener->set_deadline(weft::kNoDeadline);
    for (int i = 0; i < 3; ++i) {
      std::string peer;
      {
        const Client client(listener->address());
        peer = client.address();
        client.reset_at_close();
      }
      Conn server = listener->accept().value();
      char byte = 0;
      const std::error_code reset(ECONNRESET, std::system_category());
      if (i > 0) {  // the address is asked for before the reset is read, and after
        EXPECT_EQ(server.read({&byte, 1}).ec, reset);
      }
      EXPECT_EQ(to_string(server.remote_address()), peer);
      EXPECT_EQ(server.error("read", reset).message(),
                "read tcp " + to_string(server.local_address()) + "->" + peer + ": connection reset by peer");
    }
  }
}

WEFT_MATRIX_TEST(SocketCalls, DialKnowsThePeer) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  Conn client = weft::net::dial(weft::background(), "tcp", to_string(listener.address())).value();
  const auto before = calls();
  EXPECT_EQ(client.remote_address(), listener.address());
  EXPECT_EQ(calls(), before);
  // To dial every address is to dial this machine; the kernel says by which address.
  Conn other =
      weft::net::dial(weft::background(), "tcp", "0.0.0.0:" + std::to_string(listener.address().port())).value();
  EXPECT_EQ(other.remote_address(), listener.address());
  Conn mapped =
      weft::net::dial(weft::background(), "tcp", "[::ffff:0.0.0.0]:" + std::to_string(listener.address().port()))
          .value();
  EXPECT_EQ(mapped.remote_address(), listener.address());
}

// The kernel drops a scope where the address needs none.
WEFT_MATRIX_TEST(SocketCalls, DialAsksForAPeerWithAScope) {
  const auto listener = weft::net::listen("tcp6", "[::1]:0");
  if (!listener) GTEST_SKIP() << "this machine has no IPv6: " << listener.error().message();
  const std::string port = std::to_string(listener->address().port());
  Conn client = weft::net::dial(weft::background(), "tcp", "[::1%1]:" + port).value();
  EXPECT_EQ(to_string(client.remote_address()), "[::1]:" + port);
  EXPECT_EQ(client.remote_address(), listener->address());
}

}  // namespace
