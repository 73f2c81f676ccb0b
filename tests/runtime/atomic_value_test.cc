#include "weft/atomic_value.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/failing_new.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/panic.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 1'000;
#else
constexpr int kRounds = 10'000;
#endif

// Counts the living objects. An object is whole when both halves agree.
struct Config {
  explicit Config(int n) : first(n), second(n) { alive.fetch_add(1, std::memory_order_relaxed); }
  Config(const Config& other) : first(other.first), second(other.second) {
    alive.fetch_add(1, std::memory_order_relaxed);
  }
  Config& operator=(const Config&) = delete;
  ~Config() {
    first = -1;
    alive.fetch_sub(1, std::memory_order_relaxed);
  }
  int first;
  int second;
  static std::atomic<int> alive;
};
std::atomic<int> Config::alive{0};

TEST(AtomicValue, IsEmptyUntilTheFirstStore) {
  AtomicValue<int> value;
  EXPECT_EQ(value.load(), nullptr);
  EXPECT_EQ(value.swap(1), nullptr);
  EXPECT_EQ(*value.load(), 1);
  value.store(2);
  EXPECT_EQ(*value.load(), 2);
  EXPECT_EQ(*value.swap(3), 2);
  EXPECT_EQ(*value.load(), 3);
}

TEST(AtomicValue, HoldsWhatOnlyMoves) {
  AtomicValue<std::unique_ptr<int>> value(std::make_unique<int>(1));
  EXPECT_EQ(**value.load(), 1);
  value.store(std::make_unique<int>(2));
  EXPECT_EQ(**value.load(), 2);
}

TEST(AtomicValue, GivesOutTheObjectThatWasStored) {
  AtomicValue<std::string> value;
  const auto stored = std::make_shared<const std::string>("text");
  value.store(stored);
  EXPECT_EQ(value.load(), stored);
  EXPECT_EQ(value.load().get(), stored.get());
}

TEST(AtomicValue, ComparesTheObject) {
  AtomicValue<int> value;
  std::shared_ptr<const int> expected;
  EXPECT_TRUE(value.compare_exchange(expected, std::make_shared<int>(1)));
  EXPECT_FALSE(value.compare_exchange(expected, std::make_shared<int>(2)));
  ASSERT_NE(expected, nullptr);
  EXPECT_EQ(*expected, 1);
  EXPECT_TRUE(value.compare_exchange(expected, std::make_shared<int>(2)));
  EXPECT_EQ(*value.load(), 2);
  expected = std::make_shared<int>(2);  // equal, but another object
  EXPECT_FALSE(value.compare_exchange(expected, std::make_shared<int>(3)));
  EXPECT_EQ(expected, value.load());
}

template <typename F>
std::string panic_of(F&& misuse) {
  try {
    misuse();
  } catch (const Panic& e) {
    return e.what();
  }
  return "none";
}

TEST(AtomicValue, RefusesNullAndTheUpdateOfNothing) {
  AtomicValue<int> value;
  const std::shared_ptr<const int> null;
  std::shared_ptr<const int> expected;
  const std::string nil = "sync/atomic: store of nil value into Value";
  EXPECT_EQ(panic_of([&] { value.store(null); }), nil);
  EXPECT_EQ(panic_of([&] { value.swap(null); }), nil);
  EXPECT_EQ(panic_of([&] { value.compare_exchange(expected, null); }), nil);
  EXPECT_EQ(panic_of([&] { value.update([](int n) { return n; }); }), "sync/atomic: update of a Value without a value");
  EXPECT_EQ(value.load(), nullptr);
}

TEST(AtomicValue, WhatTheUpdateThrowsChangesNothing) {
  AtomicValue<int> value(1);
  EXPECT_THROW(value.update([](int) -> int { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_EQ(*value.load(), 1);
}

// Neither the shards nor a copy in them can be allocated.
WEFT_PROCS_TEST(AtomicValue, LoadsWithoutMemory) {
  for (int n = 0; n < 3; ++n) {
    AtomicValue<int> value(1);
    static_assert(noexcept(value.load()));
    for (int i = 0; i < 2; ++i) {
      const testing::AllocationsFailAfter after(n);
      EXPECT_EQ(*value.load(), 1);
    }
    EXPECT_EQ(*value.load(), 1);
    value.store(2);
    EXPECT_EQ(*value.load(), 2);
  }
}

WEFT_PROCS_TEST(AtomicValue, UpdatesLoseNothing) {
  AtomicValue<int> value(0);
  WaitGroup group;
  for (int g = 0; g < 8; ++g) {
    group.go([&] {
      for (int i = 0; i < kRounds / 10; ++i) {
        const auto made = value.update([&](int n) {
          if (i % 16 == 0) yield();
          return n + 1;
        });
        EXPECT_GT(*made, i);
      }
    });
  }
  group.wait();
  EXPECT_EQ(*value.load(), 8 * (kRounds / 10));
}

// Readers see whole values, and none older than a value that they have seen. In the end no value is left.
WEFT_PROCS_TEST(AtomicValue, ReadersSeeWholeValuesInTheirOrder) {
  {
    AtomicValue<Config> value(Config(0));
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0};
    const auto read = [&] {
      int latest = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        const auto config = value.load();
        const int n = config->first;
        wrong += n != config->second || n < latest;
        latest = n;
        yield();
      }
    };
    WaitGroup group;
    for (int g = 0; g < 4; ++g) group.go(read);
    std::thread outside(read);
    for (int i = 1; i <= kRounds; ++i) {
      value.store(Config(i));
      EXPECT_EQ(value.load()->first, i) << "the writer does not see what it stored";
      if (i % 8 == 0) yield();
    }
    stop = true;
    group.wait();
    outside.join();
    EXPECT_EQ(wrong, 0);
    // The copies of the processors are gone, too.
    EXPECT_EQ(Config::alive, 1);
  }
  EXPECT_EQ(Config::alive, 0);
}

// Everybody sees a store from then on, wherever they run. Each goroutine hands its turn to the next.
WEFT_PROCS_TEST(AtomicValue, AStoreIsSeenByEverybodyAfterIt) {
  constexpr int kGoroutines = 8;
  AtomicValue<int> value(0);
  std::vector<Chan<int>> turns;
  turns.reserve(kGoroutines);
  for (int g = 0; g < kGoroutines; ++g) turns.push_back(make_chan<int>(1));
  WaitGroup group;
  for (int g = 0; g < kGoroutines; ++g) {
    group.go([&, g] {
      for (int round = 0; round < kRounds / 50; ++round) {
        const std::optional<int> turn = turns[static_cast<std::size_t>(g)].recv();
        EXPECT_EQ(*value.load(), *turn);
        value.store(*turn + 1);
        turns[static_cast<std::size_t>((g + 1) % kGoroutines)].send(*turn + 1);
      }
    });
  }
  turns[0].send(0);
  group.wait();
  EXPECT_EQ(*value.load(), kGoroutines * (kRounds / 50));
}

WEFT_PROCS_TEST(AtomicValue, AReaderKeepsItsValue) {
  {
    AtomicValue<Config> value(Config(1));
    const auto kept = value.load();
    value.store(Config(2));
    EXPECT_EQ(Config::alive, 2);
    EXPECT_EQ(kept->first, 1);
    EXPECT_EQ(value.load()->first, 2);
  }
  EXPECT_EQ(Config::alive, 0);
}

}  // namespace
}  // namespace weft
