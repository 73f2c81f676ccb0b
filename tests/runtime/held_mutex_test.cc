// A std::mutex that is held when its goroutine leaves its stack is fatal in debug builds. Everything legal is left
// alone.
#include "runtime/src/sched/held_mutexes.h"

#include <dlfcn.h>
#include <pthread.h>

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <utility>

#include "support/matrix.h"
#include "support/report.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;

#if defined(NDEBUG) || defined(WEFT_TSAN)

TEST(HeldMutex, IsOffHere) {
  EXPECT_FALSE(weft::rt::kCountsHeldMutexes);
  EXPECT_EQ(weft::run([] {
              std::mutex mutex;
              const std::lock_guard lock(mutex);
            }),
            0);
}

#else

using weft::rt::held_mutexes;

// --- what is fatal ---------------------------------------------------------------------------------------------------

std::string report(const std::string& wait) {
  return "^fatal error: a std::mutex is held across a park \\(" + wait +
         "\\): another goroutine of this thread would deadlock; use weft::Mutex or release it first\n"
         "\ngoroutine 1 \\[running\\]:";
}

void expect_fatal(const char* wait, void (*body)()) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // On a slow machine, main may be logged as a goroutine that keeps its thread, before it dies.
  EXPECT_EXIT(weft::run([=] { body(); }, {.procs = 2, .log = weft::testing::ignore}), ::testing::ExitedWithCode(2),
              report(wait));
}

template <typename Wait>
void hold_and(Wait wait) {
  std::mutex mutex;
  const std::lock_guard lock(mutex);
  wait();
}

TEST(HeldMutexDeathTest, OverSleep) {
  expect_fatal("sleep", [] { hold_and([] { weft::sleep(1ms); }); });
}

TEST(HeldMutexDeathTest, OverAChannel) {
  expect_fatal("chan receive", [] { hold_and([] { weft::make_chan<int>().recv(); }); });
  expect_fatal("chan send", [] { hold_and([] { weft::make_chan<int>().send(1); }); });
}

TEST(HeldMutexDeathTest, OverYield) {
  expect_fatal("yield", [] { hold_and([] { weft::yield(); }); });
}

TEST(HeldMutexDeathTest, OverAWaitGroupAndAMutex) {
  expect_fatal("sync.WaitGroup.Wait", [] {
    hold_and([] {
      weft::WaitGroup group;
      group.add(1);
      group.wait();
    });
  });
  expect_fatal("sync.Mutex.Lock", [] {
    hold_and([] {
      weft::Mutex mutex;
      mutex.lock();
      mutex.lock();
    });
  });
}

TEST(HeldMutexDeathTest, OverTheEndOfAGoroutine) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(weft::run([] {
                static std::mutex mutex;
                weft::go([] { mutex.lock(); });
                weft::sleep(1h);
              }),
              ::testing::ExitedWithCode(2), "held across a park \\(exit\\)");
}

TEST(HeldMutexDeathTest, EveryKindOfMutex) {
  expect_fatal("sleep", [] {
    std::recursive_mutex mutex;
    mutex.lock();
    mutex.lock();
    mutex.unlock();
    weft::sleep(1ms);
  });
  expect_fatal("sleep", [] {
    std::timed_mutex mutex;
    ASSERT_TRUE(mutex.try_lock_for(1h));
    weft::sleep(1ms);
  });
  expect_fatal("sleep", [] {
    std::mutex mutex;
    ASSERT_TRUE(mutex.try_lock());
    weft::sleep(1ms);
  });
  expect_fatal("sleep", [] {
    std::shared_mutex mutex;
    const std::unique_lock lock(mutex);
    weft::sleep(1ms);
  });
  expect_fatal("sleep", [] {
    std::shared_mutex mutex;
    const std::shared_lock lock(mutex);
    weft::sleep(1ms);
  });
  expect_fatal("sleep", [] {
    std::shared_timed_mutex mutex;
    ASSERT_TRUE(mutex.try_lock_shared_for(1h));
    weft::sleep(1ms);
  });
}

TEST(HeldMutexDeathTest, MovedLock) {
  expect_fatal("sleep", [] {
    std::mutex mutex;
    std::unique_lock outer(mutex, std::defer_lock);
    {
      std::unique_lock inner(mutex);
      outer = std::move(inner);
    }
    weft::sleep(1ms);
  });
}

// --- what is not -----------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(HeldMutex, ReleasedBeforeTheParkIsFine) {
  std::mutex mutex;
  std::recursive_mutex recursive;
  std::shared_mutex shared;
  for (int i = 0; i < 100; ++i) {
    {
      const std::scoped_lock lock(mutex, recursive);
      const std::lock_guard again(recursive);
      EXPECT_EQ(held_mutexes(), 3);
    }
    { const std::shared_lock lock(shared); }
    { const std::unique_lock lock(shared); }
    EXPECT_EQ(held_mutexes(), 0);
    weft::yield();
  }
  weft::sleep(1ms);
}

WEFT_PROCS_TEST(HeldMutex, ManyGoroutinesTakeTurns) {
  std::mutex mutex;
  weft::WaitGroup group;
  int total = 0;
  for (int g = 0; g < 20; ++g) {
    group.add(1);
    weft::go([&] {
      for (int i = 0; i < 50; ++i) {
        {
          const std::lock_guard lock(mutex);
          ++total;
        }
        weft::yield();
      }
      group.done();
    });
  }
  group.wait();
  EXPECT_EQ(total, 1000);
}

WEFT_PROCS_TEST(HeldMutex, MovedAndReleasedLocks) {
  std::mutex mutex;
  std::unique_lock first(mutex);
  std::unique_lock second = std::move(first);
  second.unlock();
  weft::yield();
  second.lock();
  second.release()->unlock();
  EXPECT_EQ(held_mutexes(), 0);
  weft::yield();
}

// The goroutine blocks its thread, as any blocking code does.
WEFT_PROCS_TEST(HeldMutex, ConditionVariables) {
  std::mutex mutex;
  std::condition_variable changed;
  std::condition_variable_any any_changed;
  int turn = 0;
  std::thread thread([&] {
    for (int i = 0; i < 10; ++i) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return turn % 2 == 1; });
      ++turn;
      any_changed.notify_one();
    }
  });
  for (int i = 0; i < 10; ++i) {
    {
      std::unique_lock lock(mutex);
      ++turn;
      changed.notify_one();
      any_changed.wait(lock, [&] { return turn % 2 == 0; });
      EXPECT_EQ(changed.wait_for(lock, 1us), std::cv_status::timeout);
      EXPECT_EQ(held_mutexes(), 1);
    }
    EXPECT_EQ(held_mutexes(), 0);
    weft::yield();
  }
  thread.join();
}

WEFT_PROCS_TEST(HeldMutex, LocksThatWereRefusedDoNotCount) {
  std::mutex mutex;
  std::timed_mutex timed;
  std::shared_mutex shared;
  std::atomic<bool> locked{false};
  std::atomic<bool> done{false};
  std::thread holder([&] {
    const std::scoped_lock lock(mutex, timed, shared);
    locked.store(true, std::memory_order_release);
    while (!done.load(std::memory_order_acquire)) std::this_thread::sleep_for(1ms);
  });
  while (!locked.load(std::memory_order_acquire)) weft::sleep(1ms);
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_FALSE(timed.try_lock_for(1us));
  EXPECT_FALSE(timed.try_lock_until(std::chrono::system_clock::now()));
  EXPECT_FALSE(shared.try_lock());
  EXPECT_FALSE(shared.try_lock_shared());
  EXPECT_EQ(held_mutexes(), 0);
  weft::yield();
  done.store(true, std::memory_order_release);
  holder.join();
}

pthread_mutex_t made(int type, int robustness) {
  pthread_mutexattr_t attributes;
  EXPECT_EQ(::pthread_mutexattr_init(&attributes), 0);
  EXPECT_EQ(::pthread_mutexattr_settype(&attributes, type), 0);
  EXPECT_EQ(::pthread_mutexattr_setrobust(&attributes, robustness), 0);
  pthread_mutex_t mutex;
  EXPECT_EQ(::pthread_mutex_init(&mutex, &attributes), 0);
  EXPECT_EQ(::pthread_mutexattr_destroy(&attributes), 0);
  return mutex;
}

WEFT_PROCS_TEST(HeldMutex, ErrorcheckMutex) {
  pthread_mutex_t mutex = made(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED);
  EXPECT_EQ(::pthread_mutex_unlock(&mutex), EPERM);
  EXPECT_EQ(::pthread_mutex_lock(&mutex), 0);
  EXPECT_EQ(::pthread_mutex_lock(&mutex), EDEADLK);
  EXPECT_EQ(held_mutexes(), 1);
  EXPECT_EQ(::pthread_mutex_unlock(&mutex), 0);
  EXPECT_EQ(::pthread_mutex_unlock(&mutex), EPERM);
  EXPECT_EQ(held_mutexes(), 0);
  weft::yield();
  EXPECT_EQ(::pthread_mutex_destroy(&mutex), 0);
}

WEFT_PROCS_TEST(HeldMutex, RobustMutexOfADeadOwner) {
  pthread_mutex_t mutex = made(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST);
  std::thread([&] { EXPECT_EQ(::pthread_mutex_lock(&mutex), 0); }).join();
  EXPECT_EQ(::pthread_mutex_lock(&mutex), EOWNERDEAD);
  EXPECT_EQ(held_mutexes(), 1);
  EXPECT_EQ(::pthread_mutex_consistent(&mutex), 0);
  EXPECT_EQ(::pthread_mutex_unlock(&mutex), 0);
  EXPECT_EQ(held_mutexes(), 0);
  weft::yield();
  EXPECT_EQ(::pthread_mutex_destroy(&mutex), 0);
}

// A plain thread blocks as a whole.
WEFT_PROCS_TEST(HeldMutex, PlainThreadsMayHoldOneOverAnything) {
  auto ch = weft::make_chan<int>();
  std::mutex mutex;
  std::thread thread([&] {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(ch.recv(), 1);
    weft::yield();
  });
  ch.send(1);
  thread.join();
}

WEFT_PROCS_TEST(HeldMutex, GoingAndSendingWithoutWaitingIsFine) {
  auto ch = weft::make_chan<int>(1);
  std::mutex mutex;
  {
    const std::lock_guard lock(mutex);
    weft::go([ch]() mutable { ch.recv(); });
    ch.send(1);
  }
  weft::yield();
}

// --- the count -------------------------------------------------------------------------------------------------------

template <typename Function>
Function symbol(void* where, const char* name, Function) {
  return reinterpret_cast<Function>(::dlsym(where, name));
}

// Shared libraries find the counting functions under these names.
TEST(HeldMutex, CountsTheLocksOfSharedLibraries) {
  auto* const lock = symbol(RTLD_DEFAULT, "pthread_mutex_lock", &::pthread_mutex_lock);
  auto* const unlock = symbol(RTLD_DEFAULT, "pthread_mutex_unlock", &::pthread_mutex_unlock);
  auto* const write_lock = symbol(RTLD_DEFAULT, "pthread_rwlock_clockwrlock", &::pthread_rwlock_clockwrlock);
  EXPECT_EQ(lock, &::pthread_mutex_lock);
  EXPECT_EQ(write_lock, &::pthread_rwlock_clockwrlock);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  EXPECT_EQ(lock(&mutex), 0);
  EXPECT_EQ(held_mutexes(), 1);
  EXPECT_EQ(unlock(&mutex), 0);
  EXPECT_EQ(held_mutexes(), 0);
}

TEST(HeldMutex, NeverFallsBelowZero) {
  auto* const uncounted = symbol(RTLD_NEXT, "pthread_mutex_lock", &::pthread_mutex_lock);
  ASSERT_NE(uncounted, &::pthread_mutex_lock);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  EXPECT_EQ(uncounted(&mutex), 0);
  EXPECT_EQ(held_mutexes(), 0);
  EXPECT_EQ(::pthread_mutex_unlock(&mutex), 0);
  EXPECT_EQ(held_mutexes(), 0);
  EXPECT_EQ(::pthread_mutex_lock(&mutex), 0);
  EXPECT_EQ(held_mutexes(), 1);
  EXPECT_EQ(::pthread_mutex_unlock(&mutex), 0);
}

TEST(HeldMutex, IsCountedPerThread) {
  std::mutex mutex;
  const std::lock_guard lock(mutex);
  EXPECT_EQ(held_mutexes(), 1);
  std::thread([] { EXPECT_EQ(held_mutexes(), 0); }).join();
}

#endif

}  // namespace
