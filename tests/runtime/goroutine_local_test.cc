#include "weft/goroutine_local.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

GoroutineLocal<int> counter;
GoroutineLocal<std::string> named([] { return std::string("new"); });

WEFT_PROCS_TEST(GoroutineLocal, EachGoroutineHasItsOwn) {
  constexpr int kGoroutines = 50;
  counter.get() = 1000;
  std::atomic<int> right{0};
  WaitGroup group;
  for (int i = 0; i < kGoroutines; ++i) {
    group.go([&right, i] {
      EXPECT_EQ(counter.find(), nullptr);
      int& mine = *counter;
      EXPECT_EQ(mine, 0) << "inherited";
      EXPECT_EQ(*named, "new");
      for (int round = 0; round < 10; ++round) {
        *counter += i;
        *named += 'x';
        yield();  // perhaps continues on another thread
      }
      EXPECT_EQ(&mine, counter.find());
      right += *counter == 10 * i && *named == "newxxxxxxxxxx";
    });
  }
  group.wait();
  EXPECT_EQ(right, kGoroutines);
  EXPECT_EQ(*counter, 1000);
}

// Notes when it is destroyed, and by which goroutine.
struct Mark {
  std::vector<std::pair<int, std::uint64_t>>* log = nullptr;
  int number = 0;
  Mark() = default;
  Mark(Mark&& other) noexcept : log(std::exchange(other.log, nullptr)), number(other.number) {}
  ~Mark() {
    if (log == nullptr) return;
    yield();  // a destructor may yield like any other code of a goroutine
    log->emplace_back(number, this_goroutine::id());
  }
};

GoroutineLocal<Mark> first;
GoroutineLocal<Mark> second;
GoroutineLocal<Mark> third;

WEFT_PROCS_TEST(GoroutineLocal, DestroysInReverseOrderOnItsOwnStack) {
  std::vector<std::pair<int, std::uint64_t>> log;
  std::uint64_t id = 0;
  auto mark = [&log](GoroutineLocal<Mark>& local, int number) {
    local->log = &log;
    local->number = number;
  };
  auto ended = make_chan<int>();
  struct CloseAtEnd {
    Chan<int> chan;
    ~CloseAtEnd() {
      if (chan) chan.close();
    }
  };
  static GoroutineLocal<std::unique_ptr<CloseAtEnd>> at_end;
  go([&, ended] {
    at_end->reset(new CloseAtEnd{ended});  // the oldest value, so it is destroyed last
    id = this_goroutine::id();
    mark(second, 2);
    mark(third, 3);
    mark(first, 1);
  });
  EXPECT_FALSE(ended.recv());
  const std::vector<std::pair<int, std::uint64_t>> expected = {{1, id}, {3, id}, {2, id}};
  EXPECT_EQ(log, expected);
}

// A goroutine that takes the slot of another one starts without the values of that one.
WEFT_PROCS_TEST(GoroutineLocal, NothingIsLeftForTheNextGoroutineInTheSlot) {
  for (int i = 0; i < 100; ++i) {
    WaitGroup group;
    group.go([] {
      EXPECT_EQ(counter.find(), nullptr);
      *counter = 7;
    });
    group.wait();
  }
}

// What a destructor asks for is made again, although it was already destroyed, and is destroyed too.
struct UsesCounter {
  Chan<int>* seen = nullptr;
  UsesCounter() = default;
  UsesCounter(UsesCounter&& other) noexcept : seen(std::exchange(other.seen, nullptr)) {}
  ~UsesCounter() {
    if (seen != nullptr) seen->send((*counter)++);
  }
};
GoroutineLocal<UsesCounter> uses_counter;

WEFT_PROCS_TEST(GoroutineLocal, ADestructorMayUseOthers) {
  auto seen = make_chan<int>();
  go([&] {
    uses_counter->seen = &seen;
    *counter = 5;  // younger, so it is destroyed first
  });
  EXPECT_EQ(seen.recv(), 0);
}

WEFT_PROCS_TEST(GoroutineLocal, MayBeMadeWhileAnotherIsMade) {
  static GoroutineLocal<int> inner([] { return 3; });
  static GoroutineLocal<int> outer([] { return 10 * *inner; });
  WaitGroup group;
  group.go([] { EXPECT_EQ(*outer, 30); });
  group.wait();
}

WEFT_PROCS_TEST(GoroutineLocal, WhatTheMakerThrowsLeavesGet) {
  static std::atomic<bool> refuse{true};
  static GoroutineLocal<int> guarded([] {
    if (refuse) throw std::runtime_error("not yet");
    return 4;
  });
  refuse = true;
  EXPECT_THROW(guarded.get(), std::runtime_error);
  EXPECT_EQ(guarded.find(), nullptr);
  refuse = false;
  EXPECT_EQ(*guarded, 4);
}

TEST(GoroutineLocal, PlainThreadsHaveTheirOwn) {
  std::vector<std::pair<int, std::uint64_t>> log;
  *counter = 1;
  std::thread thread([&] {
    EXPECT_EQ(counter.find(), nullptr);
    *counter = 2;
    first->log = &log;
    first->number = 1;
    EXPECT_EQ(*counter, 2);
  });
  thread.join();
  const std::vector<std::pair<int, std::uint64_t>> expected = {{1, 0}};
  EXPECT_EQ(log, expected);
  EXPECT_EQ(*counter, 1);
}

// Main's values are destroyed while the runtime still runs, because their destructors may block.
TEST(GoroutineLocal, MainsGoBeforeTheRuntimeStops) {
  std::vector<std::pair<int, std::uint64_t>> log;
  run([&] {
    first->log = &log;
    first->number = 1;
  });
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].second, 1u);
}

TEST(GoroutineLocalDeathTest, ValuesThatMakeEachOtherForEverAreNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  struct Again {
    std::unique_ptr<int> alive = std::make_unique<int>(0);
    void (*remake)() = nullptr;
    Again() = default;
    Again(Again&&) = default;
    ~Again() {
      if (alive && remake != nullptr) remake();
    }
  };
  static GoroutineLocal<Again> again;
  static void (*remake)() = [] { again->remake = remake; };
  EXPECT_EXIT(run([] { remake(); }), ::testing::ExitedWithCode(2),
              "GoroutineLocal values make each other's values for ever");
}

}  // namespace
}  // namespace weft
