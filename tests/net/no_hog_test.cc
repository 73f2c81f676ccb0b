// Calls that never find anything to wait for are scheduling points all the same: a goroutine that makes them in a loop
// is not taken for one that computes, and others have their turn.
#include <unistd.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>

#include "net/pair.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/io/pollable.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::connect_pair;
using weft::testing::eventually;
using weft::testing::Pair;

// Calls for some time slices. Nobody may be taken for a hog meanwhile, unless the machine stood still for a moment:
// then it is tried again.
void expect_no_hog(const std::function<void()>& call) {
  EXPECT_TRUE(eventually([&] {
    weft::yield();  // who was taken for a hog has no processor until then, and is not taken for one again
    const std::uint64_t before = weft::runtime_stats().hogs;
    for (const auto end = std::chrono::steady_clock::now() + 60ms; std::chrono::steady_clock::now() < end;) call();
    return weft::runtime_stats().hogs == before;
  }));
}

std::string refusing_address() {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  const std::string address = to_string(listener.address());
  EXPECT_FALSE(listener.close());
  return address;
}

WEFT_MATRIX_TEST(NoHog, DialsThatAreRefused) {
  const std::string address = refusing_address();
  expect_no_hog([&] { EXPECT_FALSE(weft::net::dial(weft::background(), "tcp", address)); });
  // No TCP connection leads there, which the kernel says at once.
  expect_no_hog([] { EXPECT_FALSE(weft::net::dial(weft::background(), "tcp", "255.255.255.255:1")); });
}

WEFT_MATRIX_TEST(NoHog, DialsAndListensThatCanNotBegin) {
  expect_no_hog([] { EXPECT_FALSE(weft::net::dial(weft::background(), "tcp", "nonsense")); });
  expect_no_hog([] { EXPECT_FALSE(weft::net::dial(weft::background(), "tcp", weft::net::Address())); });
  expect_no_hog([] { EXPECT_FALSE(weft::net::listen("tcp", "192.0.2.1:0")); });
}

WEFT_MATRIX_TEST(NoHog, ListenersThatAreClosed) {
  expect_no_hog([] { EXPECT_FALSE(weft::net::listen("tcp", "127.0.0.1:0").value().close()); });
}

WEFT_MATRIX_TEST(NoHog, WritesThatHaveRoom) {
  const Pair pair = connect_pair();
  weft::go([server = pair.server] {
    std::string buffer(1 << 16, '\0');
    while (!server.read(buffer).ec) {
    }
  });
  expect_no_hog([&] { EXPECT_EQ(pair.client.write("x").n, 1u); });
  EXPECT_FALSE(pair.client.close());
}

WEFT_MATRIX_TEST(NoHog, WaitsForWhatIsThere) {
  const Pair pair = connect_pair();
  EXPECT_EQ(pair.client.write("x").n, 1u);
  EXPECT_FALSE(pair.server.wait_readable());
  expect_no_hog([&] { EXPECT_FALSE(pair.server.wait_readable()); });
}

WEFT_MATRIX_TEST(NoHog, WaitsForAFileThatIsReady) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  {
    const auto pollable = weft::io::Pollable::make(ends[1]).value();
    expect_no_hog([&] { EXPECT_FALSE(pollable.wait_writable()); });
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

WEFT_MATRIX_TEST(NoHog, ReadsThatEnd) {
  const Pair pair = connect_pair();
  EXPECT_FALSE(pair.client.close());
  char byte = 0;
  expect_no_hog([&] { EXPECT_EQ(pair.server.read({&byte, 1}).ec, weft::Condition::eof); });
  EXPECT_FALSE(pair.server.close());
  expect_no_hog([&] { EXPECT_EQ(pair.server.read({&byte, 1}).ec, weft::Condition::closed); });
}

// The other goroutine is never more than a few time slices late, also on the only processor.
WEFT_MATRIX_TEST(NoHog, OthersHaveTheirTurn) {
  const std::string address = refusing_address();
  std::atomic<bool> over{false};
  std::atomic<int> ticks{0};
  weft::WaitGroup group;
  group.go([&] {
    for (; ticks.load(std::memory_order_relaxed) < 10; ticks.fetch_add(1, std::memory_order_relaxed)) weft::sleep(1ms);
    over.store(true, std::memory_order_release);
  });
  for (const auto end = weft::testing::patience_end(); !over.load(std::memory_order_acquire);) {
    EXPECT_FALSE(weft::net::dial(weft::background(), "tcp", address));
    if (std::chrono::steady_clock::now() > end) break;
  }
  EXPECT_TRUE(over.load(std::memory_order_acquire));
  group.wait();
}

}  // namespace
