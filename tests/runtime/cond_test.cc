#include "weft/cond.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/rw_mutex.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

using testing::eventually;
using testing::parked;
using testing::wait_until_parked;

// Each test with rounds runs at three widths: a million waits where no sanitizer slows them down.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kWaits = 10'000;
#else
constexpr int kWaits = 350'000;
#endif

static_assert(!std::is_copy_constructible_v<Cond<>> && !std::is_copy_assignable_v<Cond<>>);

WEFT_PROCS_TEST(Cond, SignalWakesTheOldest) {
  Mutex mutex;
  Cond cond(mutex);
  std::vector<std::size_t> order;
  WaitGroup group;
  for (std::size_t i = 0; i < 20; ++i) {
    group.go([&, i] {
      const std::lock_guard lock(mutex);
      cond.wait();
      order.push_back(i);
    });
    ASSERT_TRUE(wait_until_parked(i + 1, "sync.Cond.Wait"));
  }
  for (std::size_t i = 0; i < 20; ++i) {
    cond.signal();
    ASSERT_TRUE(eventually([&] {
      const std::lock_guard lock(mutex);
      return order.size() == i + 1;
    }));
    EXPECT_EQ(order.back(), i);
    EXPECT_EQ(parked("sync.Cond.Wait"), 19 - i);
  }
  group.wait();
}

WEFT_PROCS_TEST(Cond, BroadcastWakesAllThatWait) {
  Mutex mutex;
  Cond cond(mutex);
  int woken = 0;
  WaitGroup group;
  for (int round = 1; round <= 3; ++round) {
    for (std::size_t i = 0; i < 10; ++i) {
      group.go([&] {
        const std::lock_guard lock(mutex);
        cond.wait();
        ++woken;
      });
    }
    ASSERT_TRUE(wait_until_parked(10, "sync.Cond.Wait"));
    cond.broadcast();
    group.wait();
    EXPECT_EQ(woken, 10 * round);
  }
}

WEFT_PROCS_TEST(Cond, SignalsWithoutWaitersAreForgotten) {
  Mutex mutex;
  Cond cond(mutex);
  cond.signal();
  cond.broadcast();
  bool woken = false;
  WaitGroup group;
  group.go([&] {
    const std::lock_guard lock(mutex);
    cond.wait();
    woken = true;
  });
  ASSERT_TRUE(wait_until_parked(1, "sync.Cond.Wait"));
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_FALSE(woken);
  mutex.unlock();
  cond.signal();
  group.wait();
}

// As many waits end as there were signals, and no wait ends before its signal.
WEFT_PROCS_TEST(Cond, NoWaitEndsWithoutASignal) {
  constexpr int kWaiters = 4;
  Mutex mutex;
  Cond cond(mutex);
  int waiting = 0;
  int signals = 0;
  int woken = 0;
  bool early = false;
  WaitGroup group;
  for (int g = 0; g < kWaiters; ++g) {
    group.go([&] {
      mutex.lock();
      for (int i = 0; i < kWaits / kWaiters; ++i) {
        ++waiting;
        cond.wait();
        early = early || ++woken > signals;
      }
      mutex.unlock();
    });
  }
  for (int sent = 0; sent < kWaits;) {
    mutex.lock();
    const bool send = waiting > 0;
    if (send) {
      --waiting;
      ++signals;
      ++sent;
    }
    const bool inside = sent % 2 == 0;
    if (send && inside) cond.signal();
    mutex.unlock();
    if (send && !inside) cond.signal();
    if (!send) yield();
  }
  group.wait();
  EXPECT_FALSE(early);
  EXPECT_EQ(woken, kWaits);
}

// Passes items through a queue between goroutines and plain threads on both sides. No signal is lost.
template <typename Lock>
void pass_through_a_queue(bool plain_threads_only) {
  constexpr int kItems = kWaits / 50;
  constexpr int kSides = 2;
  Lock mutex;
  Cond not_empty(mutex);
  Cond not_full(mutex);
  std::deque<int> queue;
  long sum = 0;
  const auto produce = [&] {
    for (int i = 1; i <= kItems; ++i) {
      mutex.lock();
      not_full.wait([&] { return queue.size() < 3; });
      queue.push_back(i);
      mutex.unlock();
      not_empty.signal();
    }
  };
  const auto consume = [&] {
    for (int i = 1; i <= kItems; ++i) {
      const std::lock_guard lock(mutex);
      not_empty.wait([&] { return !queue.empty(); });
      sum += queue.front();
      queue.pop_front();
      not_full.signal();
    }
  };
  WaitGroup group;
  std::vector<std::thread> threads;
  const auto start = [&](auto body, bool in_thread) {
    if (!in_thread) return group.go(body);
    group.add(1);
    threads.emplace_back([&group, body] {
      body();
      group.done();
    });
  };
  for (int i = 0; i < kSides; ++i) {
    start(produce, plain_threads_only || i == 0);
    start(consume, plain_threads_only || i == 0);
  }
  group.wait();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, static_cast<long>(kSides) * kItems * (kItems + 1) / 2);
}

WEFT_PROCS_TEST(Cond, OverAMutex) { pass_through_a_queue<Mutex>(false); }
WEFT_PROCS_TEST(Cond, OverAnRWMutex) { pass_through_a_queue<RWMutex>(false); }
WEFT_PROCS_TEST(Cond, OverAStdMutexOfPlainThreads) { pass_through_a_queue<std::mutex>(true); }

WEFT_PROCS_TEST(Cond, OverTheReadersSide) {
  RWMutex mutex;
  RWMutex::RLocker reader = mutex.r_locker();
  Cond cond(reader);
  int value = 0;
  std::atomic<int> seen{0};
  WaitGroup group;
  for (int i = 0; i < 3; ++i) {
    group.go([&] {
      const std::lock_guard lock(reader);
      cond.wait([&] { return value == 7; });
      ++seen;
    });
  }
  ASSERT_TRUE(wait_until_parked(3, "sync.Cond.Wait"));
  mutex.lock();  // the waiting readers hold nothing
  value = 7;
  mutex.unlock();
  cond.broadcast();
  group.wait();
  EXPECT_EQ(seen, 3);
}

WEFT_PROCS_TEST(Cond, TheConditionIsAskedWithTheLockHeld) {
  Mutex mutex;
  Cond cond(mutex);
  mutex.lock();
  cond.wait([&] { return !mutex.try_lock(); });
  EXPECT_THROW(cond.wait([]() -> bool { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
}

// A woken waiter may end the Cond, though the signaller has not returned yet.
WEFT_PROCS_TEST(Cond, MayBeFreedWhenTheWaitsAreOver) {
  struct Shared {
    Mutex mutex;
    Cond<> cond{mutex};
    bool waits = false;
  };
  for (int i = 0; i < kWaits / 100; ++i) {
    auto* const shared = new Shared;
    WaitGroup group;
    group.go([shared] {
      shared->mutex.lock();
      shared->waits = true;
      shared->cond.wait();
      shared->mutex.unlock();
      delete shared;
    });
    group.go([shared] {
      for (bool waits = false; !waits; yield()) {
        const std::lock_guard lock(shared->mutex);
        waits = shared->waits;
      }
      shared->cond.signal();
    });
    group.wait();
  }
}

}  // namespace
}  // namespace weft
