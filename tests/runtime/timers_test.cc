// Timer, Ticker, after and after_func. tests/runtime/timer_test.cc tests the heap below them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/src/sched/constants.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "support/panics.h"
#include "support/parked.h"
#include "support/scale.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/select.h"
#include "weft/stats.h"
#include "weft/sync.h"
#include "weft/testing/bubble.h"
#include "weft/time.h"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::bubble;
using testing::eventually;
using testing::kScale;
using testing::panic_text;
using testing::wait_until_parked;

// --- Timer ---

WEFT_PROCS_TEST(Timers, TickOnceForTheTimeThatWasSet) {
  bubble([] {
    const TimePoint start = now();
    const Timer timer(10ms);
    EXPECT_EQ(timer.chan().recv(), start + 10ms);
    EXPECT_EQ(now(), start + 10ms);
    EXPECT_FALSE(timer.stop());
    EXPECT_EQ(timer.chan().try_recv(), std::nullopt);
  });
}

WEFT_PROCS_TEST(Timers, NeverTickEarly) {
  for (int i = 0; i < 20; ++i) {
    const TimePoint start = now();
    Timer(std::chrono::microseconds(i * 100)).chan().recv();
    ASSERT_GE(now() - start, std::chrono::microseconds(i * 100));
  }
}

WEFT_PROCS_TEST(Timers, NoTimeAndLessIsAtOnce) {
  bubble([] {
    for (const auto d : {0s, -1s}) {
      EXPECT_TRUE(after(d).try_recv());
      EXPECT_TRUE(after(d).recv());
      const Timer timer(1h);
      EXPECT_TRUE(timer.reset(d));
      EXPECT_TRUE(timer.chan().recv());
    }
  });
}

WEFT_PROCS_TEST(Timers, ATimeBeforeNowIsNow) {
  bubble([] { EXPECT_EQ(Timer(-1h).chan().recv(), now()); });
}

WEFT_PROCS_TEST(Timers, TheEndOfTheClockIsArmedAndNeverComes) {
  const Timer timer(std::chrono::nanoseconds::max());
  EXPECT_EQ(timer.chan().try_recv(), std::nullopt);
  EXPECT_TRUE(timer.stop());
  EXPECT_FALSE(timer.stop());
}

// A timer that has expired but was not received counts as armed, and stop() takes the tick away.
WEFT_PROCS_TEST(Timers, AnExpiredTimerThatWasNotReadIsStopped) {
  bubble([] {
    const Timer timer(1ms);
    sleep(5ms);
    EXPECT_TRUE(timer.stop());
    EXPECT_EQ(timer.chan().try_recv(), std::nullopt);
    EXPECT_FALSE(timer.stop());
    sleep(5ms);
    EXPECT_EQ(select(on_recv(timer.chan()), on_default()), 1u);
  });
}

// Tests the same beside a case that was ready, too, and was chosen.
WEFT_PROCS_TEST(Timers, AnExpiredTimerThatWasNotChosenIsStopped) {
  bubble([] {
    const auto other = make_chan<int>(1);
    int taken_back = 0;
    for (int i = 0; i < 40; ++i) {
      const Timer timer(1ms);
      sleep(2ms);
      other.send(1);
      const std::size_t chosen = select(on_recv(timer.chan()), on_recv(other));
      if (chosen == 0) {
        EXPECT_FALSE(timer.stop());
        other.recv();
      } else {
        EXPECT_TRUE(timer.stop());
        ++taken_back;
      }
      EXPECT_EQ(timer.chan().try_recv(), std::nullopt);
    }
    EXPECT_GT(taken_back, 0);
  });
}

WEFT_PROCS_TEST(Timers, AnExpiredTimerThatWasReadIsNotStopped) {
  bubble([] {
    const Timer timer(1ms);
    sleep(2ms);
    EXPECT_TRUE(timer.chan().recv());
    EXPECT_FALSE(timer.stop());
    EXPECT_FALSE(timer.reset(1ms));
    EXPECT_TRUE(timer.chan().recv());
  });
}

WEFT_PROCS_TEST(Timers, ResetForgetsTheTimeBefore) {
  bubble([] {
    const TimePoint start = now();
    const Timer timer(1ms);
    sleep(5ms);
    EXPECT_TRUE(timer.reset(10ms));
    EXPECT_EQ(timer.chan().try_recv(), std::nullopt);
    EXPECT_EQ(timer.chan().recv(), start + 15ms);
    EXPECT_FALSE(timer.reset(1h));
    EXPECT_TRUE(timer.reset(1ms));
    EXPECT_EQ(timer.chan().recv(), start + 16ms);
  });
}

// Timers are moved while somebody waits, to an earlier and to a later time; they are stopped, and started again.
WEFT_PROCS_TEST(Timers, AreMovedUnderAWaitingReceiver) {
  bubble([] {
    const TimePoint start = now();
    const Timer timer(1h);
    std::vector<TimePoint> got;
    WaitGroup group;
    group.go([&] {
      for (int i = 0; i < 3; ++i) got.push_back(*timer.chan().recv());
    });
    testing::wait();
    EXPECT_TRUE(timer.reset(1ms));
    testing::wait();
    sleep(2ms);
    testing::wait();
    EXPECT_FALSE(timer.reset(1ms));
    testing::wait();
    EXPECT_TRUE(timer.reset(10ms));
    sleep(5ms);
    EXPECT_EQ(got.size(), 1u);
    sleep(10ms);
    EXPECT_EQ(got.size(), 2u);
    timer.reset(1ms);
    EXPECT_TRUE(timer.stop());
    sleep(1h);
    EXPECT_EQ(got.size(), 2u);
    EXPECT_FALSE(timer.reset(0s));
    group.wait();
    EXPECT_EQ(got, (std::vector{start + 1ms, start + 12ms, start + 1h + 17ms}));
  });
}

WEFT_PROCS_TEST(Timers, ShowNoBuffer) {
  bubble([] {
    const Timer timer(1ms);
    EXPECT_EQ(timer.chan().capacity(), 0u);
    sleep(2ms);
    EXPECT_EQ(timer.chan().size(), 0u);
    select(on_recv(timer.chan()), on_default());
    EXPECT_EQ(timer.chan().size(), 0u);
  });
}

// In a bubble, nothing is left to wait for at the end of the clock.
TEST(Timers, TheEndOfTheClockDoesNotComeInABubble) {
  run([] {
    EXPECT_NE(panic_text([] { bubble([] { after(std::chrono::nanoseconds::max()).recv(); }); }).find("deadlock"),
              std::string::npos);
  });
}

// The clock is looked at, but nobody is woken.
TEST(Timers, WithoutARuntimeNobodyIsWoken) {
  EXPECT_TRUE(after(0s).try_recv());
  EXPECT_TRUE(after(0s).recv());
  const auto c = make_chan<int>();
  std::size_t chosen = 9;
  std::thread thread([&] { chosen = select(on_recv(after(1h)), on_recv(c)); });
  c.send(1);
  thread.join();
  EXPECT_EQ(chosen, 1u);
}

// A plain thread uses timers while runtimes come and go.
TEST(Timers, PlainThreadsOutliveRuntimes) {
  const auto work = make_chan<int>();
  int done = 0;
  std::thread thread([&] {
    for (bool open = true; open;) {
      select(on_recv(work,
                     [&](std::optional<int> n) {
                       open = n.has_value();
                       done += open;
                     }),
             on_recv(after(50us)));
    }
  });
  for (int i = 0; i < 20; ++i) {
    run([&] {
      work.send(1);
      sleep(200us);
    });
    work.send(1);
  }
  work.close();
  thread.join();
  EXPECT_EQ(done, 40);
}

using TimersDeathTest = ::testing::Test;

TEST(TimersDeathTest, CantBeCarriedInOrOutOfABubble) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto carried_in = [] {
    run([] {
      const Ticker ticker(10ms);
      bubble([&] { ticker.chan().try_recv(); });
    });
  };
  EXPECT_EXIT(carried_in(), ::testing::ExitedWithCode(2),
              "fatal error: a timer that was made outside of a bubble is used in one");
  const auto carried_out = [] {
    run([] {
      Timer timer;
      bubble([&] { timer = Timer(1h); });
      timer.chan().recv();
    });
  };
  EXPECT_EXIT(carried_out(), ::testing::ExitedWithCode(2), "fatal error: a bubble's timer is used outside of it");
  const auto reset_outside = [] {
    run([] {
      Timer timer;
      bubble([&] { timer = after_func(1h, [] {}); });
      timer.stop();
      timer.reset(1ms);
    });
  };
  EXPECT_EXIT(reset_outside(), ::testing::ExitedWithCode(2), "fatal error: a bubble's timer is used outside of it");
}

TEST(Timers, NoneCantBeStoppedOrReset) {
  EXPECT_EQ(panic_text([] { Timer().stop(); }), "time: Stop called on uninitialized Timer");
  EXPECT_EQ(panic_text([] { Timer().reset(1s); }), "time: Reset called on uninitialized Timer");
  EXPECT_EQ(Timer().chan(), RecvChan<TimePoint>());
}

// A timer that nobody waits for is in no heap: not when it is made or stopped, and not when its channel is dropped.
WEFT_PROCS_TEST(Timers, RunOnlyForThoseWhoWait) {
  std::vector<Timer> timers;
  timers.reserve(100);
  for (int i = 0; i < 100; ++i) timers.emplace_back(1h);
  EXPECT_EQ(runtime_stats().timers, 0u);
  const auto stop = make_chan<int>();
  WaitGroup group;
  for (const Timer& timer : timers) group.go([&] { select(on_recv(timer.chan()), on_recv(stop)); });
  ASSERT_TRUE(wait_until_parked(100, "select"));
  EXPECT_EQ(runtime_stats().timers, 100u);
  stop.close();
  group.wait();
  EXPECT_EQ(runtime_stats().timers, 0u);
}

WEFT_PROCS_TEST(Timers, ManyGoroutinesMayWaitOnOne) {
  bubble([] {
    const Timer timer(1ms);
    std::atomic<int> got{0};
    WaitGroup group;
    for (int i = 0; i < 10; ++i) {
      group.go([&] {
        timer.chan().recv();
        ++got;
      });
    }
    for (int i = 1; i <= 10; ++i) {
      sleep(2ms);
      testing::wait();
      ASSERT_EQ(got.load(), i);
      timer.reset(1ms);
    }
    group.wait();
  });
}

// One receiver gets a tick, and nobody gets it after a stop() that returned true, whatever the schedule.
WEFT_PROCS_TEST(Timers, StopMeetsTheTick) {
  for (int i = 0; i < 300 * kScale; ++i) {
    const Timer timer(std::chrono::microseconds(i % 50));
    std::atomic<int> ticks{0};
    const auto quit = make_chan<int>();
    WaitGroup group;
    for (int g = 0; g < 2; ++g) {
      group.go([&] { select(on_recv(timer.chan(), [&] { ++ticks; }), on_recv(quit)); });
    }
    if (i % 3 != 0) yield();
    const bool stopped = timer.stop();
    quit.close();
    group.wait();
    ASSERT_EQ(ticks.load(), stopped ? 0 : 1);
    ASSERT_EQ(timer.chan().try_recv(), std::nullopt);
  }
}

// Handles may be destroyed while the tick is on its way.
WEFT_PROCS_TEST(Timers, MayGoWhileTheyFire) {
  WaitGroup group;
  for (int g = 0; g < 4; ++g) {
    group.go([] {
      for (int i = 0; i < 300 * kScale; ++i) {
        const auto ready = make_chan<int>(1);
        if (i % 2 == 0) ready.send(1);
        select(on_recv(after(std::chrono::microseconds(i % 7))), on_recv(ready));
      }
    });
  }
  group.wait();
  EXPECT_EQ(runtime_stats().timers, 0u);
}

WEFT_PROCS_TEST(Timers, WakePlainThreads) {
  std::thread thread([] {
    const TimePoint start = now();
    after(5ms).recv();
    EXPECT_GE(now() - start, 5ms);
    select(on_recv(after(5ms)), on_recv(Chan<int>()));
    EXPECT_GE(now() - start, 10ms);
  });
  blocking([&] { thread.join(); });
}

// Ten thousand goroutines that sleep for 100 ms have all slept after 250 ms. One of several rounds must show this,
// because the machine may be busy. On a machine that takes long to start so many, they get ten times as long as that
// takes.
WEFT_PROCS_TEST(Timers, TenThousandSleepersOnFewThreads) {
#ifdef WEFT_TSAN
  constexpr int kSleepers = 2'000;  // TSan follows some 8000 goroutines at most
#else
  constexpr int kSleepers = 10'000;
#endif
  std::atomic<int> early{0};
  const auto all_sleep_for = [&](std::chrono::nanoseconds time) -> std::chrono::nanoseconds {
    WaitGroup group;
    const TimePoint begin = now();
    for (int i = 0; i < kSleepers; ++i) {
      group.go([&] {
        const TimePoint start = now();
        sleep(time);
        if (now() - start < time) ++early;
      });
    }
    group.wait();
    return now() - begin;
  };
  const auto limit = std::max<std::chrono::nanoseconds>(250ms, 100ms + 10 * all_sleep_for(1ns));
  bool in_time = false;
  for (const TimePoint end = testing::patience_end(); !in_time && now() < end;) {
    in_time = all_sleep_for(100ms) < limit;
    EXPECT_LE(runtime_stats().machines, static_cast<std::size_t>(procs()) + 4);
  }
  EXPECT_TRUE(in_time);
  EXPECT_EQ(early.load(), 0);
}

// Two thousand sleeps that end 50 us apart don't wake an idle processor two thousand times. The number of its polls is
// bounded by the time that passes, on a machine of any speed: a few polls for each of its wake-ups.
TEST(Timers, ThatComeThickAreGathered) {
  run(
      [] {
        WaitGroup group;
        const TimePoint start = now();
        for (int i = 0; i < 2000; ++i) group.go([=] { sleep(10ms + i * 50us); });
        sleep(10ms);
        const std::uint64_t before = runtime_stats().polls;
        group.wait();
        const auto wake_ups = static_cast<std::uint64_t>((now() - start) / std::chrono::nanoseconds(rt::kTimerGap));
        EXPECT_LT(runtime_stats().polls - before, 5 * wake_ups + 100);
      },
      {.procs = 1});
}

// A timer that is alone is not held back, however soon it comes after the last.
WEFT_PROCS_TEST(Timers, ThatAreAloneAreInTime) {
  constexpr int kSleeps = 20;
  bool in_time = false;
  for (const TimePoint end = testing::patience_end(); !in_time && now() < end;) {
    const TimePoint start = now();
    for (int i = 0; i < kSleeps; ++i) sleep(100us);
    in_time = now() - start < kSleeps * std::chrono::nanoseconds(rt::kTimerGap) / 2;
  }
  EXPECT_TRUE(in_time);
}

// --- after_func ---

WEFT_PROCS_TEST(AfterFunc, RunsInAGoroutineOfItsOwn) {
  bubble([] {
    const TimePoint start = now();
    const auto ran = make_chan<TimePoint>(1);
    std::uint64_t id = 0;
    const Timer timer = after_func(10ms, [&] {
      id = this_goroutine::id();
      ran.send(now());
    });
    EXPECT_EQ(timer.chan(), RecvChan<TimePoint>());
    EXPECT_EQ(ran.recv(), start + 10ms);
    EXPECT_NE(id, this_goroutine::id());
    EXPECT_FALSE(timer.stop());
  });
}

WEFT_PROCS_TEST(AfterFunc, RunsWithoutAHandle) {
  const auto ran = make_chan<int>();
  after_func(1ms, [ran] { ran.send(1); });
  EXPECT_EQ(ran.recv(), 1);
}

WEFT_PROCS_TEST(AfterFunc, StoppedDoesNotRun) {
  bubble([] {
    bool ran = false;
    const Timer timer = after_func(10ms, [&] { ran = true; });
    EXPECT_TRUE(timer.stop());
    EXPECT_FALSE(timer.stop());
    sleep(1s);
    EXPECT_FALSE(ran);
    EXPECT_FALSE(timer.reset(10ms));
    EXPECT_TRUE(timer.reset(20ms));
    sleep(15ms);
    EXPECT_FALSE(ran);
    sleep(15ms);
    EXPECT_TRUE(ran);
  });
}

WEFT_PROCS_TEST(AfterFunc, MayRunBesideItself) {
  bubble([] {
    std::atomic<int> inside{0};
    const auto leave = make_chan<int>();
    const Timer timer = after_func(1ms, [&] {
      ++inside;
      leave.recv();
    });
    sleep(2ms);
    EXPECT_FALSE(timer.stop()) << "it has started";
    EXPECT_FALSE(timer.reset(1ms));
    sleep(2ms);
    EXPECT_EQ(inside.load(), 2);
    leave.close();
  });
}

WEFT_PROCS_TEST(AfterFunc, StopOrRunNeverBoth) {
  std::atomic<int> runs{0};
  int stops = 0;
  const int rounds = 300 * kScale;
  for (int i = 0; i < rounds; ++i) {
    const Timer timer = after_func(std::chrono::microseconds(i % 40), [&] { ++runs; });
    if (i % 3 != 0) yield();
    stops += timer.stop();
  }
  EXPECT_TRUE(eventually([&] { return runs.load() + stops == rounds; }));
  sleep(1ms);
  EXPECT_EQ(runs.load() + stops, rounds);
  EXPECT_TRUE(eventually([] { return goroutines().size() == 1; }));
}

// The function is destroyed when it has run or was stopped, and the handle is destroyed.
WEFT_PROCS_TEST(AfterFunc, TheFunctionGoes) {
  auto token = std::make_shared<int>(1);
  std::weak_ptr<int> watch = token;
  {
    const Timer timer = after_func(1h, [token] {});
    token.reset();
    EXPECT_FALSE(watch.expired());
    timer.stop();
  }
  EXPECT_TRUE(watch.expired());
  token = std::make_shared<int>(2);
  watch = token;
  after_func(0s, [token = std::move(token)] {});
  EXPECT_TRUE(eventually([&] { return watch.expired(); }));
}

// What the runtime or the bubble leaves armed never runs, and is destroyed. A handle may be used again.
TEST(AfterFunc, OutlivesTheRuntime) {
  auto token = std::make_shared<int>(1);
  Timer timer;
  bool ran = false;
  run([&] { timer = after_func(1h, [&ran, token] { ran = true; }); });
  EXPECT_FALSE(timer.stop());
  run([&] {
    EXPECT_FALSE(timer.reset(1ms));
    EXPECT_TRUE(eventually([&] { return goroutines().size() == 1 && runtime_stats().timers == 0; }));
  });
  EXPECT_TRUE(ran);
  EXPECT_EQ(token.use_count(), 2);
  timer = {};
  EXPECT_EQ(token.use_count(), 1);

  run([&] { after_func(1h, [token] {}); });
  EXPECT_EQ(token.use_count(), 1);
}

TEST(AfterFunc, WithoutARuntimeItDoesNotRun) {
  const auto token = std::make_shared<int>(1);
  {
    const Timer timer = after_func(0s, [token] {});
    EXPECT_EQ(token.use_count(), 2);
    EXPECT_TRUE(timer.reset(1h));
    EXPECT_TRUE(timer.stop());
    EXPECT_FALSE(timer.stop());
    EXPECT_FALSE(timer.reset(0s));
  }
  EXPECT_EQ(token.use_count(), 1);
}

WEFT_PROCS_TEST(AfterFunc, GoesWithItsBubble) {
  const auto token = std::make_shared<int>(1);
  bubble([&] { after_func(1h, [token] {}); });
  EXPECT_EQ(token.use_count(), 1);
}

WEFT_PROCS_TEST(AfterFunc, TakesFunctionsOfAnyAlignmentAndMakersThatThrow) {
  struct alignas(128) Aligned {
    int value = 7;
  };
  const auto got = make_chan<int>(1);
  const Aligned aligned;
  after_func(0s, [got, aligned] {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&aligned) % 128, 0u);
    got.send(aligned.value);
  });
  EXPECT_EQ(got.recv(), 7);

  struct Throws {
    Throws() = default;
    Throws(const Throws&) { throw std::runtime_error("no copy"); }
    void operator()() const {}
  };
  const Throws throws;
  EXPECT_THROW(after_func(0s, throws), std::runtime_error);
}

// --- Ticker ---

WEFT_PROCS_TEST(Tickers, TickOnTheGrid) {
  bubble([] {
    const TimePoint start = now();
    const Ticker ticker(10ms);
    for (int i = 1; i <= 5; ++i) {
      EXPECT_EQ(ticker.chan().recv(), start + i * 10ms);
      EXPECT_EQ(now(), start + i * 10ms);
    }
    ticker.stop();
    sleep(1s);
    EXPECT_EQ(ticker.chan().try_recv(), std::nullopt);
    ticker.reset(5ms);
    EXPECT_EQ(ticker.chan().recv(), start + 1s + 55ms);
  });
}

// A reader that stalls for 10 periods gets one tick at once, and the next one on the grid.
WEFT_PROCS_TEST(Tickers, AStalledReaderGetsOneTick) {
  bubble([] {
    const TimePoint start = now();
    const Ticker ticker(10ms);
    sleep(105ms);
    EXPECT_TRUE(ticker.chan().try_recv());
    EXPECT_EQ(ticker.chan().try_recv(), std::nullopt);
    EXPECT_EQ(ticker.chan().recv(), start + 110ms);
    EXPECT_EQ(ticker.chan().recv(), start + 120ms);
  });
}

// The same holds when others wait beside the reader.
WEFT_PROCS_TEST(Tickers, ServeEachTickToOneReceiver) {
  bubble([] {
    const Ticker ticker(10ms);
    std::atomic<int> ticks{0};
    const auto quit = make_chan<int>();
    WaitGroup group;
    for (int g = 0; g < 3; ++g) {
      group.go([&] {
        while (select(on_recv(ticker.chan(), [&] { ++ticks; }), on_recv(quit)) == 0) {
        }
      });
    }
    sleep(105ms);
    quit.close();
    group.wait();
    EXPECT_EQ(ticks.load(), 10);
  });
}

WEFT_PROCS_TEST(Tickers, ResetStartsTheGridAnew) {
  bubble([] {
    const TimePoint start = now();
    const Ticker ticker(10ms);
    sleep(15ms);
    ticker.reset(20ms);
    EXPECT_EQ(ticker.chan().try_recv(), std::nullopt);
    EXPECT_EQ(ticker.chan().recv(), start + 35ms);
    EXPECT_EQ(ticker.chan().recv(), start + 55ms);
  });
}

TEST(Tickers, RefusePeriodsThatAreNotPositive) {
  EXPECT_EQ(panic_text([] { Ticker(0s); }), "non-positive interval for NewTicker");
  EXPECT_EQ(panic_text([] { Ticker(-1s); }), "non-positive interval for NewTicker");
  EXPECT_EQ(panic_text([] { Ticker(1s).reset(0s); }), "non-positive interval for Ticker.Reset");
  EXPECT_EQ(panic_text([] { Ticker().stop(); }), "time: Stop called on uninitialized Ticker");
  EXPECT_EQ(panic_text([] { Ticker().reset(1s); }), "time: Reset called on uninitialized Ticker");
  EXPECT_EQ(tick(0s), RecvChan<TimePoint>());
}

// The channel outlives the ticker that it came from.
WEFT_PROCS_TEST(Tickers, MayBeTemporary) {
  bubble([] {
    int ticks = 0;
    for (const TimePoint t : Ticker(1ms).chan()) {
      EXPECT_EQ(t, now());
      if (++ticks == 3) break;
    }
    const auto& chan = Timer(1ms).chan();
    EXPECT_TRUE(chan.recv());
  });
}

WEFT_PROCS_TEST(Tickers, TickForRealAndInTime) {
  const TimePoint start = now();
  int ticks = 0;
  for (const RecvChan<TimePoint> chan = tick(1ms); const TimePoint t : chan) {
    ASSERT_GE(now(), t);
    ASSERT_GE(t - start, (ticks + 1) * 1ms);
    if (++ticks == 20) break;
  }
  EXPECT_EQ(ticks, 20);
}

}  // namespace
}  // namespace weft
