#include "weft/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "weft/go.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

using testing::eventually;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 1'000;
#else
constexpr int kRounds = 10'000;
#endif

constexpr PoolOptions kNoTimedTrims{.trim_period = std::chrono::nanoseconds(0)};

// Counts the living objects, and finds two users of the same object.
struct Object {
  Object() {
    alive.fetch_add(1, std::memory_order_relaxed);
    made.fetch_add(1, std::memory_order_relaxed);
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ~Object() { alive.fetch_sub(1, std::memory_order_relaxed); }

  void use() {
    ASSERT_FALSE(in_use.exchange(true, std::memory_order_relaxed)) << "two have it";
    ++uses;  // not atomic, so that TSan can find a race
    yield();
    ++uses;
    in_use.store(false, std::memory_order_relaxed);
  }

  std::atomic<bool> in_use{false};
  long uses = 0;
  static std::atomic<int> alive;
  static std::atomic<int> made;
};
std::atomic<int> Object::alive{0};
std::atomic<int> Object::made{0};

// A goroutine that comes to another thread can't reach what lies in the first thread's slot. This must be the
// exception.
WEFT_PROCS_TEST(Pool, GivesOutWhatCameBack) {
  Object::made = 0;
  {
    Pool<Object> pool(kNoTimedTrims);
    for (int i = 0; i < kRounds; ++i) pool.get()->use();
    EXPECT_LT(Object::made, kRounds / 2);
  }
  EXPECT_EQ(Object::alive, 0);
}

TEST(Pool, APlainThreadGetsTheLatestFirst) {
  Pool<int> pool([] { return -1; }, kNoTimedTrims);
  for (int i = 0; i < 10; ++i) pool.put(i);
  std::vector<Pool<int>::Lease> leases;
  leases.reserve(11);
  for (int expected = 9; expected >= -1; --expected) {
    leases.push_back(pool.get());
    EXPECT_EQ(*leases.back(), expected);
  }
}

// All processors find whatever lies in the lists of one; they take the oldest first.
WEFT_PROCS_TEST(Pool, WhoHasNoneTakesTheOldestOfAnother) {
  Pool<int> pool([] { return -1; }, kNoTimedTrims);
  std::thread([&] {
    for (int i = 0; i < 10; ++i) pool.put(i);
  }).join();
  std::vector<Pool<int>::Lease> leases;
  leases.reserve(11);
  for (int expected = 0; expected < 10; ++expected) {
    leases.push_back(pool.get());
    EXPECT_EQ(*leases.back(), expected);
  }
  leases.push_back(pool.get());
  EXPECT_EQ(*leases.back(), -1);
}

WEFT_PROCS_TEST(Pool, ALeaseMovesAndEnds) {
  {
    Pool<Object> pool(kNoTimedTrims);
    Pool<Object>::Lease empty;
    EXPECT_FALSE(empty);
    empty.give_back();
    empty.discard();
    auto first = pool.get();
    Object* const object = &*first;
    auto second = std::move(first);
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): a moved-from lease is empty
    EXPECT_EQ(&*second, object);
    first = std::move(second);
    EXPECT_EQ(&*first, object);
    const int alive = Object::alive;
    first.discard();
    EXPECT_FALSE(first);
    EXPECT_EQ(Object::alive, alive - 1);
    first = pool.get();
    first.give_back();
    EXPECT_FALSE(first);
    EXPECT_EQ(Object::alive, alive);
  }
  EXPECT_EQ(Object::alive, 0);
}

TEST(Pool, MakesWhatDoesNotMoveAndTakesWhatOnlyMoves) {
  struct Fixed {
    explicit Fixed(int n) : number(n) {}
    Fixed(const Fixed&) = delete;
    Fixed& operator=(const Fixed&) = delete;
    int number;
  };
  Pool<Fixed> fixed([n = 0]() mutable { return Fixed(++n); });
  EXPECT_EQ(fixed.get()->number, 1);
  Pool<std::unique_ptr<int>> moves;
  {
    const auto made = moves.get();
    EXPECT_EQ(*made, nullptr);
  }
  moves.trim();
  moves.trim();
  moves.put(std::make_unique<int>(5));
  const auto moved = moves.get();
  EXPECT_EQ(**moved, 5);
  struct alignas(256) Wide {
    char byte = 1;
  };
  Pool<Wide> wide;
  const auto aligned = wide.get();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&*aligned) % 256, 0u);
}

TEST(Pool, WhatTheMakerThrowsLeavesGet) {
  bool refuses = true;
  Pool<int> pool([&]() -> int {
    if (refuses) throw std::runtime_error("no");
    return 3;
  });
  EXPECT_THROW(static_cast<void>(pool.get()), std::runtime_error);
  refuses = false;
  const auto lease = pool.get();
  EXPECT_EQ(*lease, 3);
}

// `auto& object = *pool.get();` would refer to what the pool may give to the next user.
template <typename Lease>
concept Dereferences = requires(Lease&& lease) {
  *std::forward<Lease>(lease);
};
static_assert(Dereferences<Pool<int>::Lease&>);
static_assert(Dereferences<const Pool<int>::Lease&>);
static_assert(!Dereferences<Pool<int>::Lease>);
static_assert(!Dereferences<const Pool<int>::Lease>);

// The second trim after an object was used destroys it, wherever it lies, also on idle processors.
WEFT_PROCS_TEST(Pool, AnObjectSurvivesOneTrim) {
  Object::made = 0;
  {
    Pool<Object> pool(kNoTimedTrims);
    constexpr int kObjects = 40;
    WaitGroup group;
    std::atomic<int> have{0};
    for (int i = 0; i < kObjects; ++i) {
      group.go([&] {
        const auto lease = pool.get();
        ++have;
        EXPECT_TRUE(eventually([&] { return have == kObjects; }));
      });
    }
    group.wait();
    std::thread([&] { static_cast<void>(pool.get()); }).join();
    const int made = Object::made;
    EXPECT_GE(made, kObjects);
    EXPECT_EQ(Object::alive, made);
    pool.trim();
    EXPECT_EQ(Object::alive, made);
    {
      const auto victim = pool.get();
      EXPECT_EQ(Object::made, made) << "taken from the victims";
      pool.trim();
      EXPECT_EQ(Object::alive, 1) << "only the one in use";
    }
    pool.trim();
    EXPECT_EQ(Object::alive, 1);
    pool.trim();
    EXPECT_EQ(Object::alive, 0);
    pool.trim();
  }
  EXPECT_EQ(Object::alive, 0);
}

// Users of the pool trim it when the time has come.
WEFT_PROCS_TEST(Pool, TrimsByTime) {
  {
    Pool<Object> pool({.trim_period = std::chrono::milliseconds(1)});
    {
      std::vector<Pool<Object>::Lease> leases;
      leases.reserve(20);
      for (int i = 0; i < 20; ++i) leases.push_back(pool.get());
    }
    // eventually() sleeps, so the processor's clock goes on.
    EXPECT_TRUE(eventually([&] {
      static_cast<void>(pool.get());
      return Object::alive <= 2;
    }));
    {
      std::vector<Pool<Object>::Lease> leases;
      leases.reserve(20);
      for (int i = 0; i < 20; ++i) leases.push_back(pool.get());
    }
    std::thread([&] {  // the plain thread has a clock of its own
      EXPECT_TRUE(testing::spin_until([&] {
        static_cast<void>(pool.get());
        return Object::alive <= 2;
      }));
    })
        .join();
  }
  EXPECT_EQ(Object::alive, 0);
}

WEFT_PROCS_TEST(Pool, DoesNotTrimBeforeTheTime) {
  {
    Pool<Object> pool({.trim_period = std::chrono::hours(1)});
    {
      std::vector<Pool<Object>::Lease> leases;
      leases.reserve(20);
      for (int i = 0; i < 20; ++i) leases.push_back(pool.get());
    }
    for (int i = 0; i < 20; ++i) {
      static_cast<void>(pool.get());
      sleep(std::chrono::milliseconds(1));
    }
    EXPECT_GE(Object::alive, 20);
  }
  EXPECT_EQ(Object::alive, 0);
}

// Goroutines, hogs, blocking calls and plain threads use the pool, while somebody trims all the time.
WEFT_PROCS_TEST(Pool, NobodyHasWhatAnotherHas) {
  {
    Pool<Object> pool({.trim_period = std::chrono::microseconds(100)});
    std::atomic<bool> stop{false};
    const auto body = [&] {
      for (int i = 0; i < kRounds; ++i) {
        const auto first = pool.get();
        first->use();
        if (i % 3 == 0) {
          const auto second = pool.get();
          second->use();
        }
      }
    };
    WaitGroup group;
    for (int g = 0; g < 6; ++g) group.go(body);
    group.go([&] { blocking(body); });
    std::vector<std::thread> threads;
    threads.reserve(3);
    for (int t = 0; t < 2; ++t) threads.emplace_back(body);
    threads.emplace_back([&] {
      while (!stop) pool.trim();
    });
    group.wait();
    stop = true;
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(Object::alive, 0);
}

// These goroutines never yield, and so lose their processors in the middle of the work.
WEFT_PROCS_TEST(Pool, HogsShareIt) {
  {
    Pool<Object> pool(kNoTimedTrims);
    const int hogs = testing::variant().procs + 1;
    std::atomic<int> running{0};  // reaches all only when one has lost its processor to another
    WaitGroup group;
    for (int h = 0; h < hogs; ++h) {
      group.go([&] {
        ++running;
        EXPECT_TRUE(testing::spin_until([&] {
          auto lease = pool.get();
          EXPECT_FALSE(lease->in_use.exchange(true, std::memory_order_relaxed));
          ++lease->uses;
          lease->in_use.store(false, std::memory_order_relaxed);
          return running == hogs;
        }));
      });
    }
    group.wait();
  }
  EXPECT_EQ(Object::alive, 0);
}

// A goroutine runs on after its runtime. What it has in its machine's slot is not for the machines of the next runtime.
TEST(Pool, TheNextRuntimesMachinesAreOthers) {
  for (const int procs : {1, 2, 4}) {
    Pool<int> pool([] { return -1; }, kNoTimedTrims);
    std::atomic<int> hogs_machine{-1};
    std::atomic<bool> stop{false};
    std::atomic<bool> stopped{false};
    run(
        [&] {
          go([&] {
            pool.put(7);
            hogs_machine = machine_id();
            EXPECT_TRUE(testing::spin_until([&] { return stop.load(); }));
            {
              const auto kept = pool.get();
              EXPECT_EQ(*kept, 7);
            }
            stopped = true;
          });
          EXPECT_TRUE(eventually([&] { return hogs_machine >= 0; }));
        },
        {.procs = procs});
    run(
        [&] {
          // Each goroutine keeps a machine to itself, so that one of them gets the number of the hog's machine.
          std::atomic<bool> seen{false};
          std::atomic<int> running{0};
          WaitGroup group;
          for (int n = 1; !seen && n <= hogs_machine + 100; ++n) {
            group.go([&] {
              const int machine = machine_id();
              const auto lease = pool.get();
              EXPECT_EQ(*lease, -1);
              if (machine == hogs_machine) seen = true;
              ++running;
              EXPECT_TRUE(testing::spin_until([&] { return seen.load(); }));
            });
            EXPECT_TRUE(eventually([&] { return running == n; }));
          }
          EXPECT_TRUE(seen);
          seen = true;
          group.wait();
        },
        {.procs = procs});
    stop = true;
    EXPECT_TRUE(testing::spin_until([&] { return stopped.load(); }));
  }
}

// One pool serves runtimes of several widths, and is used without a runtime in between.
TEST(Pool, OutlivesTheRuntime) {
  {
    Pool<Object> pool(kNoTimedTrims);
    for (const int procs : {1, 8, 2}) {
      run(
          [&] {
            WaitGroup group;
            for (int i = 0; i < 100; ++i) group.go([&] { pool.get()->use(); });
            group.wait();
          },
          {.procs = procs});
      pool.get()->use();
    }
    const int alive = Object::alive;
    EXPECT_GT(alive, 0);
    pool.trim();
    pool.trim();
    EXPECT_EQ(Object::alive, 0);
  }
  EXPECT_EQ(Object::alive, 0);
}

}  // namespace
}  // namespace weft
