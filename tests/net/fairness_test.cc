// Goroutines that are ready are served in turn, however many there are: between two turns of one of them, the others
// have a bounded number of turns. With one processor the order of turns is the scheduler's alone, so it can be counted.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "net/pair.h"
#include "support/matrix.h"
#include "support/scale.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/net/conn.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using weft::testing::connect_pairs;
using weft::testing::Pair;
using weft::testing::run_variant;

// More than a processor's ring holds, ten times over.
constexpr std::uint64_t kMany = 3000;

std::atomic<std::uint64_t> turns{0};  // of the one processor

std::uint64_t next_turn() { return turns.fetch_add(1, std::memory_order_relaxed) + 1; }

// The longest wait of one goroutine, in turns of the others.
class Wait {
 public:
  // The goroutine has a turn.
  void note() {
    const std::uint64_t now = next_turn();
    if (last_ != 0) longest_ = std::max(longest_, now - last_);
    last_ = now;
  }
  // The goroutine is ready for its first turn.
  void begin() { last_ = std::max<std::uint64_t>(turns.load(std::memory_order_relaxed), 1); }
  // It was ready only so many turns after begin(), at most.
  void forgive(std::uint64_t late) { longest_ -= std::min(longest_, late); }
  std::uint64_t longest() const { return longest_; }

 private:
  std::uint64_t last_ = 0;
  std::uint64_t longest_ = 0;
};

// A thread that the kernel put aside for long, in the middle of a turn, has lost its processor, and the turns of the
// others went on without it. That goroutine did not wait for its turn: it had it. There is at most one such wait for
// each hog that the runtime has counted.
class Bound {
 public:
  void expect_holds(const std::vector<Wait>& waits, std::uint64_t most) const {
    const auto longer = std::ranges::count_if(waits, [most](const Wait& wait) { return wait.longest() > most; });
    EXPECT_LE(static_cast<std::uint64_t>(longer), weft::runtime_stats().hogs - hogs_before_)
        << "the longest wait was of " << std::ranges::max_element(waits, {}, &Wait::longest)->longest()
        << " turns, and should be of " << most << " at most";
  }

 private:
  std::uint64_t hogs_before_ = weft::runtime_stats().hogs;
};

// Every goroutine is ready all the time.
void yielders_take_turns() {
  constexpr int kTurns = 20;
  const Bound bound;
  std::vector<Wait> waits(kMany);
  weft::WaitGroup group;
  for (Wait& wait : waits) {
    group.go([&wait] {
      for (int i = 0; i < kTurns; ++i) {
        wait.note();
        weft::yield();
      }
    });
  }
  group.wait();
  bound.expect_holds(waits, kMany + kMany / 4);
}

TEST(Fairness, YieldersTakeTurns) { run_variant({.poller = "auto", .procs = 1}, &yielders_take_turns); }

// A tree of goroutines, which start others in their first turn, is not unfolded level by level.
std::atomic<int> alive{0};
std::atomic<int> most_alive{0};

void unfold(int levels, const weft::Chan<int>& up) {
  const int now = alive.fetch_add(1) + 1;
  for (int most = most_alive.load(); most < now && !most_alive.compare_exchange_weak(most, now);) {
  }
  int leaves = 1;
  if (levels > 0) {
    leaves = 0;
    const weft::Chan<int> children = weft::make_chan<int>();
    for (int i = 0; i < 10; ++i) weft::go([levels, children] { unfold(levels - 1, children); });
    for (int i = 0; i < 10; ++i) leaves += *children.recv();
  }
  up.send(leaves);
  alive.fetch_sub(1);
}

void trees_unfold_branch_by_branch() {
  // TSan knows 8,128 threads at most, and takes each goroutine for one.
  constexpr int kLevels = weft::testing::kScale > 1 ? 5 : 3;
  constexpr int kLeaves = weft::testing::kScale > 1 ? 100'000 : 1'000;
  const weft::Chan<int> root = weft::make_chan<int>();
  weft::go([root] { unfold(kLevels, root); });
  EXPECT_EQ(*root.recv(), kLeaves);
  EXPECT_LT(most_alive.load(), kLeaves / 3);  // level by level, nearly all would be
}

TEST(Fairness, TreesUnfoldBranchByBranch) {
  run_variant({.poller = "auto", .procs = 1}, &trees_unfold_branch_by_branch);
}

// What plain threads start, or make ready, comes by way of the queue that all processors share.
void those_from_outside_have_their_turn() {
  constexpr std::uint64_t kGuests = 1000;
  constexpr std::uint64_t kAll = kMany + kGuests;
  const Bound bound;
  std::vector<Wait> hosts(kMany);
  std::atomic<bool> stop{false};
  weft::WaitGroup group;
  for (Wait& wait : hosts) {
    group.go([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        wait.note();
        weft::yield();
      }
    });
  }
  std::atomic<std::uint64_t> guests{0};
  std::vector<Wait> waits(kGuests);
  // A guest is ready somewhere between begin() and the end of go(). The kernel may put this thread aside there, and the
  // processor goes on meanwhile.
  std::vector<std::uint64_t> late(kGuests);
  std::thread outside([&] {
    for (std::size_t i = 0; i < kGuests; ++i) {
      const std::uint64_t before = turns.load(std::memory_order_relaxed);
      waits[i].begin();
      weft::go([&, &wait = waits[i]] {
        wait.note();
        if (guests.fetch_add(1) + 1 == kGuests) stop.store(true, std::memory_order_relaxed);
      });
      late[i] = turns.load(std::memory_order_relaxed) - before;
    }
  });
  group.wait();
  outside.join();
  for (std::size_t i = 0; i < kGuests; ++i) waits[i].forgive(late[i]);
  EXPECT_EQ(guests.load(), kGuests);
  // The hosts go by way of the shared queue, too, while there are guests in it. It hands over 128 goroutines in each 61
  // turns, so the last one in it is in the processor's queue after less than kAll / 2 turns, and behind kAll others at
  // most.
  bound.expect_holds(waits, kAll + kAll / 2);
  bound.expect_holds(hosts, kAll + kAll / 2);
}

TEST(Fairness, ThoseFromOutsideHaveTheirTurn) {
  run_variant({.poller = "auto", .procs = 1}, &those_from_outside_have_their_turn);
}

// Goroutines that always find each other ready, through channels, and one that waits for timers beside them.
void timers_come_through() {
  constexpr int kPairs = 4;
  constexpr int kTimers = 100;
  const weft::Chan<int> busy = weft::make_chan<int>();
  std::atomic<bool> stop{false};
  std::uint64_t handed_over = 0;
  weft::WaitGroup senders;
  weft::WaitGroup receivers;
  for (int i = 0; i < kPairs; ++i) {
    receivers.go([&] {
      while (busy.recv()) ++handed_over;
    });
    senders.go([&] {
      while (!stop.load(std::memory_order_relaxed)) busy.send(1);
    });
  }
  std::chrono::nanoseconds late{0};
  for (int i = 0; i < kTimers; ++i) {
    const auto due = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    weft::sleep(std::chrono::milliseconds(1));
    late += std::chrono::steady_clock::now() - due;
  }
  stop.store(true, std::memory_order_relaxed);
  senders.wait();
  busy.close();
  receivers.wait();
  EXPECT_GT(handed_over, 0U);
  EXPECT_LT(late / kTimers, std::chrono::milliseconds(5));
}

TEST(Fairness, TimersComeThrough) { run_variant({.poller = "auto", .procs = 1}, &timers_come_through); }

// Pairs of goroutines that send each other a byte over sockets. Each of them waits for the other's turn and then for
// its own.
void connections_take_turns() {
  constexpr int kPairs = 700;
  constexpr int kTurns = 20;
  const std::vector<Pair> pairs = connect_pairs(kPairs);
  const Bound bound;
  std::vector<Wait> waits(kPairs);
  weft::WaitGroup group;
  for (std::size_t i = 0; i < kPairs; ++i) {
    group.go([&, i] {
      char byte = 'x';
      for (int n = 0; n < kTurns; ++n) {
        ASSERT_FALSE(pairs[i].client.write({&byte, 1}).ec);
        ASSERT_EQ(pairs[i].client.read({&byte, 1}).n, 1U);
        waits[i].note();
      }
    });
    group.go([&, i] {
      char byte = 'x';
      for (int n = 0; n < kTurns; ++n) {
        ASSERT_EQ(pairs[i].server.read({&byte, 1}).n, 1U);
        next_turn();
        ASSERT_FALSE(pairs[i].server.write({&byte, 1}).ec);
      }
    });
  }
  group.wait();
  bound.expect_holds(waits, std::uint64_t{4} * kPairs);
}

TEST(Fairness, ConnectionsTakeTurns) {
  for (const char* const poller : {"io_uring", "io_uring_plain", "epoll"}) {
    SCOPED_TRACE(poller);
    run_variant({.poller = poller, .procs = 1}, &connections_take_turns);
  }
}

}  // namespace
