#include "runtime/src/sched/timer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "support/matrix.h"
#include "weft/go.h"
#include "weft/stats.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;
using weft::rt::Nanos;
using weft::rt::RuntimeTimer;

struct Fired {
  std::atomic<int> count{0};
  std::atomic<Nanos> at{0};
  RuntimeTimer timer{&Fired::fire, this};

  static void fire(void* self, Nanos) noexcept {
    auto* const f = static_cast<Fired*>(self);
    f->at.store(weft::rt::now(), std::memory_order_relaxed);
    f->count.fetch_add(1, std::memory_order_release);
  }
  bool fired() const { return count.load(std::memory_order_acquire) > 0; }
};

// Returns whether the condition holds within thirty seconds.
template <typename Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (!condition() && std::chrono::steady_clock::now() < end) weft::sleep(1ms);
  return condition();
}

// Returns whether another timer of that time fires. When it has fired, a timer that should fire then has had its
// chance.
bool fires_at(Nanos when) {
  Fired f;
  f.timer.start_at(when);
  const bool fired = eventually([&] { return f.fired(); });
  f.timer.stop_and_wait();
  weft::sleep(5ms);
  return fired;
}

WEFT_PROCS_TEST(Timer, FiresOnceNotBeforeItsTime) {
  Fired f;
  const Nanos when = weft::rt::now() + 10'000'000;
  f.timer.start_at(when);
  ASSERT_TRUE(eventually([&] { return f.fired(); }));
  EXPECT_GE(f.at.load(std::memory_order_relaxed), when);
  weft::sleep(5ms);
  EXPECT_EQ(f.count.load(std::memory_order_acquire), 1);
  EXPECT_FALSE(f.timer.stop());
}

// The heap tells when the second of its timers is due, in whatever order they came.
WEFT_PROCS_TEST(Timer, TheSecondIsKnown) {
  weft::rt::BasicTimerHeap<weft::rt::TimerPolicy> heap;
  EXPECT_EQ(heap.second(), weft::rt::kNever);
  std::vector<Nanos> times(1000);
  std::iota(times.begin(), times.end(), Nanos{1});
  std::ranges::shuffle(times, std::mt19937(7));
  std::vector<std::unique_ptr<Fired>> armed;
  std::vector<Nanos> so_far;
  for (const Nanos when : times) {
    armed.push_back(std::make_unique<Fired>());
    armed.back()->timer.start_in(heap, when);
    so_far.insert(std::ranges::upper_bound(so_far, when), when);
    EXPECT_EQ(heap.second(), so_far.size() < 2 ? weft::rt::kNever : so_far[1]);
  }
  for (const auto& f : armed) EXPECT_TRUE(f->timer.stop());
}

WEFT_PROCS_TEST(Timer, StoppedDoesNotFire) {
  Fired f;
  const Nanos when = weft::rt::now() + 20'000'000;
  f.timer.start_at(when);
  const bool stopped = f.timer.stop();
  EXPECT_TRUE(stopped || weft::rt::now() >= when);  // another processor fires what is due before we stop it
  EXPECT_FALSE(f.timer.stop());
  ASSERT_TRUE(fires_at(when));
  f.timer.stop_and_wait();
  EXPECT_EQ(f.count.load(std::memory_order_acquire), stopped ? 0 : 1);
}

WEFT_PROCS_TEST(Timer, MayBeMovedEarlierAndLater) {
  Fired f;
  f.timer.start_at(weft::rt::now() + 3600'000'000'000);
  f.timer.start_at(weft::rt::now() + 1'000'000);
  ASSERT_TRUE(eventually([&] { return f.fired(); }));
  const Nanos soon = weft::rt::now() + 10'000'000;
  f.timer.start_at(soon);
  f.timer.start_at(weft::rt::now() + 3600'000'000'000);
  const bool in_time = weft::rt::now() < soon;  // otherwise another processor may have fired it before it was moved
  ASSERT_TRUE(fires_at(soon));
  EXPECT_LE(f.count.load(std::memory_order_acquire), in_time ? 1 : 2);
  EXPECT_TRUE(f.timer.stop());
}

// A random crowd of timers: some are moved, some are stopped. Those that fire do so in time, the others never.
WEFT_PROCS_TEST(Timer, CrowdFiresWhatWasNotStopped) {
  constexpr std::size_t kTimers = 2000;
  std::mt19937 random(7);
  std::vector<std::unique_ptr<Fired>> timers;
  std::vector<bool> stopped(kTimers);
  const Nanos base = weft::rt::now();
  for (std::size_t i = 0; i < kTimers; ++i) {
    timers.push_back(std::make_unique<Fired>());
    timers.back()->timer.start_at(base + static_cast<Nanos>(random() % 60'000'000));
  }
  for (std::size_t i = 0; i < kTimers; i += 3) stopped[i] = timers[i]->timer.stop();
  for (std::size_t i = 1; i < kTimers; i += 3) {
    if (timers[i]->timer.stop()) timers[i]->timer.start_at(base + static_cast<Nanos>(random() % 60'000'000));
  }
  for (std::size_t i = 0; i < kTimers; ++i) {
    ASSERT_TRUE(stopped[i] || eventually([&] { return timers[i]->fired(); })) << i;
  }
  weft::sleep(10ms);
  for (std::size_t i = 0; i < kTimers; ++i)
    ASSERT_EQ(timers[i]->count.load(std::memory_order_acquire), stopped[i] ? 0 : 1) << i;
}

// After stop_and_wait() the timer may be destroyed at once, also when it was about to fire on another processor.
WEFT_PROCS_TEST(Timer, StopAndWaitLetsTheMemoryGo) {
  constexpr int kGoroutines = 4;
  constexpr int kRounds = 500;
  weft::WaitGroup wg;
  for (int g = 0; g < kGoroutines; ++g) {
    wg.go([g] {
      for (int i = 0; i < kRounds; ++i) {
        const auto f = std::make_unique<Fired>();
        f->timer.start_at(weft::rt::now() + (i % 5) * 1000);
        if (i % 3 == g % 3) weft::yield();
        f->timer.stop_and_wait();
        ASSERT_LE(f->count.load(std::memory_order_acquire), 1);
      }
    });
  }
  wg.wait();
  EXPECT_EQ(weft::runtime_stats().timers, 0u);
}

// Timers are stopped, asked and destroyed after the runtime has ended, whether they fired in it or not.
TEST(Timer, MayOutliveTheRuntime) {
  for (int i = 0; i < 3; ++i) {
    Fired fired;
    Fired armed;
    weft::run([&] {
      fired.timer.start_at(weft::rt::now());
      armed.timer.start_at(weft::rt::now() + 3600'000'000'000);
      ASSERT_TRUE(eventually([&] { return fired.fired(); }));
    });
    fired.timer.stop_and_wait();
    armed.timer.stop_and_wait();
    EXPECT_FALSE(armed.fired());
  }
}

}  // namespace
