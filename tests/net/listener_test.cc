#include "weft/net/listener.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "net/pair.h"
#include "net/src/handshakes.h"
#include "net/src/sockaddr.h"
#include "net/src/socket.h"
#include "support/failing_new.h"
#include "support/matrix.h"
#include "support/scale.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/net/address.h"
#include "weft/net/dial.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;
using weft::Condition;

std::string address_of(const weft::net::Listener& listener) { return weft::net::to_string(listener.address()); }

WEFT_MATRIX_TEST(Listener, AcceptsManyInARow) {
  auto listener = weft::net::listen("tcp4", "127.0.0.1:0").value();
  weft::WaitGroup wg;
  wg.go([&] {
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(listener.accept().has_value());
  });
  for (int i = 0; i < 100; ++i) {
    auto conn = weft::net::dial(weft::background(), "tcp", address_of(listener));
    ASSERT_TRUE(conn.has_value()) << conn.error().message();
  }
  wg.wait();
}

// A socket that no connection can be made of is closed, and its client knows.
WEFT_MATRIX_TEST(Listener, RunsOutOfMemory) {
  using weft::testing::AllocationsFailAfter;
  const int fd = weft::net::open_tcp_socket(AF_INET);
  {
    const AllocationsFailAfter none(0);
    EXPECT_THROW(weft::net::make_descriptor_handle(fd, weft::rt::FdKind::tcp), std::bad_alloc);
  }
  EXPECT_LT(::fcntl(fd, F_GETFD), 0);

  auto listener = weft::net::listen("tcp4", "127.0.0.1:0").value();
  {
    // What accepting needs once is there afterwards.
    auto first = weft::net::dial(weft::background(), "tcp", address_of(listener)).value();
    EXPECT_TRUE(listener.accept());
  }
  for (int n = 0; n < 2; ++n) {
    auto client = weft::net::dial(weft::background(), "tcp", address_of(listener)).value();
    weft::sleep(2ms);
    {
      const AllocationsFailAfter after(n);
      EXPECT_THROW(static_cast<void>(listener.accept()), std::bad_alloc) << n;
    }
    client.set_read_deadline(weft::now() + 30s);
    char byte = 0;
    EXPECT_EQ(client.read({&byte, 1}).ec, Condition::eof);
  }
}

// A close needs no memory, also when other processors hold the operations in flight.
WEFT_MATRIX_TEST(Listener, ClosesWithoutMemory) {
  for (int round = 0; round < 10; ++round) {
    auto listener = weft::net::listen("tcp4", "127.0.0.1:0").value();
    std::vector<weft::net::Conn> conns;
    for (int i = 0; i < 4; ++i) {
      const weft::testing::Pair pair = weft::testing::connect_pair();
      conns.insert(conns.end(), {pair.client, pair.server});
    }
    weft::WaitGroup wg;
    for (const weft::net::Conn& conn : conns) {
      wg.go([&] {
        char byte = 0;
        const std::error_code ec = conn.read({&byte, 1}).ec;
        EXPECT_TRUE(ec == Condition::closed || ec == Condition::eof) << ec.message();  // the other end closes, too
      });
    }
    wg.go([&] { EXPECT_FALSE(listener.accept()); });
    weft::sleep(1ms);
    std::error_code failure;
    {
      const weft::testing::AllocationsFailAfter none(0);
      for (const weft::net::Conn& conn : conns) {
        if (const std::error_code ec = conn.close()) failure = ec;
      }
      if (const std::error_code ec = listener.close()) failure = ec;
    }
    EXPECT_FALSE(failure) << failure.message();
    wg.wait();
  }
}

WEFT_MATRIX_TEST(Listener, CloseWakesEveryAccept) {
  for (int i = 0; i < 10; ++i) {
    auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
    weft::WaitGroup wg;
    for (int a = 0; a < 4; ++a) {
      wg.go([&] {
        const auto conn = listener.accept();
        ASSERT_FALSE(conn.has_value());
        EXPECT_EQ(conn.error(), Condition::closed);
        EXPECT_EQ(conn.error().message(), "accept tcp " + address_of(listener) + ": use of closed network connection");
      });
    }
    if (i % 2 == 0) weft::sleep(2ms);
    EXPECT_FALSE(listener.close());
    wg.wait();
    EXPECT_EQ(listener.close(), make_error_code(weft::Errc::closed));
  }
}

WEFT_MATRIX_TEST(Listener, DeadlineEndsAccept) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  listener.set_deadline(std::chrono::steady_clock::now() + 20ms);
  const auto none = listener.accept();
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error(), Condition::deadline_exceeded);
  listener.set_deadline(weft::kNoDeadline);
  auto client = weft::net::dial(weft::background(), "tcp", address_of(listener));
  ASSERT_TRUE(client.has_value());
  EXPECT_TRUE(listener.accept().has_value());
}

WEFT_MATRIX_TEST(Listener, PortIsRefusedAfterClose) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const std::string address = address_of(listener);
  weft::WaitGroup wg;
  wg.go([&] { EXPECT_FALSE(listener.accept().has_value()); });
  weft::sleep(2ms);
  EXPECT_FALSE(listener.close());
  wg.wait();
  const auto conn = weft::net::dial(weft::background(), "tcp", address);
  ASSERT_FALSE(conn.has_value());
  EXPECT_EQ(conn.error(), std::errc::connection_refused);
  EXPECT_TRUE(weft::net::listen("tcp", address).has_value());
}

WEFT_MATRIX_TEST(Listener, EveryAddressMeansBothFamilies) {
  auto listener = weft::net::listen("tcp", ":0").value();
  const std::string port = std::to_string(listener.address().port());
  weft::WaitGroup wg;
  wg.go([&] {
    const auto conn = listener.accept();
    ASSERT_TRUE(conn.has_value());
    EXPECT_EQ(to_string(conn->remote_address().ip()), "127.0.0.1");
  });
  EXPECT_TRUE(weft::net::dial(weft::background(), "tcp4", "127.0.0.1:" + port).has_value());
  wg.wait();
}

WEFT_MATRIX_TEST(Listener, SaysWhatIsWrongWithAnAddress) {
  auto first = weft::net::listen("tcp", "127.0.0.1:0").value();
  const std::string taken = address_of(first);
  const auto error_of = [](std::string_view network, std::string_view address) {
    const auto listener = weft::net::listen(network, address);
    return listener ? std::string() : listener.error().message();
  };
  EXPECT_EQ(error_of("tcp", taken), "listen tcp " + taken + ": bind: address already in use");
  EXPECT_EQ(error_of("tcp", "nonsense"), "listen tcp: address nonsense: missing port in address");
  EXPECT_EQ(error_of("tcp", "1.2.3.4:http"), "listen tcp: address 1.2.3.4:http: invalid port");
  EXPECT_EQ(error_of("tcp", "127.0.0.1:70000"), "listen tcp: address 127.0.0.1:70000: invalid port");
  EXPECT_EQ(error_of("tcp4", "[::1]:0"), "listen tcp4: address [::1]:0: no suitable address for tcp4");
  EXPECT_EQ(error_of("carrier-pigeon", ":0"), "listen carrier-pigeon: unknown network carrier-pigeon");
  EXPECT_EQ(error_of("tcp", "192.0.2.1:0"), "listen tcp 192.0.2.1:0: bind: cannot assign requested address");
}

// Clients that were never accepted learn of the close, although a handle of the listener lives on.
WEFT_MATRIX_TEST(Listener, CloseDropsWhoWasNotAccepted) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  std::vector<weft::net::Conn> clients;
  const auto connect = [&] {
    clients.push_back(weft::net::dial(weft::background(), "tcp", address_of(listener)).value());
  };
  connect();
  auto accepted = listener.accept();  // From here on io_uring accepts by itself.
  ASSERT_TRUE(accepted.has_value());
  for (int i = 0; i < 5; ++i) connect();
  weft::sleep(5ms);
  EXPECT_FALSE(listener.close());
  for (std::size_t i = 1; i < clients.size(); ++i) {
    char byte = 0;
    clients[i].set_read_deadline(std::chrono::steady_clock::now() + 30s);
    const auto [n, ec] = clients[i].read({&byte, 1});
    EXPECT_TRUE(ec == Condition::eof || ec == std::errc::connection_reset) << ec.message();
  }
}

// --- drain -----------------------------------------------------------------------------------------------------------

// A socket of the kernel's that connects to `address` by itself.
class Connecting {
 public:
  explicit Connecting(const weft::net::Address& address, bool deaf = false) {
    const weft::net::SocketAddress to(address);
    fd_ = weft::net::open_tcp_socket(to.family());
    // A deaf socket drops what it gets, and so its handshake does not end.
    sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog program{std::size(nothing), nothing};
    if (deaf) {
      EXPECT_EQ(::setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
    }
    // A handshake on the loopback ends within the call.
    const bool connected = ::connect(fd_, to.data(), to.size()) == 0;
    EXPECT_TRUE(connected || errno == EINPROGRESS);
  }
  Connecting(const Connecting&) = delete;
  Connecting& operator=(const Connecting&) = delete;
  ~Connecting() { ::close(fd_); }

  void hear() const {
    const int unused = 0;
    EXPECT_EQ(::setsockopt(fd_, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)), 0);
  }
  // Whether it has connected, or failed.
  bool decided() const {
    pollfd p{fd_, POLLOUT, 0};
    return ::poll(&p, 1, 0) == 1;
  }
  // 0: connected.
  int error() const {
    int error = 0;
    socklen_t size = sizeof(error);
    EXPECT_EQ(::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    return error;
  }

 private:
  int fd_ = -1;
};

// Who has connected is accepted, also whom a request of the kernel's accepts ahead of the callers.
WEFT_MATRIX_TEST(Listener, DrainReturnsWhoHasConnected) {
  constexpr std::size_t kClients = 40;
  for (const bool ahead : {false, true}) {
    auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
    std::vector<weft::net::Conn> clients;
    std::vector<weft::net::Conn> served;
    const auto connect = [&] {
      clients.push_back(weft::net::dial(weft::background(), "tcp", address_of(listener)).value());
    };
    const auto accept = [&] {
      auto conn = listener.accept();
      if (conn) served.push_back(*conn);
      return conn ? weft::Error() : conn.error();
    };
    if (ahead) {
      connect();
      ASSERT_FALSE(accept());
      connect();
      ASSERT_FALSE(accept());  // the request is armed when an accept has waited
    }
    while (clients.size() < kClients) connect();
    if (ahead) weft::sleep(5ms);
    EXPECT_FALSE(listener.drain());
    weft::Error error;
    while (!(error = accept())) {
    }
    EXPECT_EQ(error, Condition::closed);
    EXPECT_EQ(error.message(), "accept tcp " + address_of(listener) + ": use of closed network connection");
    ASSERT_EQ(served.size(), kClients);
    for (const weft::net::Conn& client : clients) {
      ASSERT_FALSE(client.write("x").ec);
    }
    for (const weft::net::Conn& server : served) {
      server.set_read_deadline(weft::now() + 30s);
      char byte = 0;
      EXPECT_EQ(server.read({&byte, 1}).n, 1U);
    }
    EXPECT_EQ(listener.drain(), make_error_code(weft::Errc::closed));
    EXPECT_EQ(listener.close(), make_error_code(weft::Errc::closed));
  }
}

// Nobody who connects all the time while the listener drains is connected and not accepted.
WEFT_MATRIX_TEST(Listener, DrainLosesNobodyWhoConnects) {
  for (int round = 0; round < 2 * weft::testing::kScale; ++round) {
    auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    weft::WaitGroup clients;
    std::atomic<int> answered{0};
    std::atomic<int> unanswered{0};
    for (int c = 0; c < 8; ++c) {
      clients.go([&, ctx = ctx] {
        while (true) {
          const auto client = weft::net::dial(ctx, "tcp", address_of(listener));
          if (!client) return;
          client->set_read_deadline(weft::now() + 30s);
          static_cast<void>(client->write("x"));
          char byte = 0;
          const bool came = client->read({&byte, 1}).n == 1;
          (came ? answered : unanswered).fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
    weft::WaitGroup acceptor;
    acceptor.go([&] {
      while (true) {
        const auto conn = listener.accept();
        if (!conn) {
          EXPECT_EQ(conn.error(), Condition::closed);
          return;
        }
        static_cast<void>(conn->write("y"));
        char byte = 0;
        static_cast<void>(conn->read({&byte, 1}));
      }
    });
    while (answered.load(std::memory_order_relaxed) < 50) weft::sleep(1ms);
    EXPECT_FALSE(listener.drain());
    acceptor.wait();
    cancel();  // who was turned away would try again after a second
    clients.wait();
    EXPECT_EQ(unanswered.load(std::memory_order_relaxed), 0);
  }
}

// Whether the kernel is in the middle of a handshake at the listener's port.
bool in_handshake(const weft::net::Listener& listener) {
  return weft::blocking([&] {
    return weft::net::handshakes_under_way(listener.address().port(), listener.address().ip().is_v6()).value_or(false);
  });
}

// Whether the kernel runs a filter for what comes from the connection's peer.
bool has_filter(const weft::net::Conn& conn) {
  for (int fd = 0; fd < 4096; ++fd) {
    sockaddr_storage peer{};
    socklen_t size = sizeof(peer);
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    weft::net::SocketAddress address;
    std::memcpy(address.data(), &peer, size);
    address.resize(size);
    if (address.address().port() != conn.remote_address().port()) continue;
    socklen_t instructions = 0;
    EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &instructions), 0);
    return instructions != 0;
  }
  ADD_FAILURE() << "the connection has no descriptor";
  return false;
}

void expect_drain_to_wait(const weft::net::Listener& listener, const weft::net::Address& to) {
  EXPECT_FALSE(in_handshake(listener));
  const Connecting slow(to, true);
  EXPECT_TRUE(in_handshake(listener)) << "or the kernel doesn't tell";
  weft::WaitGroup wg;
  wg.go([&] {
    const auto conn = listener.accept();
    EXPECT_TRUE(conn.has_value());
    EXPECT_EQ(listener.accept().error(), Condition::closed);
    EXPECT_FALSE(has_filter(*conn)) << "it has kept the listener's";
  });
  weft::sleep(2ms);
  const auto start = weft::now();
  EXPECT_FALSE(listener.drain());
  const Connecting late(to);
  slow.hear();  // the kernel sends its answer to the client's SYN a second time after a second
  wg.wait();
  EXPECT_EQ(slow.error(), 0);
  EXPECT_TRUE(!late.decided() || weft::now() - start >= 900ms) << "its SYN was dropped";
  while (!late.decided()) weft::sleep(5ms);
  EXPECT_EQ(late.error(), ECONNREFUSED);
}

// No handshake begins any more, and what has begun is waited for. An address of each family, and one of both.
WEFT_MATRIX_TEST(Listener, DrainWaitsForHandshakes) {
  const struct {
    std::string_view listen;
    std::string_view connect;
  } rows[] = {{"127.0.0.1:0", "127.0.0.1:"}, {"[::1]:0", "[::1]:"}, {":0", "127.0.0.1:"}, {":0", "[::1]:"}};
  weft::WaitGroup wg;
  for (const auto& row : rows) {
    wg.go([&row] {
      const auto listener = weft::net::listen("tcp", row.listen);
      if (!listener) return;  // a machine without IPv6
      const std::string to = std::string(row.connect) + std::to_string(listener->address().port());
      expect_drain_to_wait(*listener, weft::net::Address::parse(to).value());
    });
  }
  wg.wait();
}

// A client that never ends its handshake holds the listener for a second and a half.
WEFT_MATRIX_TEST(Listener, DrainGivesUpOnDeadHandshakes) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const Connecting dead(listener.address(), true);
  const auto start = weft::now();
  EXPECT_FALSE(listener.drain());
  EXPECT_FALSE(listener.accept().has_value());
  EXPECT_LE(weft::now() - start, 30s);
  EXPECT_GE(weft::now() - start, 250ms);
}

// Who was turned away while one listener drains reaches the next one.
WEFT_MATRIX_TEST(Listener, DrainLeavesTheAddressToTheNext) {
  auto first = weft::net::listen("tcp", "127.0.0.1:0", {.reuse_port = true}).value();
  EXPECT_FALSE(first.drain());
  const Connecting early(first.address());
  EXPECT_FALSE(early.decided());
  EXPECT_FALSE(first.accept().has_value());
  auto second = weft::net::listen("tcp", address_of(first), {.reuse_port = true}).value();
  second.set_deadline(weft::now() + 30s);
  EXPECT_TRUE(second.accept().has_value());
  EXPECT_EQ(early.error(), 0);
}

// The caller's deadline holds while the listener drains, and close() ends it.
WEFT_MATRIX_TEST(Listener, DrainHearsDeadlineAndClose) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const Connecting dead(listener.address(), true);
  EXPECT_FALSE(listener.drain());
  EXPECT_FALSE(listener.drain());
  listener.set_deadline(weft::now() + 10ms);
  EXPECT_EQ(listener.accept().error(), Condition::deadline_exceeded);
  EXPECT_EQ(listener.accept().error(), Condition::deadline_exceeded);
  listener.set_deadline(weft::kNoDeadline);
  weft::WaitGroup wg;
  for (int i = 0; i < 3; ++i) {
    wg.go([&] { EXPECT_EQ(listener.accept().error(), Condition::closed); });
  }
  weft::sleep(5ms);
  EXPECT_FALSE(listener.close());
  wg.wait();
}

// A drain ends every accept, also when several goroutines accept.
WEFT_MATRIX_TEST(Listener, DrainEndsEveryAccept) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  weft::WaitGroup wg;
  std::atomic<int> accepted{0};
  for (int i = 0; i < 4; ++i) {
    wg.go([&] {
      while (true) {
        const auto conn = listener.accept();
        if (!conn) {
          EXPECT_EQ(conn.error(), Condition::closed);
          return;
        }
        accepted.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  std::vector<weft::net::Conn> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(weft::net::dial(weft::background(), "tcp", address_of(listener)).value());
  }
  EXPECT_FALSE(listener.drain());
  wg.wait();
  EXPECT_EQ(accepted.load(std::memory_order_relaxed), 20);
}

}  // namespace
