#include "weft/net/dial.h"

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

// A listener whose queue is full drops further connection attempts on the floor: a black hole on loopback.
struct BlackHole {
  weft::net::Listener listener = weft::net::listen("tcp", "127.0.0.1:0", {.backlog = 1}).value();
  std::vector<weft::net::Conn> fill;
  std::string address = weft::net::to_string(listener.endpoint());

  BlackHole() {
    for (int i = 0; i < 8; ++i) {
      auto conn = weft::net::dial(weft::background(), "tcp", address, {.timeout = 100ms});
      if (!conn) return;
      fill.push_back(*conn);
    }
  }
};

WEFT_MATRIX_TEST(Dial, RefusedSaysSo) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const std::string address = weft::net::to_string(listener.endpoint());
  ASSERT_FALSE(listener.close());
  const auto conn = weft::net::dial(weft::background(), "tcp", address);
  ASSERT_FALSE(conn.has_value());
  EXPECT_EQ(conn.error().message(), "dial tcp " + address + ": connect: connection refused");
  EXPECT_EQ(conn.error(), std::errc::connection_refused);
}

WEFT_MATRIX_TEST(Dial, TimeoutEndsAttemptAtABlackHole) {
  const BlackHole hole;
  const auto begin = std::chrono::steady_clock::now();
  const auto conn = weft::net::dial(weft::background(), "tcp", hole.address, {.timeout = 50ms});
  ASSERT_FALSE(conn.has_value());
  EXPECT_EQ(conn.error(), Condition::deadline_exceeded);
  EXPECT_EQ(conn.error().message(), "dial tcp " + hole.address + ": i/o timeout");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
}

WEFT_MATRIX_TEST(Dial, ContextDeadlineAndCancelEndIt) {
  const BlackHole hole;
  auto [limited, cancel_limited] = weft::with_timeout(weft::background(), 40ms);
  const auto late = weft::net::dial(limited, "tcp", hole.address);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error(), Condition::deadline_exceeded);
  cancel_limited();

  auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::go([cancel = cancel] {
    weft::sleep(10ms);
    cancel();
  });
  const auto begin = std::chrono::steady_clock::now();
  const auto conn = weft::net::dial(ctx, "tcp", hole.address);
  ASSERT_FALSE(conn.has_value());
  EXPECT_EQ(conn.error(), Condition::canceled);
  EXPECT_EQ(conn.error().message(), "dial tcp " + hole.address + ": context canceled");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);

  const auto dead = weft::net::dial(ctx, "tcp", hole.address);
  ASSERT_FALSE(dead.has_value());
  EXPECT_EQ(dead.error(), Condition::canceled);
}

WEFT_MATRIX_TEST(Dial, ConnectedNoLongerCaresForItsContext) {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  auto [ctx, cancel] = weft::with_timeout(weft::background(), 30ms);
  auto client = weft::net::dial(ctx, "tcp", weft::net::to_string(listener.endpoint())).value();
  auto server = listener.accept().value();
  cancel();
  weft::sleep(50ms);
  EXPECT_EQ(client.write("x").n, 1u);
  char byte = 0;
  EXPECT_EQ(server.read({&byte, 1}).n, 1u);
}

WEFT_MATRIX_TEST(Dial, LocalhostTriesBothFamilies) {
  auto listener = weft::net::listen("tcp4", "127.0.0.1:0").value();
  const std::string port = std::to_string(listener.endpoint().port());
  EXPECT_TRUE(weft::net::dial(weft::background(), "tcp", "localhost:" + port).has_value());
  const auto unknown = weft::net::dial(weft::background(), "tcp", "weft.invalid:80");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().message().rfind("dial tcp: lookup weft.invalid: no such host", 0), 0u);
}

}  // namespace
