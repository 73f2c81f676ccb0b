// The receive buffers of an io_uring: their number follows the load, and goes back when the load is over.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "net/pair.h"
#include "runtime/src/io/ring.h"
#include "runtime/src/sched/constants.h"
#include "runtime/src/sched/machine.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/go.h"
#include "weft/net/conn.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::connect_pairs;
using weft::testing::eventually;
using weft::testing::Pair;
using weft::testing::run_variant;

constexpr std::uint32_t kLeast = weft::rt::kPerturb ? 8 : 16;
constexpr std::uint32_t kMost = weft::rt::kPerturb ? 32 : 4096;
constexpr std::size_t kPairs = weft::rt::kPerturb ? 40 : 600;
constexpr std::uint32_t kEnough = weft::rt::kPerturb ? kMost : kPairs;

std::uint32_t buffers() {
  const weft::rt::Pin pin{weft::rt::Pin::WithProcessor()};
  return weft::rt::ring_of(*pin.processor())->buffers();
}

void write_all(std::span<const Pair> pairs, const std::string& text) {
  for (const Pair& pair : pairs) ASSERT_FALSE(pair.client.write(text).ec);
}

std::string read(const Pair& pair, std::size_t n) {
  std::string text(n, '\0');
  EXPECT_FALSE(pair.server.read_full(text).ec);
  return text;
}

// Every connection gets its message at the same moment, while it waits for it.
void burst(std::span<const Pair> pairs) {
  weft::WaitGroup readers;
  for (const Pair& pair : pairs) readers.go([&pair] { EXPECT_EQ(read(pair, 5), "burst"); });
  weft::yield();  // they wait
  write_all(pairs, "burst");
  readers.wait();
}

void follow_the_load() {
  EXPECT_EQ(buffers(), kLeast);
  const std::vector<Pair> pairs = connect_pairs(static_cast<int>(kPairs));
  for (int i = 0; i < 10 && buffers() < kEnough; ++i) burst(pairs);
  EXPECT_GE(buffers(), kEnough);
  EXPECT_TRUE(eventually([] { return buffers() == kLeast; }));
  burst(pairs);
}

// What lies unread while the buffers go back stays what it is.
void keep_what_is_unread() {
  const std::vector<Pair> pairs = connect_pairs(static_cast<int>(kPairs));
  for (int i = 0; i < 10 && buffers() < kEnough; ++i) burst(pairs);
  const std::span<const Pair> few = std::span(pairs).last(kPairs / 10);
  {
    weft::WaitGroup readers;
    for (const Pair& pair : pairs) readers.go([&pair] { EXPECT_EQ(read(pair, 1), "h"); });
    weft::yield();
    write_all(pairs, "half read");
    readers.wait();
  }
  for (const Pair& pair : std::span(pairs).first(kPairs - few.size())) EXPECT_EQ(read(pair, 8), "alf read");
  EXPECT_TRUE(eventually([] { return buffers() == kLeast; }));
  burst(std::span(pairs).first(kPairs - few.size()));
  for (const Pair& pair : few) EXPECT_EQ(read(pair, 8), "alf read");
  burst(pairs);
}

// Who waits for data waits for it, though there is no buffer to put it in.
void wait_without_a_buffer() {
  constexpr std::size_t kEach = weft::rt::kPerturb ? 4 : 16;  // a connection holds so many unread arrivals at most
  const std::vector<Pair> pairs = connect_pairs(static_cast<int>(kMost / kEach + 8));
  const std::span<const Pair> holders = std::span(pairs).first(pairs.size() - 1);
  for (std::size_t i = 0; i < kEach; ++i) {
    write_all(holders, "x");
    for (const Pair& pair : holders) ASSERT_FALSE(pair.server.wait_readable());
    weft::sleep(10ms);
  }
  EXPECT_EQ(buffers(), kMost);
  weft::WaitGroup reader;
  reader.go([&] { EXPECT_EQ(read(pairs.back(), 5), "hello"); });
  weft::sleep(10ms);
  const std::uint64_t polls = weft::runtime_stats().polls;
  weft::sleep(200ms);
  EXPECT_LT(weft::runtime_stats().polls - polls, 1000U);
  EXPECT_FALSE(pairs.back().client.write("hello").ec);
  reader.wait();
  for (const Pair& pair : holders) EXPECT_EQ(read(pair, kEach), std::string(kEach, 'x'));
}

TEST(ReceiveBuffers, WaitWithoutABuffer) { run_variant({.poller = "io_uring", .procs = 1}, &wait_without_a_buffer); }
TEST(ReceiveBuffers, FollowTheLoad) { run_variant({.poller = "io_uring", .procs = 1}, &follow_the_load); }
TEST(ReceiveBuffers, KeepWhatIsUnread) { run_variant({.poller = "io_uring", .procs = 1}, &keep_what_is_unread); }

}  // namespace
