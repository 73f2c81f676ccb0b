// weft::lock_os_thread(): a goroutine and a thread serve each other alone.
#include "weft/go.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/mutex.h"
#include "weft/stats.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::eventually;

#ifdef WEFT_TSAN
constexpr int kYields = 1000;
#else
constexpr int kYields = 10'000;
#endif

bool thread_exists(pid_t thread) {
  struct stat file;
  return ::stat(("/proc/self/task/" + std::to_string(thread)).c_str(), &file) == 0;
}

bool locked() {
  for (const weft::GoroutineInfo& g : weft::goroutines()) {
    if (g.id == weft::this_goroutine::id()) return g.locked_to_thread;
  }
  return false;
}

bool blocks_signal(int signal) {
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return ::sigismember(&mask, signal) == 1;
}

void block_signal(int signal) {
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, signal);
  ::pthread_sigmask(SIG_BLOCK, &mask, nullptr);
}

// Goroutines that yield until the end of the scope, and count how often they found themselves on a thread that belongs
// to another goroutine.
class Crowd {
 public:
  explicit Crowd(int n) {
    for (int i = 0; i < n; ++i) {
      group_.go([this] {
        while (!stop_.load(std::memory_order_acquire)) {
          if (::gettid() == forbidden_.load(std::memory_order_acquire)) seen_.fetch_add(1, std::memory_order_relaxed);
          turns_.fetch_add(1, std::memory_order_relaxed);
          weft::yield();
        }
      });
    }
  }
  ~Crowd() {
    stop_.store(true, std::memory_order_release);
    group_.wait();
  }
  void forbid(pid_t thread) { forbidden_.store(thread, std::memory_order_release); }
  int seen() const { return seen_.load(std::memory_order_relaxed); }
  int turns() const { return turns_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<pid_t> forbidden_{0};
  std::atomic<int> seen_{0};
  std::atomic<int> turns_{0};
  weft::WaitGroup group_;
};

// --- the thread ------------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(ThreadLock, OneThreadForTheGoroutineAlone) {
  Crowd crowd(8);
  weft::WaitGroup group;
  group.go([&] {
    weft::lock_os_thread();
    EXPECT_TRUE(locked());
    const pid_t mine = ::gettid();
    crowd.forbid(mine);
    for (int i = 0; i < kYields; ++i) {
      weft::yield();
      ASSERT_EQ(::gettid(), mine);
    }
    crowd.forbid(0);
    weft::unlock_os_thread();
  });
  group.wait();
  EXPECT_EQ(crowd.seen(), 0);
}

WEFT_PROCS_TEST(ThreadLock, LocksNest) {
  Crowd crowd(4);
  weft::WaitGroup group;
  group.go([&] {
    weft::lock_os_thread();
    weft::lock_os_thread();
    weft::unlock_os_thread();
    EXPECT_TRUE(locked());
    const pid_t mine = ::gettid();
    crowd.forbid(mine);
    for (int i = 0; i < 200; ++i) {
      weft::yield();
      ASSERT_EQ(::gettid(), mine);
    }
    crowd.forbid(0);
    weft::unlock_os_thread();
    EXPECT_FALSE(locked());
    weft::unlock_os_thread();  // there is nothing to undo
    EXPECT_FALSE(locked());
    weft::lock_os_thread();
    EXPECT_TRUE(locked());
    weft::unlock_os_thread();
    EXPECT_FALSE(locked());
  });
  group.wait();
  EXPECT_EQ(crowd.seen(), 0);
}

// The thread goes back to the others.
WEFT_PROCS_TEST(ThreadLock, UnlockedThreadServesOthers) {
  weft::lock_os_thread();
  const pid_t mine = ::gettid();
  weft::unlock_os_thread();
  std::atomic<bool> seen{false};
  weft::WaitGroup group;
  for (int i = 0; i < 8; ++i) {
    group.go([&] {
      for (const auto end = weft::testing::patience_end();
           !seen.load(std::memory_order_acquire) && std::chrono::steady_clock::now() < end;) {
        if (::gettid() == mine) seen.store(true, std::memory_order_release);
        weft::yield();
      }
    });
  }
  group.wait();
  EXPECT_TRUE(seen.load(std::memory_order_acquire));
}

WEFT_PROCS_TEST(ThreadLock, WaitsComeBackToTheThread) {
  Crowd crowd(2);
  auto ping = weft::make_chan<int>();
  auto pong = weft::make_chan<int>();
  weft::Mutex mutex;
  weft::WaitGroup group;
  group.go([&] {
    for (const int i : ping) {
      const std::lock_guard lock(mutex);
      pong.send(i);
    }
  });
  group.go([&] {
    weft::lock_os_thread();
    const pid_t mine = ::gettid();
    crowd.forbid(mine);
    for (int i = 0; i < 100; ++i) {
      ping.send(i);
      ASSERT_EQ(::gettid(), mine);
      ASSERT_EQ(pong.recv(), i);
      ASSERT_EQ(::gettid(), mine);
      {
        const std::lock_guard lock(mutex);
        ASSERT_EQ(::gettid(), mine);
      }
      if (i % 10 == 0) weft::sleep(1ms);
      ASSERT_EQ(::gettid(), mine);
      weft::blocking([&] {
        std::this_thread::sleep_for(100us);
        ASSERT_EQ(::gettid(), mine);
        if (i % 10 == 0) weft::sleep(1ms);
        ASSERT_EQ(::gettid(), mine);
      });
      ASSERT_EQ(::gettid(), mine);
    }
    ping.close();
    crowd.forbid(0);
    weft::unlock_os_thread();
  });
  group.wait();
  EXPECT_EQ(crowd.seen(), 0);
}

WEFT_PROCS_TEST(ThreadLock, ManyAtOnce) {
  auto token = weft::make_chan<int>();
  weft::WaitGroup group;
  for (int i = 0; i < 10; ++i) {
    group.go([&] {
      weft::lock_os_thread();
      const pid_t mine = ::gettid();
      while (const auto n = token.recv()) {
        ASSERT_EQ(::gettid(), mine);
        if (*n == 0) {
          token.close();
        } else {
          token.send(*n - 1);
        }
        ASSERT_EQ(::gettid(), mine);
      }
      weft::unlock_os_thread();
    });
  }
  token.send(500);
  group.wait();
}

// The call blocks the thread until others have run.
WEFT_PROCS_TEST(ThreadLock, OthersRunWhileALockedGoroutineBlocks) {
  std::atomic<bool> ran{false};
  weft::lock_os_thread();
  weft::go([&] { ran.store(true, std::memory_order_release); });
  weft::blocking([&] { EXPECT_TRUE(weft::testing::spin_until([&] { return ran.load(std::memory_order_acquire); })); });
  weft::unlock_os_thread();
}

WEFT_PROCS_TEST(ThreadLock, OthersRunWhileALockedGoroutineComputes) {
  std::atomic<bool> ran{false};
  weft::lock_os_thread();
  const pid_t mine = ::gettid();
  weft::go([&] { ran.store(true, std::memory_order_release); });
  EXPECT_TRUE(weft::testing::spin_until([&] { return ran.load(std::memory_order_acquire); }));
  weft::yield();
  EXPECT_EQ(::gettid(), mine);
  weft::unlock_os_thread();
}

WEFT_PROCS_TEST(ThreadLock, ChildrenAreNotLocked) {
  weft::lock_os_thread();
  const pid_t mine = ::gettid();
  weft::WaitGroup group;
  for (int i = 0; i < 10; ++i) {
    group.go([&] {
      EXPECT_FALSE(locked());
      EXPECT_NE(::gettid(), mine);
      weft::yield();
      EXPECT_NE(::gettid(), mine);
    });
  }
  group.wait();
  EXPECT_EQ(::gettid(), mine);
  weft::unlock_os_thread();
}

TEST(ThreadLock, MainMayStayLocked) {
  EXPECT_EQ(weft::run([] {
              weft::lock_os_thread();
              weft::WaitGroup group;
              group.go([] { weft::sleep(1ms); });
              group.wait();
              return 3;
            }),
            3);
}

// --- the end of a locked goroutine -----------------------------------------------------------------------------------

enum class End { returns, exits, exits_while_blocking };

void lock_and_end(End how) {
  weft::lock_os_thread();
  try {
    weft::yield();
    throw std::runtime_error("boom");
  } catch (const std::runtime_error&) {
    weft::yield();
  }
  if (how == End::exits) weft::exit_goroutine();
  if (how == End::exits_while_blocking) weft::blocking([] { weft::exit_goroutine(); });
}

WEFT_PROCS_TEST(ThreadLock, ThreadEndsWithItsGoroutine) {
  for (int i = 0; i < 30; ++i) {
    std::atomic<pid_t> thread{0};
    weft::WaitGroup group;
    group.go([&] {
      weft::lock_os_thread();
      thread.store(::gettid(), std::memory_order_relaxed);
      lock_and_end(static_cast<End>(i % 3));
    });
    group.wait();
    EXPECT_TRUE(eventually([&] { return !thread_exists(thread.load(std::memory_order_relaxed)); }));
    weft::WaitGroup others;
    for (int other = 0; other < 8; ++other) others.go([] { weft::sleep(100us); });
    others.wait();
  }
}

// What a thread leaves behind may wait for goroutines, which need other threads meanwhile.
WEFT_PROCS_TEST(ThreadLock, ThreadLocalDestructorMayUseTheRuntime) {
  struct Farewell {
    weft::Chan<int> channel;
    ~Farewell() {
      EXPECT_EQ(weft::runtime_stats().procs, weft::testing::variant().procs);
      channel.send(1);
    }
  };
  auto channel = weft::make_chan<int>();
  weft::WaitGroup group;
  group.go([&] {
    weft::lock_os_thread();
    static thread_local Farewell farewell{channel};
    EXPECT_EQ(farewell.channel, channel);
  });
  group.wait();
  // This needs more threads than there are, so the machine of the ended thread is used again.
  constexpr int kThreads = 12;
  std::latch all_in(kThreads);
  for (int i = 0; i < kThreads; ++i) group.go([&] { weft::blocking([&] { all_in.arrive_and_wait(); }); });
  group.wait();
  EXPECT_EQ(channel.recv(), 1);
}

WEFT_PROCS_TEST(ThreadLock, ManyThreadsEndAtOnce) {
  for (int round = 0; round < 3; ++round) {
    weft::WaitGroup group;
    for (int i = 0; i < 30; ++i) group.go([i] { lock_and_end(static_cast<End>(i % 3)); });
    group.wait();
  }
  EXPECT_TRUE(eventually([] { return weft::runtime_stats().machines <= 60; }));
}

// --- what the thread has become --------------------------------------------------------------------------------------

// Makes the runtime start threads, and checks that all of them are as they should be.
void expect_clean_threads() {
  constexpr int kThreads = 12;
  std::latch all_in(kThreads);
  weft::WaitGroup group;
  for (int i = 0; i < kThreads; ++i) {
    group.go([&] {
      weft::blocking([&] {
        EXPECT_FALSE(blocks_signal(SIGUSR2));
        all_in.arrive_and_wait();
      });
    });
  }
  group.wait();
}

WEFT_PROCS_TEST(ThreadLock, NewThreadsDoNotInheritFromALockedOne) {
  weft::WaitGroup group;
  group.go([] {
    weft::lock_os_thread();
    block_signal(SIGUSR2);
    expect_clean_threads();
    EXPECT_TRUE(blocks_signal(SIGUSR2));
  });
  group.wait();
  expect_clean_threads();
}

// There is no other thread yet that could take over.
WEFT_PROCS_TEST(ThreadLock, NewThreadsDoNotInheritFromOneThatEnds) {
  std::atomic<bool> ended{false};
  weft::go([&] {
    weft::lock_os_thread();
    block_signal(SIGUSR2);
    ended.store(true, std::memory_order_release);
  });
  ASSERT_TRUE(eventually([&] {
    EXPECT_FALSE(blocks_signal(SIGUSR2));
    return ended.load(std::memory_order_acquire);
  }));
  for (int i = 0; i < 10; ++i) {
    weft::sleep(1ms);
    EXPECT_FALSE(blocks_signal(SIGUSR2));
  }
  expect_clean_threads();
}

}  // namespace
