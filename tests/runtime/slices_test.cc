// Time slices: goroutines that wake each other share one slice, and then others have their turn.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>

#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::kPatience;

// Two goroutines pass a token to and fro until stop() is called, and compute a little at each turn.
class PingPong {
 public:
  explicit PingPong(int steps_a_turn) {
    group_.go([this, steps_a_turn] { play(there_, back_, steps_a_turn); });
    group_.go([this, steps_a_turn] { play(back_, there_, steps_a_turn); });
    there_.send(0);
  }
  ~PingPong() { group_.wait(); }
  void stop() { stop_.store(true, std::memory_order_release); }
  // Returns what has been computed, in steps.
  double steps() const { return static_cast<double>(steps_.load(std::memory_order_acquire)); }

 private:
  void play(const weft::Chan<int>& from, const weft::Chan<int>& to, int steps_a_turn) {
    while (from.recv()) {
      for (int i = 0; i < steps_a_turn; ++i) asm volatile("");
      steps_.fetch_add(static_cast<std::uint64_t>(steps_a_turn), std::memory_order_release);
      if (stop_.load(std::memory_order_acquire)) {
        to.close();
        return;
      }
      to.send(0);
    }
  }

  weft::Chan<int> there_ = weft::make_chan<int>();
  weft::Chan<int> back_ = weft::make_chan<int>();
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> steps_{0};
  weft::WaitGroup group_;
};

WEFT_PROCS_TEST(Slices, ATokenPassedByTwoDoesNotKeepAThirdWaiting) {
  PingPong pair(10);
  for (int i = 0; i < 20; ++i) {
    // A machine that stops now and then may delay one of the turns, but not all.
    std::atomic<bool> ran{false};
    const auto begin = std::chrono::steady_clock::now();
    weft::go([&] { ran.store(true, std::memory_order_release); });
    while (!ran.load(std::memory_order_acquire)) weft::yield();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
  }
  pair.stop();
}

// Nor do they keep a third one waiting that only the network or a timer would bring back.
WEFT_PROCS_TEST(Slices, ATokenPassedByTwoDoesNotDelayTimersForEver) {
  PingPong pair(10);
  for (int i = 0; i < 20; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    weft::sleep(2ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
  }
  pair.stop();
}

// Goroutines that only yield are always runnable: one alone, two that take turns, and more than the queue holds.
WEFT_PROCS_TEST(Slices, YieldersDoNotKeepTimersWaiting) {
  for (const int yielders : {1, 2, 3, 20}) {
    std::atomic<bool> stop{false};
    weft::WaitGroup group;
    for (int i = 0; i < yielders; ++i) {
      group.go([&] {
        // The loop ends in any case, so that a timer that is never looked at fails the test.
        for (const auto end = weft::testing::patience_end();
             !stop.load(std::memory_order_acquire) && std::chrono::steady_clock::now() < end;)
          weft::yield();
      });
    }
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) weft::sleep(1ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience / 2);
    stop.store(true, std::memory_order_release);
    group.wait();
  }
}

// Go's TestPingPongHog: two pairs share one processor. One pair computes a hundred times as long before it passes the
// token on, and gets no more of the processor. Where goroutines don't always wake each other into runnext, the pairs
// have no slices of their own.
TEST(Slices, TwoPairsShareOneProcessor) {
#ifdef WEFT_PERTURB
  constexpr int kLong = 1000;
#else
  constexpr int kLong = 100'000;
#endif
  constexpr double kManySlices = 5e7;
  weft::run(
      [] {
        PingPong hog(kLong);
        PingPong light(1000);
        static_cast<void>(
            weft::testing::eventually([&] { return hog.steps() >= kManySlices && light.steps() >= kManySlices; }));
        const double a = hog.steps();
        const double b = light.steps();
        EXPECT_LT(a, 20 * b);
        EXPECT_LT(b, 20 * a);
        hog.stop();
        light.stop();
      },
      {.procs = 1});
}

}  // namespace
