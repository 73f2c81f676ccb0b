#include "weft/mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "weft/go.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::kPatience;
using testing::wait_until_parked;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 2'000;
#else
constexpr int kRounds = 20'000;
#endif

WEFT_PROCS_TEST(Mutex, Excludes) {
  Mutex mutex;
  long counter = 0;
  WaitGroup group;
  for (int g = 0; g < 8; ++g) {
    group.go([&, g] {
      for (int i = 0; i < kRounds; ++i) {
        if (g % 4 == 0) {
          while (!mutex.try_lock()) yield();
        } else {
          mutex.lock();
        }
        const long seen = counter;
        if (i % 64 == 0) yield();  // the mutex is held over a scheduling point
        counter = seen + 1;
        mutex.unlock();
      }
    });
  }
  group.wait();
  EXPECT_EQ(counter, 8L * kRounds);
}

WEFT_PROCS_TEST(Mutex, GoroutinesAndThreadsShareIt) {
  Mutex mutex;
  long counter = 0;
  WaitGroup group;
  std::vector<std::thread> threads;
  const auto body = [&] {
    for (int i = 0; i < kRounds; ++i) {
      const std::lock_guard lock(mutex);
      ++counter;
    }
  };
  for (int i = 0; i < 3; ++i) {
    group.add(1);
    threads.emplace_back([&] {
      body();
      group.done();
    });
    group.go(body);
  }
  group.wait();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 6L * kRounds);
}

WEFT_PROCS_TEST(Mutex, IsLockableForTheStandardLocks) {
  Mutex a;
  Mutex b;
  {
    const std::scoped_lock both(a, b);
    EXPECT_FALSE(a.try_lock());
    EXPECT_FALSE(b.try_lock());
  }
  std::unique_lock lock(a, std::try_to_lock);
  EXPECT_TRUE(lock.owns_lock());
  std::thread([&] { a.unlock(); }).join();  // unlocked by a thread that is no owner
  EXPECT_TRUE(a.try_lock());
  lock.release();
  a.unlock();
}

WEFT_PROCS_TEST(Mutex, WaitersGetItInTheirOrder) {
  Mutex mutex;
  std::vector<int> order;
  WaitGroup group;
  mutex.lock();
  for (int i = 0; i < 20; ++i) {
    group.go([&, i] {
      mutex.lock();
      order.push_back(i);
      mutex.unlock();
    });
    ASSERT_TRUE(wait_until_parked(static_cast<std::size_t>(i) + 1, "sync.Mutex.Lock"));
  }
  mutex.unlock();
  group.wait();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

// A goroutine that holds the mutex nearly all the time does not keep another one from it.
WEFT_PROCS_TEST(Mutex, IsFairToOneThatComesSeldom) {
  Mutex mutex;
  std::atomic<bool> stop{false};
  WaitGroup group;
  group.go([&] {
    while (!stop) {
      mutex.lock();
      sleep(microseconds(100));
      mutex.unlock();
    }
  });
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    sleep(microseconds(100));
    mutex.lock();
    mutex.unlock();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience);
  stop = true;
  group.wait();
}

// Tests the same with a goroutine that computes while it holds the mutex, and wants it back at once. It never waits, so
// only a hand-over lets others run in its place.
WEFT_PROCS_TEST(Mutex, IsFairBesideATightRelockLoop) {
  Mutex mutex;
  std::atomic<bool> stop{false};
  std::atomic<int> holds{0};
  WaitGroup group;
  group.go([&] {
    while (!stop) {
      const std::lock_guard lock(mutex);
      ++holds;
      const auto end = std::chrono::steady_clock::now() + microseconds(100);
      while (std::chrono::steady_clock::now() < end) {
      }
    }
  });
  // The mutex is taken a hundred times within two seconds. One of several rounds must do this, because the machine may
  // be busy.
  const auto begin = std::chrono::steady_clock::now();
  std::chrono::steady_clock::duration took{};
  do {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i) {
      for (const int seen = holds; holds == seen;) yield();  // the other goroutine has it again
      const std::lock_guard lock(mutex);
    }
    took = std::chrono::steady_clock::now() - start;
  } while (took > std::chrono::seconds(2) && std::chrono::steady_clock::now() - begin < kPatience);
  EXPECT_LE(took, std::chrono::seconds(2));
  stop = true;
  group.wait();
}

WEFT_PROCS_TEST(Mutex, TryLockNeverWaits) {
  Mutex mutex;
  EXPECT_TRUE(mutex.try_lock());
  WaitGroup group;
  for (std::size_t i = 0; i < 3; ++i) {
    group.go([&] { const std::lock_guard lock(mutex); });
    ASSERT_TRUE(wait_until_parked(i + 1, "sync.Mutex.Lock"));
  }
  EXPECT_FALSE(mutex.try_lock());
  bool elsewhere = true;
  std::thread([&] { elsewhere = mutex.try_lock(); }).join();
  EXPECT_FALSE(elsewhere);
  mutex.unlock();
  group.wait();
  EXPECT_TRUE(mutex.try_lock());
}

// A waiter of more than a millisecond gets the mutex from an unlock, though the unlocker takes it back at once.
WEFT_PROCS_TEST(Mutex, HandsOverToAStarvingWaiter) {
  Mutex mutex;
  std::atomic<bool> served{false};
  WaitGroup group;
  mutex.lock();
  group.go([&] {
    mutex.lock();
    served = true;
    mutex.unlock();
  });
  ASSERT_TRUE(wait_until_parked(1, "sync.Mutex.Lock"));
  // Each unlock wakes the waiter or hands over to it. The waiter never finds the mutex free.
  int relocks = 0;
  for (; !served && relocks < 1000; ++relocks) {
    sleep(milliseconds(2));
    mutex.unlock();
    mutex.lock();
  }
  EXPECT_TRUE(served);
  mutex.unlock();
  group.wait();
}

// The last user may free the mutex right after its unlock, even while others are still inside theirs.
WEFT_PROCS_TEST(Mutex, MayBeFreedAfterTheLastUnlock) {
  struct Shared {
    Mutex mutex;
    int users = 3;
  };
  for (int i = 0; i < kRounds / 10; ++i) {
    auto* const shared = new Shared;
    WaitGroup group;
    const auto use = [shared] {
      shared->mutex.lock();
      const bool last = --shared->users == 0;
      shared->mutex.unlock();
      if (last) delete shared;
    };
    for (int g = 0; g < 3; ++g) group.go(use);
    group.wait();
  }
}

TEST(MutexDeath, UnlockOfUnlocked) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto unlock_in_goroutine = [] {
    run([] {
      Mutex mutex;
      mutex.lock();
      mutex.unlock();
      mutex.unlock();
    });
  };
  EXPECT_EXIT(unlock_in_goroutine(), ::testing::ExitedWithCode(2), "fatal error: sync: unlock of unlocked mutex");
  EXPECT_EXIT(Mutex().unlock(), ::testing::ExitedWithCode(2), "fatal error: sync: unlock of unlocked mutex");
}

}  // namespace
}  // namespace weft
