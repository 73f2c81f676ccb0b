#include "weft/testing/bubble.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "support/report.h"
#include "weft/chan.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/goroutine_local.h"
#include "weft/mutex.h"
#include "weft/panic.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using weft::testing::bubble;
using weft::testing::eventually;
using weft::testing::kBubbleStart;
using weft::testing::says;
using weft::testing::spin_until;
using weft::testing::wait_until_parked;

nanoseconds elapsed() { return weft::now() - kBubbleStart; }

// Returns what the Panic says that `f` throws, or an empty string without a Panic.
template <typename F>
std::string panic_of(F f) {
  try {
    f();
  } catch (const weft::Panic& panic) {
    return panic.what();
  }
  return {};
}

// --- the clock -------------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Bubble, ADayTakesNoTime) {
  auto best = nanoseconds::max();  // the best of some rounds: the machine may stand still in the middle of one
  for (int i = 0; i < 20; ++i) {
    const auto start = steady_clock::now();
    bubble([] {
      EXPECT_EQ(weft::now(), kBubbleStart);
      weft::sleep(24h);
      EXPECT_EQ(elapsed(), 24h);
    });
    best = std::min<nanoseconds>(best, steady_clock::now() - start);
  }
  EXPECT_LT(best, 100ms);
}

WEFT_PROCS_TEST(Bubble, OneNanosecondApart) {
  for (int i = 0; i < 200; ++i) {
    std::string order;  // needs no lock: one goroutine comes after the other
    bubble([&] {
      weft::go([&] {
        weft::sleep(1s + 1ns);
        order += 'b';
      });
      weft::go([&] {
        weft::sleep(1s);
        order += 'a';
      });
      weft::go([&] {
        weft::sleep(1s + 2ns);
        order += 'c';
      });
      weft::sleep(2s);
    });
    ASSERT_EQ(order, "abc");
  }
}

WEFT_PROCS_TEST(Bubble, ThousandsOfSleepersInExactOrder) {
  constexpr int kSleepers = 3000;
  std::vector<int> delays;
  for (int i = 1; i <= kSleepers; ++i) delays.push_back(i);
  std::shuffle(delays.begin(), delays.end(), std::mt19937(11));
  std::vector<int> woken;
  bubble([&] {
    weft::WaitGroup all;
    for (const int delay : delays) {
      all.go([&woken, delay] {
        weft::sleep(nanoseconds(delay));
        EXPECT_EQ(elapsed(), nanoseconds(delay));
        woken.push_back(delay);
      });
    }
    all.wait();
    EXPECT_EQ(elapsed(), nanoseconds(kSleepers));
  });
  ASSERT_EQ(woken.size(), std::size_t{kSleepers});
  EXPECT_TRUE(std::is_sorted(woken.begin(), woken.end()));
}

WEFT_PROCS_TEST(Bubble, OneInstantForMany) {
  std::atomic<int> woken{0};
  bubble([&] {
    for (int i = 0; i < 500; ++i) {
      weft::go([&] {
        weft::sleep(1h);
        EXPECT_EQ(elapsed(), 1h);
        woken.fetch_add(1, std::memory_order_relaxed);
      });
    }
    weft::sleep(1h + 1ns);
    EXPECT_EQ(woken.load(std::memory_order_relaxed), 500);
  });
}

// Everything that a moment causes happens before the next moment.
WEFT_PROCS_TEST(Bubble, ProducerAndConsumer) {
  std::vector<std::pair<int, nanoseconds>> got;
  bubble([&] {
    const auto items = weft::make_chan<int>();
    weft::go([=] {
      for (int i = 0; i < 100; ++i) {
        weft::sleep(10ms);
        items.send(i);
      }
      items.close();
    });
    for (const int item : items) {
      got.emplace_back(item, elapsed());
      weft::sleep(item % 2 == 0 ? 3ms : 17ms);
    }
  });
  ASSERT_EQ(got.size(), 100u);
  // The consumer is late for every item after an odd one. The producer sends that item late, and starts the next 10 ms
  // later.
  nanoseconds sent{};
  nanoseconds free{};
  for (int i = 0; i < 100; ++i) {
    sent = std::max<nanoseconds>(sent + 10ms, free);
    ASSERT_EQ(got[static_cast<std::size_t>(i)], std::pair(i, sent)) << i;
    free = sent + (i % 2 == 0 ? 3ms : 17ms);
  }
}

WEFT_PROCS_TEST(Bubble, ClockWaitsForWhoComputes) {
  bubble([] {
    std::atomic<bool> done{false};
    weft::go([&] {
      const auto end = steady_clock::now() + 30ms;
      while (steady_clock::now() < end) EXPECT_EQ(weft::now(), kBubbleStart);
      for (int i = 0; i < 100; ++i) weft::yield();
      EXPECT_EQ(weft::now(), kBubbleStart);
      done.store(true, std::memory_order_relaxed);
    });
    weft::sleep(1ns);
    EXPECT_TRUE(done.load(std::memory_order_relaxed));
  });
}

WEFT_PROCS_TEST(Bubble, ClockWaitsForABlockingCall) {
  bubble([] {
    std::atomic<bool> done{false};
    weft::go([&] {
      weft::blocking([] { std::this_thread::sleep_for(30ms); });
      EXPECT_EQ(weft::now(), kBubbleStart);
      done.store(true, std::memory_order_relaxed);
    });
    weft::sleep(1ns);
    EXPECT_TRUE(done.load(std::memory_order_relaxed));
  });
}

// The holder of the mutex is outside and not in a hurry.
WEFT_PROCS_TEST(Bubble, ClockWaitsForAMutex) {
  weft::Mutex mutex;
  const auto held = weft::make_chan<bool>();
  const auto release = weft::make_chan<bool>();
  weft::go([&, held, release] {
    mutex.lock();
    held.send(true);
    release.recv();
    mutex.unlock();
  });
  held.recv();
  weft::go([release] {
    EXPECT_TRUE(wait_until_parked(1, "sync.Mutex.Lock"));
    weft::sleep(20ms);
    release.send(true);
  });
  bubble([&] {
    weft::go([&] {
      mutex.lock();
      EXPECT_EQ(weft::now(), kBubbleStart);
      mutex.unlock();
    });
    weft::sleep(1h);
    mutex.lock();  // both have held it by now
    mutex.unlock();
  });
}

// A goroutine in the bubble holds the mutex and sleeps, so nobody can go on. The runtime reports this, because no
// bubble does.
TEST(BubbleDeathTest, MutexOverASleepIsADeadlock) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(weft::run(
                    [] {
                      bubble([] {
                        weft::Mutex mutex;
                        mutex.lock();
                        weft::go([&] { mutex.lock(); });
                        weft::sleep(1h);
                        mutex.unlock();
                      });
                    },
                    {.procs = procs, .log = weft::testing::ignore}),
                ::testing::ExitedWithCode(2), "^fatal error: all goroutines are asleep - deadlock!\n");
  }
}

WEFT_PROCS_TEST(Bubble, OutsideIsRealTime) {
  std::atomic<bool> stop{false};
  weft::WaitGroup outside;
  outside.go([&] {
    while (!stop.load(std::memory_order_acquire)) {
      const auto before = steady_clock::now();
      weft::sleep(1ms);
      EXPECT_GE(steady_clock::now() - before, 1ms);
      const auto now = weft::now();
      EXPECT_GE(now, before);
      EXPECT_LE(now, steady_clock::now());
    }
  });
  for (int i = 0; i < 50; ++i) {
    bubble([] {
      weft::sleep(1h);
      weft::blocking([] { std::this_thread::sleep_for(100us); });
      weft::sleep(1h);
      EXPECT_EQ(elapsed(), 2h);
    });
  }
  stop.store(true, std::memory_order_release);
  outside.wait();
  const auto before = steady_clock::now();
  weft::sleep(1ms);
  EXPECT_GE(steady_clock::now() - before, 1ms);
}

WEFT_PROCS_TEST(Bubble, ManySideBySide) {
  weft::WaitGroup all;
  for (int b = 1; b <= 20; ++b) {
    all.go([b] {
      bubble([b] {
        for (int g = 1; g <= 10; ++g) {
          weft::go([=] {
            for (int i = 1; i <= 10; ++i) {
              weft::sleep(std::chrono::seconds(b * g));
              EXPECT_EQ(elapsed(), i * std::chrono::seconds(b * g));
            }
          });
        }
        weft::sleep(std::chrono::hours(1));
      });
    });
  }
  all.wait();
}

WEFT_PROCS_TEST(Bubble, InheritedByGrandchildren) {
  bubble([] {
    const auto end = weft::make_chan<nanoseconds>();
    weft::go([=] {
      weft::sleep(1h);
      weft::go([=] {
        weft::sleep(1h);
        end.send(elapsed());
      });
    });
    EXPECT_EQ(end.recv(), 2h);
  });
}

WEFT_PROCS_TEST(Bubble, LeavesNothingBehind) {
  const std::size_t before = weft::runtime_stats().goroutines;
  for (int i = 0; i < 1000; ++i) {
    bubble([] {
      weft::go([] { weft::sleep(1s); });
      auto [ctx, cancel] = weft::with_timeout(weft::background(), 1h);
      weft::sleep(2s);
    });
  }
  EXPECT_EQ(weft::runtime_stats().goroutines, before);
  EXPECT_EQ(weft::runtime_stats().timers, 0u);
}

// --- contexts --------------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Bubble, ContextTimeout) {
  bubble([] {
    auto [ctx, cancel] = weft::with_timeout(weft::background(), 5s);
    EXPECT_EQ(ctx.deadline(), kBubbleStart + 5s);
    weft::sleep(5s - 1ns);
    weft::testing::wait();
    EXPECT_FALSE(ctx.err());
    weft::sleep(1ns);
    weft::testing::wait();
    EXPECT_EQ(ctx.err(), weft::Errc::context_deadline_exceeded);

    const auto [late, cancel_late] = weft::with_deadline(weft::background(), weft::now() + 1min);
    late.done().recv();
    EXPECT_EQ(elapsed(), 65s);
    EXPECT_TRUE(weft::with_deadline(weft::background(), weft::now()).first.err());
  });
}

WEFT_PROCS_TEST(Bubble, AfterFuncRunsInTheBubble) {
  nanoseconds at{};
  bubble([&] {
    auto [ctx, cancel] = weft::with_timeout(weft::background(), 1h);
    weft::after_func(ctx, [&] {
      weft::sleep(1h);
      at = elapsed();
    });
    weft::sleep(3h);
    EXPECT_EQ(at, 2h);
  });
}

WEFT_PROCS_TEST(Bubble, CancelBeforeTheTimeout) {
  bubble([] {
    auto [ctx, cancel] = weft::with_timeout(weft::background(), 1h);
    weft::go([end = cancel] {
      weft::sleep(1min);
      end();
    });
    ctx.done().recv();
    EXPECT_EQ(elapsed(), 1min);
    EXPECT_EQ(ctx.err(), weft::Errc::canceled);
  });
}

// The timer of the context ends with the bubble; the context is destroyed later.
WEFT_PROCS_TEST(Bubble, ContextMayOutliveIt) {
  weft::Context kept;
  bubble([&] { kept = weft::with_timeout(weft::background(), 1h).first; });
  EXPECT_FALSE(kept.err());
  kept = {};
}

// --- wait() ----------------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Bubble, WaitReturnsWhenTheOthersAreBlocked) {
  bubble([] {
    weft::testing::wait();      // there are no others
    std::vector<int> done(50);  // needs no lock: wait() orders the accesses
    const auto go_on = weft::make_chan<bool>();
    for (int& d : done) {
      weft::go([&d, go_on] {
        for (int i = 0; i < 20; ++i) weft::yield();
        d = 1;
        go_on.recv();
        d = 2;
        weft::sleep(1s);
        d = 3;
      });
    }
    weft::testing::wait();
    EXPECT_EQ(done, std::vector(50, 1));
    go_on.close();
    weft::testing::wait();
    EXPECT_EQ(done, std::vector(50, 2));
    EXPECT_EQ(weft::now(), kBubbleStart);
    weft::sleep(1s);
    weft::testing::wait();
    EXPECT_EQ(done, std::vector(50, 3));
    EXPECT_EQ(elapsed(), 1s);
  });
}

WEFT_PROCS_TEST(Bubble, WaitWaitsForMutexesAndBlockingCalls) {
  bubble([] {
    weft::Mutex mutex;
    int done = 0;
    for (int i = 0; i < 5; ++i) {
      weft::go([&] {
        mutex.lock();
        weft::blocking([] { std::this_thread::sleep_for(2ms); });
        ++done;
        mutex.unlock();
      });
    }
    weft::testing::wait();
    EXPECT_EQ(done, 5);
  });
}

WEFT_PROCS_TEST(Bubble, OneWaitAtATime) {
  bubble([] {
    std::atomic<int> refused{0};
    const auto done = weft::make_chan<bool>(2);
    for (int i = 0; i < 2; ++i) {
      weft::go([&, done] {
        const std::string text = panic_of([] { weft::testing::wait(); });
        if (!text.empty()) {
          EXPECT_EQ(text, "testing::wait: wait already in progress");
          refused.fetch_add(1, std::memory_order_relaxed);
        }
        done.send(true);
      });
    }
    // The first goroutine to wait can't go on before the second has come, because the second is not blocked.
    done.recv();
    done.recv();
    EXPECT_LE(refused.load(std::memory_order_relaxed), 1);
  });
}

WEFT_PROCS_TEST(Bubble, WaitOutsideThrows) {
  EXPECT_EQ(panic_of([] { weft::testing::wait(); }), "testing::wait outside a bubble: call it inside testing::bubble");
}

// --- ends ------------------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(Bubble, ReturnsWhenAllHaveEnded) {
  std::atomic<bool> ended{false};
  bubble([&] {
    weft::go([&] {
      weft::blocking([] { std::this_thread::sleep_for(10ms); });
      ended.store(true, std::memory_order_relaxed);
    });
  });
  EXPECT_TRUE(ended.load(std::memory_order_relaxed));
}

WEFT_PROCS_TEST(Bubble, NestedThrows) {
  std::string text;
  bubble([&] {
    text = panic_of([] { bubble([] {}); });
    weft::sleep(1h);
    EXPECT_EQ(elapsed(), 1h);
  });
  EXPECT_EQ(text, "testing::bubble inside a bubble: bubbles don't nest");
}

WEFT_PROCS_TEST(Bubble, ExceptionComesThroughWhenTheOthersHaveEnded) {
  std::atomic<bool> ended{false};
  try {
    bubble([&] {
      weft::go([&] {
        weft::blocking([] { std::this_thread::sleep_for(5ms); });
        ended.store(true, std::memory_order_relaxed);
      });
      throw std::runtime_error("seen");
    });
    ADD_FAILURE() << "nothing thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "seen");
    EXPECT_TRUE(ended.load(std::memory_order_relaxed));
  }
  bubble([] { weft::sleep(1h); });
}

struct CountsItsEnd {
  int* ends;
  ~CountsItsEnd() { ++*ends; }
};

WEFT_PROCS_TEST(Bubble, MainMayCallExitGoroutine) {
  int ends = 0;
  bubble([&] {
    const CountsItsEnd counted{&ends};
    weft::sleep(1h);
    weft::exit_goroutine();
  });
  EXPECT_EQ(ends, 1);
}

WEFT_PROCS_TEST(Bubble, LockedToAThread) {
  bubble([] {
    weft::go([] {
      weft::lock_os_thread();
      weft::sleep(1h);
      EXPECT_EQ(elapsed(), 1h);
      weft::unlock_os_thread();
    });
    weft::sleep(2h);
  });
}

TEST(BubbleDeathTest, OutsideAGoroutine) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(bubble([] {}), ::testing::ExitedWithCode(2),
              "^fatal error: testing::bubble outside a goroutine: call it inside weft::run\n");
}

// --- from outside ----------------------------------------------------------------------------------------------------

// Plain threads and goroutines wake members at any moment, while the clock moves. Nothing is lost and nobody runs
// twice.
WEFT_PROCS_TEST(Bubble, WokenFromOutsideAtAnyMoment) {
  constexpr int kItems = 2000;
  const auto items = weft::make_chan<int>(4);
  std::thread thread([=] {
    for (int i = 0; i < kItems; ++i) items.send(1);
  });
  weft::go([=] {
    for (int i = 0; i < kItems; ++i) items.send(1);
  });
  int received = 0;
  bubble([&] {
    std::atomic<bool> stop{false};
    weft::WaitGroup ticker;
    ticker.go([&] {  // keeps a timer pending; without one, waiting for the outside would be a deadlock
      while (!stop.load(std::memory_order_relaxed)) weft::sleep(1s);
    });
    weft::go([&] {
      for (int i = 0; i < 2 * kItems; ++i) received += *items.recv();
      stop.store(true, std::memory_order_relaxed);
    });
    while (!stop.load(std::memory_order_relaxed)) {
      weft::testing::wait();
      weft::sleep(1s);
    }
    ticker.wait();
  });
  thread.join();
  EXPECT_EQ(received, 2 * kItems);
}

// --- deadlocks -------------------------------------------------------------------------------------------------------
// The blocked goroutines stay until the runtime ends, so these tests run without the look at what is left.

void for_procs(void (*body)()) {
  for (const int procs : {1, 2, 4}) EXPECT_EQ(weft::run(body, {.procs = procs}), 0);
}

TEST(BubbleDeadlock, NamesEveryGoroutine) {
  for_procs([] {
    const auto ch = weft::make_chan<int>();
    std::uint64_t main_id = 0;
    std::uint64_t child_id = 0;
    const std::string text = panic_of([&] {
      bubble([&] {
        main_id = weft::this_goroutine::id();
        weft::WaitGroup group;
        weft::go([&, ch] {
          child_id = weft::this_goroutine::id();
          ch.recv();
        });
        weft::testing::wait();
        group.add(1);
        group.wait();
      });
    });
    const std::string me = std::to_string(weft::this_goroutine::id());
    EXPECT_EQ(text.find("deadlock: all goroutines in bubble are blocked\n"), 0u) << text;
    const auto has = [&](const std::string& part) {
      EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in:\n" << text;
    };
    has("goroutine " + std::to_string(main_id) + " [sync.WaitGroup.Wait], started by goroutine " + me + " at " +
        __FILE__ + ":");
    has("goroutine " + std::to_string(child_id) + " [chan receive], started by goroutine " + std::to_string(main_id) +
        " at " + __FILE__ + ":");
    EXPECT_EQ(weft::testing::count(text, "\n"), 2u) << text;

    // The blocked goroutines are not woken any more, and do not keep others from anything.
    EXPECT_FALSE(ch.try_send(1) && ch.try_send(2));
    bubble([] { weft::sleep(1h); });
    weft::sleep(1ms);
  });
}

TEST(BubbleDeadlock, MainHasEndedAndOthersSleep) {
  for_procs([] {
    const std::string text = panic_of([] {
      bubble([] {
        weft::go([] {
          for (;;) weft::sleep(1s);
        });
      });
    });
    EXPECT_EQ(text.find("deadlock: main bubble goroutine has exited but blocked goroutines remain\n"), 0u) << text;
    EXPECT_NE(text.find(" [sleep], started by "), std::string::npos) << text;
  });
}

TEST(BubbleDeadlock, SleepForEver) {
  for_procs([] {
    const std::string text = panic_of([] { bubble([] { weft::sleep(nanoseconds::max()); }); });
    EXPECT_EQ(text.find("deadlock: all goroutines in bubble are blocked\n"), 0u) << text;
  });
}

TEST(BubbleDeadlock, ExceptionOfMainCountsMore) {
  for_procs([] {
    EXPECT_THROW(bubble([] {
                   weft::go([] { weft::make_chan<int>().recv(); });
                   throw std::runtime_error("first");
                 }),
                 std::runtime_error);
  });
}

// A goroutine that was left blocked and is woken from outside does not run.
TEST(BubbleDeadlock, NobodyComesBack) {
  for_procs([] {
    const auto ch = weft::make_chan<int>();
    std::atomic<bool> came_back{false};
    EXPECT_NE(panic_of([&] {
                bubble([&] {
                  ch.recv();
                  came_back.store(true, std::memory_order_relaxed);
                });
              }),
              "");
    ch.send(1);
    weft::sleep(2ms);
    EXPECT_FALSE(came_back.load(std::memory_order_relaxed));
  });
}

// As in any goroutine, the process ends when nobody catches the Panic.
TEST(BubbleDeathTest, UncaughtDeadlockEndsTheProcess) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(weft::run([] { bubble([] { weft::make_chan<int>().recv(); }); }, {.log = weft::testing::ignore}),
              ::testing::ExitedWithCode(2), "^panic: weft::Panic: deadlock: all goroutines in bubble are blocked\n");
}

// The bubble goes on, however long the clock's jumps take to come: the runtime's own detector must not take it for
// dead.
TEST(BubbleDeathTest, NoDeadlockWhileTheClockMoves) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(weft::run(
                    [] {
                      bubble([] {
                        for (int i = 0; i < 100; ++i) {
                          weft::sleep(24h);
                          // Computes until its processor is taken. Then it parks without a processor.
                          const auto end = steady_clock::now() + 12ms;
                          while (steady_clock::now() < end) {
                          }
                        }
                      });
                      std::_Exit(17);
                    },
                    {.procs = procs, .log = weft::testing::ignore}),
                ::testing::ExitedWithCode(17), "^$");
  }
}

}  // namespace
