#include "weft/go.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/stats.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;

// To TSan a fiber is a thread, and TSan can hold about 8000 of them.
#ifdef WEFT_TSAN
constexpr int kMany = 4000;
#else
constexpr int kMany = 20000;
#endif

void wait_for(const std::atomic<int>& counter, int target) {
  while (counter.load(std::memory_order_acquire) < target) weft::yield();
}

WEFT_PROCS_TEST(Scheduler, RunsMain) {
  EXPECT_EQ(weft::this_goroutine::id(), 1u);
  EXPECT_EQ(weft::procs(), weft::testing::variant().procs);
  EXPECT_GE(weft::processor_id(), 0);
}

TEST(Scheduler, RunReturnsMainsStatus) {
  EXPECT_EQ(weft::run([] { return 7; }), 7);
  EXPECT_EQ(weft::run([] {}), 0);
  EXPECT_EQ(weft::procs(), 0);
  EXPECT_EQ(weft::processor_id(), -1);
}

TEST(Scheduler, MainDoesNotWaitForOthers) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(weft::run([] {
              for (int i = 0; i < 10; ++i) weft::go([] { weft::sleep(1h); });
              weft::yield();
            }),
            0);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 60s);
}

// Main's return is the end, whatever thread a goroutine that does not come back is on.
TEST(Scheduler, MainDoesNotWaitForAGoroutineThatSpins) {
  static std::atomic<bool> stop;
  stop.store(false, std::memory_order_relaxed);
  static std::atomic<int> spinning;
  spinning.store(0, std::memory_order_relaxed);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(weft::run(
                [] {
                  weft::go([] {
                    spinning.store(1, std::memory_order_release);
                    while (!stop.load(std::memory_order_acquire)) {
                    }
                    spinning.store(2, std::memory_order_release);
                  });
                  while (spinning.load(std::memory_order_acquire) == 0) weft::yield();
                  return 3;
                },
                {.procs = 2}),
            3);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 60s);
  stop.store(true, std::memory_order_release);
  while (spinning.load(std::memory_order_acquire) != 2) std::this_thread::yield();
}

// A main that has computed or blocked for long has lost its processor when it returns. It comes to its end all the
// same, and its stack serves later runs.
TEST(Scheduler, MainEndsWithoutItsProcessor) {
  constexpr std::size_t kRuns = 8;
  std::set<const void*> stacks;
  for (std::size_t i = 0; i < kRuns; ++i) {
    EXPECT_EQ(weft::run([&] {
                stacks.insert(__builtin_frame_address(0));
                std::this_thread::sleep_for(40ms);
              }),
              0);
  }
  EXPECT_LT(stacks.size(), kRuns);
}

// A plain thread talks to goroutines while main returns.
TEST(Scheduler, PlainThreadsMaySendAcrossTheEnd) {
  for (int i = 0; i < 50; ++i) {
    std::thread sender;
    std::atomic<bool> stop{false};
    EXPECT_EQ(weft::run(
                  [&] {
                    auto ch = weft::make_chan<int>(1);
                    weft::go([ch]() mutable {
                      while (ch.recv()) {
                      }
                    });
                    sender = std::thread([&stop, ch]() mutable {
                      while (!stop.load(std::memory_order_acquire)) {
                        ch.try_send(1);
                        static_cast<void>(weft::goroutine_count());
                      }
                    });
                    weft::sleep(1ms);
                  },
                  {.procs = 2}),
              0);
    stop.store(true, std::memory_order_release);
    sender.join();
  }
}

WEFT_PROCS_TEST(Scheduler, EveryGoroutineRunsOnce) {
  std::atomic<int> sum{0};
  for (int round = 0; round < 3; ++round) {
    sum.store(0, std::memory_order_relaxed);
    for (int i = 0; i < kMany; ++i) weft::go([&] { sum.fetch_add(1, std::memory_order_acq_rel); });
    wait_for(sum, kMany);
  }
  EXPECT_EQ(sum.load(std::memory_order_relaxed), kMany);
}

WEFT_PROCS_TEST(Scheduler, YieldLetsOthersRun) {
  std::atomic<int> turns{0};
  std::atomic<int> done{0};
  for (int g = 0; g < 8; ++g) {
    weft::go([&] {
      for (int i = 0; i < 500; ++i) {
        turns.fetch_add(1, std::memory_order_relaxed);
        weft::yield();
      }
      done.fetch_add(1, std::memory_order_release);
    });
  }
  wait_for(done, 8);
  EXPECT_EQ(turns.load(std::memory_order_relaxed), 4000);
}

// Two goroutines that respawn each other for ever do not keep a third one from running.
WEFT_PROCS_TEST(Scheduler, RespawningPairDoesNotStarveOthers) {
  static std::atomic<bool> stop;
  static std::atomic<int> live;
  stop.store(false, std::memory_order_relaxed);
  live.store(1, std::memory_order_relaxed);
  struct Respawn {
    void operator()() const {
      if (!stop.load(std::memory_order_acquire)) {
        live.fetch_add(1, std::memory_order_relaxed);
        weft::go(Respawn{});
      }
      live.fetch_sub(1, std::memory_order_release);
    }
  };
  weft::go(Respawn{});
  weft::sleep(1ms);
  for (int i = 0; i < 20; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    std::atomic<bool> ran{false};
    weft::go([&] { ran.store(true, std::memory_order_release); });
    while (!ran.load(std::memory_order_acquire)) weft::yield();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  }
  stop.store(true, std::memory_order_release);
  while (live.load(std::memory_order_acquire) > 0) weft::yield();
}

WEFT_PROCS_TEST(Scheduler, IdsAndParents) {
  std::atomic<int> done{0};
  const std::uint64_t me = weft::this_goroutine::id();
  std::vector<std::uint64_t> ids(100);
  for (auto& id : ids) {
    weft::go([&] {
      id = weft::this_goroutine::id();
      EXPECT_EQ(weft::this_goroutine::parent_id(), me);
      done.fetch_add(1, std::memory_order_release);
    });
  }
  wait_for(done, 100);
  EXPECT_EQ(std::set<std::uint64_t>(ids.begin(), ids.end()).size(), 100u);
}

WEFT_PROCS_TEST(Scheduler, ListsGoroutinesWithWaitReason) {
  std::atomic<bool> seen{false};
  weft::WaitGroup group;
  group.go([&] {
    while (!seen.load(std::memory_order_acquire)) weft::sleep(50ms);
  });
  const auto end = std::chrono::steady_clock::now() + 30s;
  bool found = false;
  while (!found && std::chrono::steady_clock::now() < end) {
    weft::sleep(1ms);
    for (const weft::GoroutineInfo& g : weft::goroutines()) {
      if (g.wait_reason == "sleep" && g.parent_id == 1 && g.waiting_for < 60s) {
        found = true;
        EXPECT_EQ(g.state, weft::GoroutineState::waiting);
      }
    }
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(weft::goroutine_count(), 2u);
  seen.store(true, std::memory_order_release);
  group.wait();
}

WEFT_PROCS_TEST(Scheduler, GoroutinesSayWhatTheyAreAt) {
  const auto wait_for_ever = weft::make_chan<int>();
  const auto leave = weft::make_chan<int>();
  weft::WaitGroup group;
  group.go([=] { static_cast<void>(wait_for_ever.recv()); });
  group.go([=] {
    weft::blocking([&] {
      // A plain sleep: the goroutine is in a system call for as long as it takes to be seen.
      while (!leave.try_recv().closed) std::this_thread::sleep_for(1ms);
    });
  });
  std::set<std::string> seen;
  EXPECT_TRUE(weft::testing::eventually([&] {
    for (const weft::GoroutineInfo& g : weft::goroutines()) seen.insert(g.status());
    return seen.contains("chan receive") && seen.contains("syscall") && seen.contains("running");
  }));
  leave.close();
  wait_for_ever.close();
  group.wait();
  EXPECT_EQ(weft::to_string(weft::GoroutineState::runnable), "runnable");
  EXPECT_EQ(weft::to_string(weft::GoroutineState::running), "running");
  EXPECT_EQ(weft::to_string(weft::GoroutineState::syscall), "syscall");
  EXPECT_EQ(weft::to_string(weft::GoroutineState::waiting), "waiting");
}

WEFT_PROCS_TEST(Scheduler, PlainThreadsMayStartGoroutines) {
  std::atomic<int> done{0};
  std::thread thread([&] {
    EXPECT_EQ(weft::this_goroutine::id(), 0u);
    for (int i = 0; i < 100; ++i) weft::go([&] { done.fetch_add(1, std::memory_order_release); });
  });
  while (done.load(std::memory_order_acquire) < 100) weft::sleep(1ms);
  thread.join();
}

// The exceptions in flight belong to the goroutine, not to the thread that runs it.
WEFT_PROCS_TEST(Scheduler, ExceptionStateMovesWithTheGoroutine) {
#ifdef WEFT_TSAN
  constexpr int kRounds = 200;
#else
  constexpr int kRounds = 2000;
#endif
  std::atomic<int> done{0};
  struct YieldInDestructor {
    int expected;
    ~YieldInDestructor() {
      EXPECT_EQ(std::uncaught_exceptions(), expected);
      weft::yield();
      EXPECT_EQ(std::uncaught_exceptions(), expected);
    }
  };
  for (int g = 0; g < 4; ++g) {
    weft::go([&, g] {
      for (int i = 0; i < kRounds; ++i) {
        try {
          const YieldInDestructor guard{1};
          throw g * kRounds + i;
        } catch (int value) {
          EXPECT_EQ(value, g * kRounds + i);
          weft::yield();
          EXPECT_EQ(std::uncaught_exceptions(), 0);
          try {
            std::rethrow_exception(std::current_exception());
          } catch (int again) {
            EXPECT_EQ(again, g * kRounds + i);
          }
        }
      }
      done.fetch_add(1, std::memory_order_release);
    });
  }
  wait_for(done, 4);
}

WEFT_PROCS_TEST(Scheduler, LargeClosureAndMoveOnlyClosure) {
  std::atomic<int> done{0};
  struct Large {
    char bytes[4000] = {};
  };
  const Large large{};
  weft::go([large, &done] { done.fetch_add(large.bytes[17] + 1, std::memory_order_release); });
  weft::go([p = std::make_unique<int>(1), &done] { done.fetch_add(*p, std::memory_order_release); });
  wait_for(done, 2);
}

TEST(SchedulerDeathTest, ExceptionThatLeavesAGoroutineEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(weft::run([] {
                weft::go([] { throw std::runtime_error("boom"); });
                weft::sleep(1min);
              }),
              ::testing::ExitedWithCode(2), "panic: std::runtime_error: boom\n\ngoroutine [0-9]+ \\[running\\]:");
}

WEFT_PROCS_TEST(Sleep, NeverEarlyAndNotForZero) {
  const auto begin = std::chrono::steady_clock::now();
  weft::sleep(0ms);
  weft::sleep(-5ms);
  weft::sleep(20ms);
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, 20ms);
  EXPECT_LT(took, 30s);
}

WEFT_PROCS_TEST(Sleep, ManySleepersWakeTogether) {
#ifdef WEFT_TSAN
  constexpr int kSleepers = 1000;
#else
  constexpr int kSleepers = 10000;
#endif
  std::atomic<int> done{0};
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kSleepers; ++i) {
    weft::go([&, begin] {
      weft::sleep(100ms);
      EXPECT_GE(std::chrono::steady_clock::now() - begin, 100ms);
      done.fetch_add(1, std::memory_order_release);
    });
  }
  while (done.load(std::memory_order_acquire) < kSleepers) weft::sleep(5ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 50s);  // one after the other they would take 100 s and more
}

}  // namespace
