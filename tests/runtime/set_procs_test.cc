// weft::set_procs() while everything continues.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "runtime/src/control/procs.h"
#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::eventually;
using weft::testing::spin_until;

WEFT_PROCS_TEST(SetProcs, ReturnsTheNumberBefore) {
  const int n = weft::testing::variant().procs;
  EXPECT_EQ(weft::set_procs(0), n);
  EXPECT_EQ(weft::set_procs(-3), n);
  EXPECT_EQ(weft::procs(), n);
  EXPECT_EQ(weft::set_procs(3), n);
  EXPECT_EQ(weft::procs(), 3);
  EXPECT_EQ(weft::set_procs(3), 3);
  EXPECT_EQ(weft::set_procs(1), 3);
  EXPECT_EQ(weft::set_procs(0), 1);
  EXPECT_EQ(weft::runtime_stats().procs, 1);
}

TEST(SetProcs, WithoutARuntimeItDoesNothing) {
  EXPECT_EQ(weft::set_procs(3), 0);
  weft::follow_default_procs();
  EXPECT_EQ(weft::run([] { return weft::procs(); }, {.procs = 2}), 2);
}

WEFT_PROCS_TEST(SetProcs, FromAPlainThreadAndFromALockedOne) {
  std::thread([] { weft::set_procs(3); }).join();
  EXPECT_EQ(weft::procs(), 3);
  weft::lock_os_thread();
  EXPECT_EQ(weft::set_procs(5), 3);
  std::atomic<int> ran{0};
  for (int i = 0; i < 50; ++i) weft::go([&] { ran.fetch_add(1, std::memory_order_release); });
  EXPECT_TRUE(spin_until([&] { return ran.load(std::memory_order_acquire) == 50; }));
  weft::unlock_os_thread();
}

// New processors take part in the work.
WEFT_PROCS_TEST(SetProcs, RaisingGivesMoreAtATime) {
  constexpr int kProcs = 6;
  weft::set_procs(kProcs);
  std::atomic<std::uint32_t> used{0};
  weft::WaitGroup group;
  for (int i = 0; i < kProcs; ++i) {
    group.go([&] {
      EXPECT_TRUE(spin_until([&] {
        used.fetch_or(1u << weft::processor_id(), std::memory_order_acq_rel);
        weft::yield();
        return used.load(std::memory_order_acquire) == (1u << kProcs) - 1;
      }));
    });
  }
  group.wait();
}

// Nobody is left on a processor that is out of service.
WEFT_PROCS_TEST(SetProcs, LoweringMovesEverybody) {
  std::atomic<bool> stop{false};
  std::atomic<int> lowered_to{100};
  std::atomic<int> moved{0};
  constexpr int kGoroutines = 50;
  weft::WaitGroup group;
  weft::set_procs(6);
  for (int i = 0; i < kGoroutines; ++i) {
    group.go([&, i] {
      while (!stop.load(std::memory_order_acquire)) {
        if (i % 2 == 0) {
          weft::yield();
        } else {
          weft::sleep(1ms);
        }
      }
    });
  }
  for (const int n : {3, 1, 4, 2, 1}) {
    weft::set_procs(n);
    moved.store(0, std::memory_order_relaxed);
    lowered_to.store(n, std::memory_order_release);
    // A turn that began earlier may end where it began. Turns that begin from now on do not.
    weft::WaitGroup probes;
    for (int i = 0; i < kGoroutines; ++i) {
      probes.go([&] {
        EXPECT_TRUE(eventually([&] { return weft::processor_id() < n; }));
        moved.fetch_add(1, std::memory_order_relaxed);
      });
    }
    probes.wait();
    EXPECT_EQ(moved.load(std::memory_order_relaxed), kGoroutines);
  }
  stop.store(true, std::memory_order_release);
  group.wait();
}

WEFT_PROCS_TEST(SetProcs, NothingIsLostMeanwhile) {
#ifdef WEFT_TSAN
  constexpr int kGoroutines = 200;
#else
  constexpr int kGoroutines = 1000;
#endif
  constexpr int kRounds = 30;
  auto ch = weft::make_chan<int>();
  std::atomic<int> slept{0};
  std::atomic<bool> over{false};
  weft::Mutex mutex;
  long guarded = 0;
  weft::WaitGroup group;
  weft::WaitGroup receivers;
  std::atomic<long> received{0};
  for (int i = 0; i < 4; ++i) {
    receivers.go([&] {
      for (const int n : ch) received.fetch_add(n, std::memory_order_relaxed);
    });
  }
  for (int i = 0; i < kGoroutines; ++i) {
    group.go([&, i] {
      for (int round = 0; round < kRounds; ++round) {
        switch ((i + round) % 5) {
          case 0:
            weft::yield();
            break;
          case 1:
            weft::sleep(std::chrono::microseconds(i % 1000));
            slept.fetch_add(1, std::memory_order_relaxed);
            break;
          case 2:
            ch.send(1);
            break;
          case 3: {
            const std::lock_guard lock(mutex);
            ++guarded;
            break;
          }
          default:
            weft::go([] {});
        }
      }
    });
  }
  weft::go([&] {
    group.wait();
    over.store(true, std::memory_order_release);
  });
  for (int i = 0; !over.load(std::memory_order_acquire); ++i) {
    weft::set_procs(std::vector<int>{1, 4, 2, 1, 5, 3}[static_cast<std::size_t>(i) % 6]);
    if (i % 3 == 0) {
      weft::sleep(1ms);
    } else {
      weft::yield();
    }
  }
  ch.close();
  receivers.wait();
  constexpr int kEach = kGoroutines * kRounds / 5;
  EXPECT_EQ(received.load(std::memory_order_relaxed), kEach);
  EXPECT_EQ(slept.load(std::memory_order_relaxed), kEach);
  EXPECT_EQ(guarded, kEach);
}

WEFT_PROCS_TEST(SetProcs, ManyCallersAtOnce) {
  weft::WaitGroup group;
  for (int caller = 0; caller < 4; ++caller) {
    group.go([caller] {
      for (int i = 0; i < 50; ++i) {
        const int before = weft::set_procs(1 + (caller + i) % 4);
        EXPECT_GE(before, 1);
        EXPECT_LE(before, 4);
        weft::yield();
      }
    });
  }
  group.wait();
  EXPECT_GE(weft::procs(), 1);
  EXPECT_LE(weft::procs(), 4);
}

// The timers that were armed on a processor fire, although it retired and its thread does not come back.
WEFT_PROCS_TEST(SetProcs, TimersOfARetiredProcessorWithAHogFire) {
  constexpr int kProcs = 4;
  weft::set_procs(kProcs);
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::atomic<int> armed{0};
    std::atomic<int> fired{0};
    std::atomic<int> spinning{0};
    std::atomic<bool> retired{false};
    weft::WaitGroup group;
    // One of these goroutines runs on each processor, with timers in its heap.
    for (int i = 0; i < kProcs; ++i) {
      group.go([&] {
        for (int timer = 0; timer < 20; ++timer) {
          weft::go([&] {
            armed.fetch_add(1, std::memory_order_release);
            weft::sleep(30ms);
            fired.fetch_add(1, std::memory_order_release);
          });
        }
        EXPECT_TRUE(eventually([&] { return armed.load(std::memory_order_acquire) == 20 * kProcs; }));
        spinning.fetch_add(1, std::memory_order_release);
        EXPECT_TRUE(spin_until([&] {
          return retired.load(std::memory_order_acquire) && fired.load(std::memory_order_acquire) == 20 * kProcs;
        }));
      });
    }
    EXPECT_TRUE(eventually([&] { return spinning.load(std::memory_order_acquire) == kProcs; }));
    weft::set_procs(1);
    retired.store(true, std::memory_order_release);
    group.wait();
    weft::set_procs(kProcs);
  }
}

// Tests the same with a goroutine in a blocking call, and nobody else who does anything.
WEFT_PROCS_TEST(SetProcs, TimersOfARetiredProcessorWithABlockingCallFire) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    weft::set_procs(2);
    std::atomic<int> armed{0};
    std::atomic<int> fired{0};
    weft::WaitGroup group;
    for (int i = 0; i < 2; ++i) {
      group.go([&] {
        for (int timer = 0; timer < 10; ++timer) {
          weft::go([&] {
            armed.fetch_add(1, std::memory_order_release);
            weft::sleep(20ms);
            fired.fetch_add(1, std::memory_order_release);
          });
        }
        EXPECT_TRUE(eventually([&] { return armed.load(std::memory_order_acquire) == 20; }));
        weft::blocking([&] {
          EXPECT_TRUE(spin_until([&] {
            std::this_thread::sleep_for(1ms);
            return fired.load(std::memory_order_acquire) == 20;
          }));
        });
      });
    }
    EXPECT_TRUE(eventually([&] { return armed.load(std::memory_order_acquire) == 20; }));
    weft::set_procs(1);
    group.wait();
  }
}

TEST(SetProcs, FollowsTheDefaultAgain) {
  weft::run(
      [] {
        weft::set_procs(weft::rt::granted_procs() + 1);
        weft::follow_default_procs();
        EXPECT_TRUE(eventually([] { return weft::procs() == weft::rt::granted_procs(); }));
        weft::set_procs(weft::rt::granted_procs() + 1);
        weft::sleep(1200ms);
        EXPECT_EQ(weft::procs(), weft::rt::granted_procs() + 1);
      },
      {.procs = 1});
}

}  // namespace
