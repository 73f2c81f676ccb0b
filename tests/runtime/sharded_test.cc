#include "weft/sharded.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/src/control/procs.h"
#include "support/matrix.h"
#include "weft/go.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

using Counter = std::atomic<std::uint64_t>;

std::uint64_t total(const Sharded<Counter>& counters) {
  std::uint64_t sum = 0;
  counters.range([&](const Counter& n) { sum += n.load(std::memory_order_relaxed); });
  return sum;
}

WEFT_PROCS_TEST(Sharded, LosesNothing) {
  constexpr std::uint64_t kGoroutines = 20;
  constexpr std::uint64_t kThreads = 3;
  constexpr std::uint64_t kEach = 500;
  Sharded<Counter> counters;
  const auto count = [&] {
    for (std::uint64_t i = 0; i < kEach; ++i) counters.get().fetch_add(1, std::memory_order_relaxed);
  };
  WaitGroup group;
  for (std::uint64_t g = 0; g < kGoroutines; ++g) {
    group.go([&] {
      count();
      yield();
      count();
    });
  }
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (std::uint64_t t = 0; t < kThreads; ++t) threads.emplace_back(count);
  for (std::thread& thread : threads) thread.join();
  group.wait();
  EXPECT_EQ(total(counters), (2 * kGoroutines + kThreads) * kEach);
}

WEFT_PROCS_TEST(Sharded, GivesAProcessorItsShard) {
  Sharded<Counter> counters;
  Counter* threads = nullptr;
  std::thread([&] { threads = &counters.get(); }).join();
  const int before = processor_id();
  Counter& first = counters.get();
  Counter& second = counters.get();
  if (before != processor_id()) return;  // it was stopped for so long that it lost its processor
  EXPECT_EQ(&first, &second);
  EXPECT_NE(threads, &first) << "a plain thread and a processor share a cache line";
}

TEST(Sharded, ShardsAreCacheLinesApart) {
  Sharded<char> small;
  static_cast<void>(small.get());
  std::set<std::uintptr_t> lines;
  std::size_t shards = 0;
  small.range([&](char& c) {
    ++shards;
    lines.insert(reinterpret_cast<std::uintptr_t>(&c) / 64);
  });
  EXPECT_GT(shards, 0u);
  EXPECT_EQ(lines.size(), shards);
}

TEST(Sharded, HoldsOverAlignedAndOrdinaryTypes) {
  struct alignas(256) Wide {
    char byte = 1;
  };
  Sharded<Wide> wide;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&wide.get()) % 256, 0u);
  struct Names {
    std::mutex mutex;
    std::vector<std::string> list;
  };
  Sharded<Names> names;
  {
    Names& mine = names.get();
    const std::lock_guard lock(mine.mutex);
    mine.list.emplace_back("a name too long to be stored in place");
  }
  std::size_t n = 0;
  names.range([&](Names& each) {
    const std::lock_guard lock(each.mutex);
    n += each.list.size();
  });
  EXPECT_EQ(n, 1u);
}

TEST(Sharded, AnUnusedOneHasNoShards) {
  const Sharded<Counter> counters;
  std::size_t shards = 0;
  counters.range([&](const Counter&) { ++shards; });
  EXPECT_EQ(shards, 0u);
}

// Runtimes of several widths use, one after the other, what outlives them all.
TEST(Sharded, KeepsItsShardsWhenTheNumberOfProcessorsChanges) {
  Sharded<Counter> counters;
  Counter& outside = counters.get();
  outside.fetch_add(1, std::memory_order_relaxed);
  std::set<const Counter*> used = {&outside};
  std::uint64_t expected = 1;
  for (const int procs : {1, 20, 3}) {
    std::mutex mutex;
    run(
        [&] {
          WaitGroup group;
          for (int i = 0; i < 100; ++i) {
            group.go([&] {
              Counter& mine = counters.get();
              mine.fetch_add(1, std::memory_order_relaxed);
              const std::lock_guard lock(mutex);
              used.insert(&mine);
            });
          }
          group.wait();
        },
        {.procs = procs});
    expected += 100;
    EXPECT_EQ(total(counters), expected);
  }
  EXPECT_EQ(&counters.get(), &outside);
  // Every reference that was given out is still one of the shards.
  counters.range([&](const Counter& shard) { used.erase(&shard); });
  EXPECT_TRUE(used.empty());
}

// Many goroutines meet at a block that nobody has made yet.
TEST(Sharded, ABlockIsMadeOnce) {
  for (int round = 0; round < 50; ++round) {
    auto counters = std::make_unique<Sharded<Counter>>();
    std::atomic<bool> start{false};
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        while (!start.load(std::memory_order_acquire)) std::this_thread::yield();
        counters->get().fetch_add(1, std::memory_order_relaxed);
      });
    }
    start.store(true, std::memory_order_release);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(total(*counters), 4u);
  }
}

TEST(Sharded, WhatTheConstructorThrowsLeavesGet) {
  struct Refuses {
    Refuses() {
      if (refuse()) throw std::bad_alloc();
    }
    static bool& refuse() {
      static bool on = true;
      return on;
    }
  };
  Sharded<Refuses> shards;
  EXPECT_THROW(shards.get(), std::bad_alloc);
  Refuses::refuse() = false;
  shards.get();
}

}  // namespace
}  // namespace weft
