#include "weft/net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <new>
#include <string>
#include <vector>

#include "net/pair.h"
#include "net/src/socket.h"
#include "support/failing_new.h"
#include "support/matrix.h"
#include "weft/context.h"
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

}  // namespace
