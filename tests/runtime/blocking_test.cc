// weft::blocking(): a call that blocks its thread blocks nobody else.
#include "weft/go.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "support/eventually.h"
#include "support/matrix.h"
#include "support/report.h"
#include "weft/chan.h"
#include "weft/mutex.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::eventually;

// Blocks the thread until the flag is set.
bool block_until(const std::atomic<bool>& flag) {
  for (const auto end = weft::testing::patience_end(); !flag.load(std::memory_order_acquire);) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

weft::GoroutineState my_state() {
  for (const weft::GoroutineInfo& g : weft::goroutines()) {
    if (g.id == weft::this_goroutine::id()) return g.state;
  }
  return weft::GoroutineState::waiting;
}

// --- what the caller sees --------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Blocking, ReturnsWhatTheFunctionReturns) {
  int value = 1;
  EXPECT_EQ(weft::blocking([] { return 7; }), 7);
  EXPECT_EQ(*weft::blocking([] { return std::make_unique<int>(8); }), 8);
  EXPECT_EQ(&weft::blocking([&]() -> int& { return value; }), &value);
  weft::blocking([&] { value = 2; });
  EXPECT_EQ(value, 2);
}

WEFT_PROCS_TEST(Blocking, ShowsAsSyscall) {
  EXPECT_EQ(my_state(), weft::GoroutineState::running);
  weft::blocking([] {
    EXPECT_EQ(my_state(), weft::GoroutineState::syscall);
    weft::blocking([] {});
    EXPECT_EQ(my_state(), weft::GoroutineState::syscall);
  });
  EXPECT_EQ(my_state(), weft::GoroutineState::running);
}

WEFT_PROCS_TEST(Blocking, LetsExceptionsThrough) {
  for (int i = 0; i < 20; ++i) {
    try {
      weft::blocking([&] {
        weft::blocking([&] {
          if (i % 2 == 0) std::this_thread::sleep_for(1ms);
          throw std::runtime_error("boom");
        });
      });
      ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "boom");
      weft::yield();
      EXPECT_EQ(my_state(), weft::GoroutineState::running);
    }
  }
}

WEFT_PROCS_TEST(Blocking, LeavesTheGoroutineOnAProcessor) {
  std::atomic<bool> stop{false};
  weft::WaitGroup group;
  for (int i = 0; i < 4; ++i) {
    group.go([&] {
      while (!stop.load(std::memory_order_acquire)) weft::yield();
    });
  }
  for (int i = 0; i < 20; ++i) {
    weft::blocking([] {
      EXPECT_GE(weft::processor_id(), 0);
      std::this_thread::sleep_for(2ms);
    });
    EXPECT_GE(weft::processor_id(), 0);
    EXPECT_LT(weft::processor_id(), weft::procs());
    EXPECT_GE(weft::machine_id(), 0);
  }
  stop.store(true, std::memory_order_release);
  group.wait();
}

TEST(Blocking, OnAPlainThreadItJustCalls) {
  EXPECT_EQ(weft::blocking([] { return 7; }), 7);
  weft::run([] { std::thread([] { EXPECT_EQ(weft::blocking([] { return weft::processor_id(); }), -1); }).join(); });
}

// --- what others see -------------------------------------------------------------------------------------------------

// The call lasts until the ticker has ticked, and the ticker ticks only while the call lasts.
WEFT_PROCS_TEST(Blocking, TickerTicksMeanwhile) {
  std::atomic<bool> inside{false};
  std::atomic<bool> ticked{false};
  weft::WaitGroup group;
  group.go([&] {
    ASSERT_TRUE(eventually([&] { return inside.load(std::memory_order_acquire); }));
    for (int i = 0; i < 30; ++i) weft::sleep(10ms);
    ticked.store(true, std::memory_order_release);
  });
  weft::blocking([&] {
    inside.store(true, std::memory_order_release);
    EXPECT_TRUE(block_until(ticked));
  });
  group.wait();
}

// Nobody waits when the calls begin. Work that comes later runs all the same.
WEFT_PROCS_TEST(Blocking, WorkFromOutsideRunsMeanwhile) {
  const int procs = weft::testing::variant().procs;
  std::latch all_in(procs + 1);
  std::atomic<bool> ran{false};
  std::thread outside([&] {
    all_in.arrive_and_wait();
    std::this_thread::sleep_for(5ms);
    weft::go([&] { ran.store(true, std::memory_order_release); });
  });
  weft::WaitGroup group;
  for (int i = 0; i < procs; ++i) {
    group.go([&] {
      weft::blocking([&] {
        all_in.arrive_and_wait();
        EXPECT_TRUE(block_until(ran));
      });
    });
  }
  group.wait();
  outside.join();
}

// --- inside ----------------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Blocking, EverythingMayBeCalledInside) {
  auto request = weft::make_chan<int>();
  auto answer = weft::make_chan<int>();
  weft::Mutex mutex;
  int guarded = 0;
  weft::WaitGroup group;
  group.go([&] {
    for (const int i : request) answer.send(i + 1);
  });
  weft::WaitGroup callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.go([&] {
      for (int i = 0; i < 20; ++i) {
        weft::blocking([&] {
          weft::WaitGroup children;
          children.go([&] { weft::sleep(100us); });
          {
            const std::lock_guard lock(mutex);
            ++guarded;
            weft::yield();
            request.send(i);
            EXPECT_EQ(answer.recv(), i + 1);
          }
          std::this_thread::sleep_for(100us);
          weft::blocking([&] {
            weft::sleep(100us);
            children.wait();
          });
          EXPECT_EQ(my_state(), weft::GoroutineState::syscall);
        });
      }
    });
  }
  callers.wait();
  EXPECT_EQ(guarded, 80);
  request.close();
  group.wait();
}

// --- threads ---------------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Blocking, ThreadsAreKeptForTheNextCalls) {
  constexpr int kCalls = 200;
  int machines_before = 0;
  for (int round = 0; round < 4; ++round) {
    std::latch all_in(kCalls);
    std::atomic<int> within{0};
    weft::WaitGroup group;
    for (int i = 0; i < kCalls; ++i) {
      group.go([&] {
        weft::blocking([&] {
          within.fetch_add(1, std::memory_order_relaxed);
          all_in.arrive_and_wait();
        });
      });
    }
    group.wait();
    EXPECT_EQ(within.load(std::memory_order_relaxed), kCalls);
    // Before the next round, all machines wait for a processor except those that hold one.
    EXPECT_TRUE(eventually([] {
      const weft::RuntimeStats stats = weft::runtime_stats();
      return stats.idle_machines + stats.procs >= stats.machines;
    }));
    const int machines = weft::runtime_stats().machines;
    EXPECT_GE(machines, kCalls);
    if (round > 0) {
      EXPECT_LT(machines, machines_before + kCalls / 2);
    }
    machines_before = machines;
  }
}

TEST(BlockingDeathTest, MoreCallsAtOnceThanThreadsEndTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(weft::run(
                  [] {
                    for (int i = 0; i < 20; ++i) {
                      weft::go([] { weft::blocking([] { ::pause(); }); });
                    }
                    weft::sleep(10min);
                  },
                  {.procs = 1, .max_threads = 8, .log = weft::testing::ignore}),
              ::testing::ExitedWithCode(2), "runtime: program exceeds 8-thread limit\nfatal error: thread exhaustion");
}

}  // namespace
