#include "weft/rw_mutex.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

using std::chrono::milliseconds;
using testing::eventually;
using testing::parked;
using testing::wait_until_parked;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 500;
#else
constexpr int kRounds = 5'000;
#endif

static_assert(!std::is_copy_constructible_v<RWMutex> && !std::is_move_constructible_v<RWMutex>);

// Writers count twice, without atomics. Readers must find the counts equal, and must find nobody writing.
struct Pair {
  RWMutex mutex;
  long first = 0;
  long second = 0;

  void write(bool pause) {
    mutex.lock();
    ++first;
    if (pause) yield();  // the lock is held over a scheduling point
    ++second;
    mutex.unlock();
  }
  bool read(bool pause) {
    mutex.lock_shared();
    const long seen = first;
    if (pause) yield();
    const bool same = seen == second;
    mutex.unlock_shared();
    return same;
  }
};

WEFT_PROCS_TEST(RWMutex, Excludes) {
  Pair pair;
  std::atomic<int> torn{0};
  WaitGroup group;
  for (int g = 0; g < 3; ++g) {
    group.go([&] {
      for (int i = 0; i < kRounds; ++i) pair.write(i % 16 == 0);
    });
  }
  for (int g = 0; g < 5; ++g) {
    group.go([&] {
      for (int i = 0; i < kRounds; ++i) torn += pair.read(i % 16 == 0) ? 0 : 1;
    });
  }
  group.wait();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(pair.first, 3L * kRounds);
  EXPECT_EQ(pair.second, 3L * kRounds);
}

WEFT_PROCS_TEST(RWMutex, TriesExclude) {
  Pair pair;
  std::atomic<int> torn{0};
  WaitGroup group;
  for (int g = 0; g < 2; ++g) {
    group.go([&] {
      for (int i = 0; i < kRounds; ++i) {
        while (!pair.mutex.try_lock()) yield();
        ++pair.first;
        ++pair.second;
        pair.mutex.unlock();
      }
    });
    group.go([&] {
      for (int i = 0; i < kRounds; ++i) {
        while (!pair.mutex.try_lock_shared()) yield();
        torn += pair.first == pair.second ? 0 : 1;
        pair.mutex.unlock_shared();
      }
    });
    group.go([&] {
      for (int i = 0; i < kRounds; ++i) pair.write(i % 16 == 0);
    });
  }
  group.wait();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(pair.first, 4L * kRounds);
}

WEFT_PROCS_TEST(RWMutex, GoroutinesAndThreadsShareIt) {
  Pair pair;
  std::atomic<int> torn{0};
  WaitGroup group;
  std::vector<std::thread> threads;
  const auto write = [&] {
    for (int i = 0; i < kRounds; ++i) pair.write(false);
  };
  const auto read = [&] {
    for (int i = 0; i < kRounds; ++i) torn += pair.read(false) ? 0 : 1;
  };
  const auto thread = [&](auto body) {
    group.add(1);
    threads.emplace_back([&group, body] {
      body();
      group.done();
    });
  };
  for (int i = 0; i < 2; ++i) {
    thread(write);
    thread(read);
    group.go(write);
    group.go(read);
  }
  group.wait();
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(pair.first, 4L * kRounds);
}

WEFT_PROCS_TEST(RWMutex, ReadersAreInsideTogether) {
  RWMutex mutex;
  std::atomic<int> inside{0};
  WaitGroup group;
  for (int i = 0; i < 5; ++i) {
    group.go([&] {
      const std::shared_lock lock(mutex);
      ++inside;
      EXPECT_TRUE(eventually([&] { return inside == 5; }));
    });
  }
  group.wait();
  EXPECT_EQ(inside, 5);
}

// A waiting writer keeps new readers out. They all run when it has unlocked, and before the next writer, although that
// one came earlier.
WEFT_PROCS_TEST(RWMutex, WritersAndReadersTakeTurns) {
  RWMutex mutex;
  Mutex order_mutex;
  std::string order;
  const auto note = [&](char who) {
    const std::lock_guard lock(order_mutex);
    order += who;
  };
  WaitGroup group;
  const auto start_writer = [&](char name, std::size_t waiting) {
    group.go([&, name] {
      mutex.lock();
      note(name);
      mutex.unlock();
    });
    ASSERT_TRUE(wait_until_parked(waiting, "sync.RWMutex.Lock"));
  };
  mutex.lock_shared();
  start_writer('1', 1);
  start_writer('2', 2);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_FALSE(mutex.try_lock_shared());
    group.go([&] {
      mutex.lock_shared();
      note('r');
      mutex.unlock_shared();
    });
    ASSERT_TRUE(wait_until_parked(i + 1, "sync.RWMutex.RLock"));
  }
  EXPECT_EQ(order, "");
  mutex.unlock_shared();
  group.wait();
  EXPECT_EQ(order, "1rrr2");
}

WEFT_PROCS_TEST(RWMutex, TheLastReaderLetsTheWriterIn) {
  RWMutex mutex;
  std::atomic<bool> written{false};
  WaitGroup group;
  for (int i = 0; i < 3; ++i) mutex.lock_shared();
  group.go([&] {
    const std::lock_guard lock(mutex);
    written = true;
  });
  ASSERT_TRUE(wait_until_parked(1, "sync.RWMutex.Lock"));
  mutex.unlock_shared();
  mutex.unlock_shared();
  EXPECT_EQ(parked("sync.RWMutex.Lock"), 1u);
  EXPECT_FALSE(written);
  mutex.unlock_shared();
  group.wait();
  EXPECT_TRUE(written);
}

WEFT_PROCS_TEST(RWMutex, WritersGetItInTheirOrder) {
  RWMutex mutex;
  std::vector<int> order;
  WaitGroup group;
  mutex.lock();
  for (int i = 0; i < 10; ++i) {
    group.go([&, i] {
      mutex.lock();
      order.push_back(i);
      mutex.unlock();
    });
    ASSERT_TRUE(wait_until_parked(static_cast<std::size_t>(i) + 1, "sync.RWMutex.Lock"));
  }
  mutex.unlock();
  group.wait();
  EXPECT_EQ(order.size(), 10u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

// The writer waits for more than a millisecond, and the unlocker takes the lock back at once. A reader waits as well.
WEFT_PROCS_TEST(RWMutex, HandsOverToAStarvingWriter) {
  RWMutex mutex;
  std::atomic<bool> wrote{false};
  std::atomic<bool> read{false};
  WaitGroup group;
  mutex.lock();
  group.go([&] {
    mutex.lock();
    wrote = true;
    mutex.unlock();
  });
  ASSERT_TRUE(wait_until_parked(1, "sync.RWMutex.Lock"));
  group.go([&] {
    mutex.lock_shared();
    read = true;
    mutex.unlock_shared();
  });
  ASSERT_TRUE(wait_until_parked(1, "sync.RWMutex.RLock"));
  for (int relocks = 0; !wrote && relocks < 1000; ++relocks) {
    sleep(milliseconds(2));
    mutex.unlock();
    mutex.lock();
    EXPECT_TRUE(read);  // the unlock admitted the reader, and this writer waited for it
  }
  EXPECT_TRUE(wrote);
  mutex.unlock();
  group.wait();
}

WEFT_PROCS_TEST(RWMutex, TriesFailWhereALockWouldWait) {
  RWMutex mutex;
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock_shared());
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock_shared());
  EXPECT_TRUE(mutex.try_lock_shared());
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock_shared();
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock_shared();
  EXPECT_TRUE(mutex.try_lock());
  std::thread([&] { mutex.unlock(); }).join();  // unlocked by a thread that is no owner
  EXPECT_TRUE(mutex.try_lock_shared());
  std::thread([&] { mutex.unlock_shared(); }).join();
}

WEFT_PROCS_TEST(RWMutex, WorksWithTheStandardLocks) {
  RWMutex a;
  Mutex b;
  {
    const std::scoped_lock both(a, b);
    EXPECT_FALSE(a.try_lock_shared());
  }
  {
    const std::shared_lock reading(a);
    EXPECT_FALSE(std::unique_lock(a, std::try_to_lock).owns_lock());
    EXPECT_TRUE(std::shared_lock(a, std::try_to_lock).owns_lock());
  }
  RWMutex::RLocker reader = a.r_locker();
  {
    const std::lock_guard reading(reader);
    EXPECT_TRUE(reader.try_lock());
    reader.unlock();
    EXPECT_FALSE(a.try_lock());
  }
  EXPECT_TRUE(a.try_lock());
  EXPECT_FALSE(reader.try_lock());
  a.unlock();
}

// The last user may free the mutex right after its unlock, though others are still inside theirs. Here that user is the
// reader, while the writer that let the reader in unlocks.
WEFT_PROCS_TEST(RWMutex, MayBeFreedAfterTheLastUnlock) {
  struct Shared {
    RWMutex mutex;
    bool written = false;
  };
  for (int i = 0; i < kRounds; ++i) {
    auto* const shared = new Shared;
    WaitGroup group;
    group.go([shared] {
      for (bool written = false; !written; yield()) {
        const std::shared_lock lock(shared->mutex);
        written = shared->written;
      }
      delete shared;
    });
    group.go([shared] {
      shared->mutex.lock();
      shared->written = true;
      shared->mutex.unlock();
    });
    group.wait();
  }
}

TEST(RWMutexDeath, Misuse) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  struct Case {
    void (*misuse)(RWMutex&);
    const char* text;
  };
  const Case cases[] = {
      {[](RWMutex& m) { m.unlock(); }, "fatal error: sync: Unlock of unlocked RWMutex"},
      {[](RWMutex& m) { m.unlock_shared(); }, "fatal error: sync: RUnlock of unlocked RWMutex"},
      {[](RWMutex& m) {
         m.lock_shared();
         m.unlock();
       },
       "fatal error: sync: Unlock of unlocked RWMutex"},
      {[](RWMutex& m) {
         m.lock();
         m.unlock_shared();
       },
       "fatal error: sync: RUnlock of unlocked RWMutex"},
      {[](RWMutex& m) {
         m.lock_shared();
         m.unlock_shared();
         m.unlock_shared();
       },
       "fatal error: sync: RUnlock of unlocked RWMutex"},
  };
  for (const Case& c : cases) {
    const auto in_goroutine = [&c] {
      run([&c] {
        RWMutex mutex;
        c.misuse(mutex);
      });
    };
    const auto in_thread = [&c] {
      RWMutex mutex;
      c.misuse(mutex);
    };
    EXPECT_EXIT(in_goroutine(), ::testing::ExitedWithCode(2), c.text);
    EXPECT_EXIT(in_thread(), ::testing::ExitedWithCode(2), c.text);
  }
}

}  // namespace
}  // namespace weft
