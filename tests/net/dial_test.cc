#include "weft/net/dial.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "support/matrix.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/net/address.h"
#include "weft/net/listener.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;
using weft::Condition;

// A listener whose queue is full drops further attempts to connect: it is a black hole on loopback.
class BlackHole {
 public:
  BlackHole() {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const name = reinterpret_cast<sockaddr*>(&any);
    socklen_t size = sizeof(any);
    const bool listens =
        ::bind(listener_, name, size) == 0 && ::listen(listener_, 1) == 0 && ::getsockname(listener_, name, &size) == 0;
    EXPECT_TRUE(listens);
    address = "127.0.0.1:" + std::to_string(ntohs(any.sin_port));
    for (unsigned waiting = 0; listens && !full(); ++waiting) {
      fill_.push_back(open_socket());
      static_cast<void>(::connect(fill_.back(), name, size));
      const auto end = std::chrono::steady_clock::now() + 30s;
      while (queue().tcpi_unacked == waiting && std::chrono::steady_clock::now() < end) weft::sleep(1ms);
      if (queue().tcpi_unacked == waiting) {
        ADD_FAILURE() << "no black hole: connection " << waiting << " does not come to the queue";
        return;
      }
    }
  }
  ~BlackHole() {
    for (const int fd : fill_) ::close(fd);
    ::close(listener_);
  }
  BlackHole(const BlackHole&) = delete;
  BlackHole& operator=(const BlackHole&) = delete;

  std::string address;

 private:
  static int open_socket() { return ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

  // For a listener, tcpi_unacked is the length of the queue and tcpi_sacked is its backlog.
  tcp_info queue() const {
    tcp_info info{};
    socklen_t size = sizeof(info);
    EXPECT_EQ(::getsockopt(listener_, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info;
  }
  bool full() const { return queue().tcpi_unacked > queue().tcpi_sacked; }

  const int listener_ = open_socket();
  std::vector<int> fill_;
};

WEFT_MATRIX_TEST(Dial, RefusedSaysSo) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const std::string address = weft::net::to_string(listener.address());
  ASSERT_FALSE(listener.close());
  const auto conn = weft::net::dial(weft::background(), "tcp", address);
  ASSERT_FALSE(conn.has_value());
  EXPECT_EQ(conn.error().message(), "dial tcp " + address + ": connect: connection refused");
  EXPECT_EQ(conn.error(), std::errc::connection_refused);
}

WEFT_MATRIX_TEST(Dial, TakesAnAddress) {
  using weft::net::Address;
  const auto dial = [](std::string_view network, const Address& address) {
    return weft::net::dial(weft::background(), network, address);
  };
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const Address address = listener.address();
  const auto conn = dial("tcp4", address);
  ASSERT_TRUE(conn.has_value()) << conn.error().message();
  EXPECT_EQ(conn->remote_address(), address);
  EXPECT_EQ(conn->network(), "tcp4");
  ASSERT_FALSE(listener.close());

  const auto error_of = [&](std::string_view network, const Address& at) {
    return dial(network, at).error().message();
  };
  EXPECT_EQ(error_of("tcp", address), "dial tcp " + to_string(address) + ": connect: connection refused");
  EXPECT_EQ(error_of("tcp", Address()), "dial tcp: missing address");
  EXPECT_EQ(error_of("tcp", Address::unix_path("/run/x.sock")), "dial tcp: address /run/x.sock: not an IP address");
  EXPECT_EQ(error_of("tcp6", address), "dial tcp6: address " + to_string(address) + ": no suitable address for tcp6");
  EXPECT_EQ(error_of("carrier-pigeon", address), "dial carrier-pigeon: unknown network carrier-pigeon");

  auto [ctx, cancel] = weft::with_cancel(weft::background());
  cancel();
  EXPECT_EQ(weft::net::dial(ctx, "tcp", address).error().message(),
            "dial tcp " + to_string(address) + ": context canceled");
}

// As in Go, no timeout is zero; a negative one is over before it begins.
WEFT_MATRIX_TEST(Dial, NegativeTimeoutIsOver) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  for (const std::chrono::nanoseconds timeout :
       {-1ns, std::chrono::nanoseconds(-1s), std::chrono::nanoseconds::min()}) {
    const auto conn = weft::net::dial(weft::background(), "tcp", listener.address(), {.timeout = timeout});
    ASSERT_FALSE(conn.has_value());
    EXPECT_EQ(conn.error(), Condition::deadline_exceeded);
    EXPECT_EQ(conn.error().message(), "dial tcp " + to_string(listener.address()) + ": i/o timeout");
  }
  listener.set_deadline(std::chrono::steady_clock::now() + 20ms);
  EXPECT_FALSE(listener.accept().has_value());
}

WEFT_MATRIX_TEST(Dial, TimeoutEndsAttemptAtABlackHole) {
  const BlackHole hole;
  const auto begin = std::chrono::steady_clock::now();
  const auto conn = weft::net::dial(weft::background(), "tcp", hole.address, {.timeout = 50ms});
  ASSERT_FALSE(conn.has_value());
  EXPECT_EQ(conn.error(), Condition::deadline_exceeded);
  EXPECT_EQ(conn.error().message(), "dial tcp " + hole.address + ": i/o timeout");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);  // the kernel gives up after two minutes
}

WEFT_MATRIX_TEST(Dial, ContextDeadlineAndCancelEndIt) {
  const BlackHole hole;
  auto [limited, cancel_limited] = weft::with_timeout(weft::background(), 40ms);
  const auto late = weft::net::dial(limited, "tcp", hole.address);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error(), Condition::deadline_exceeded);
  cancel_limited();

  auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::go([end = cancel] {
    weft::sleep(10ms);
    end();
  });
  const auto begin = std::chrono::steady_clock::now();
  const auto conn = weft::net::dial(ctx, "tcp", hole.address);
  ASSERT_FALSE(conn.has_value());
  EXPECT_EQ(conn.error(), Condition::canceled);
  EXPECT_EQ(conn.error().message(), "dial tcp " + hole.address + ": context canceled");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);

  const auto dead = weft::net::dial(ctx, "tcp", hole.address);
  ASSERT_FALSE(dead.has_value());
  EXPECT_EQ(dead.error(), Condition::canceled);
}

WEFT_MATRIX_TEST(Dial, ConnectedNoLongerCaresForItsContext) {
  for (auto timeout = 30ms;; timeout *= 4) {
    auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
    auto [ctx, cancel] = weft::with_timeout(weft::background(), timeout);
    auto client = weft::net::dial(ctx, "tcp", weft::net::to_string(listener.address()));
    // When the machine is too slow to connect in time, there is nothing to see yet.
    if (!client && client.error() == Condition::deadline_exceeded && timeout < 30s) continue;
    ASSERT_TRUE(client.has_value()) << client.error().message();
    auto server = listener.accept().value();
    char byte = 0;
    ctx.done().recv();
    weft::sleep(20ms);
    EXPECT_EQ(client->write("x").n, 1u);
    EXPECT_EQ(server.read({&byte, 1}).n, 1u);
    break;
  }
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  auto [ctx, cancel] = weft::with_cancel(weft::background());
  auto client = weft::net::dial(ctx, "tcp", weft::net::to_string(listener.address())).value();
  auto server = listener.accept().value();
  cancel();
  EXPECT_EQ(client.write("x").n, 1u);
  char byte = 0;
  EXPECT_EQ(server.read({&byte, 1}).n, 1u);
}

WEFT_MATRIX_TEST(Dial, LocalhostTriesBothFamilies) {
  auto listener = weft::net::listen("tcp4", "127.0.0.1:0").value();
  const std::string port = std::to_string(listener.address().port());
  EXPECT_TRUE(weft::net::dial(weft::background(), "tcp", "localhost:" + port).has_value());
  const auto unknown = weft::net::dial(weft::background(), "tcp", "weft.invalid:80");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().message().rfind("dial tcp: lookup weft.invalid: no such host", 0), 0u);
}

}  // namespace
