#include "weft/semaphore.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "support/report.h"
#include "weft/context.h"
#include "weft/error.h"
#include "weft/go.h"
#include "weft/panic.h"
#include "weft/testing/bubble.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

using testing::parked;
using testing::wait_until_parked;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 500;
#else
constexpr int kRounds = 5'000;
#endif

constexpr const char* kWaits = "semaphore.Acquire";

static_assert(!std::is_copy_constructible_v<Semaphore> && !std::is_move_constructible_v<Semaphore>);

WEFT_PROCS_TEST(Semaphore, NeverGivesMoreThanItHas) {
  constexpr std::int64_t kSize = 10;
  Semaphore semaphore(kSize);
  std::atomic<std::int64_t> taken{0};
  std::atomic<bool> over{false};
  const auto body = [&](std::int64_t g) {
    for (int i = 0; i < kRounds; ++i) {
      const std::int64_t n = (g + i) % kSize + 1;
      if (g % 3 == 0) {
        while (!semaphore.try_acquire(n)) yield();
      } else if (g % 3 == 1) {
        semaphore.acquire(n);
      } else {
        EXPECT_FALSE(semaphore.acquire(background(), n));
      }
      if (taken.fetch_add(n) + n > kSize) over = true;
      if (i % 16 == 0) yield();
      taken.fetch_sub(n);
      semaphore.release(n);
    }
  };
  WaitGroup group;
  for (std::int64_t g = 1; g < 9; ++g) group.go([&body, g] { body(g); });
  std::vector<std::thread> threads;
  for (std::int64_t g = 1; g < 3; ++g) {
    group.add(1);
    threads.emplace_back([&body, &group, g] {
      body(g);
      group.done();
    });
  }
  group.wait();
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(over);
  EXPECT_TRUE(semaphore.try_acquire(kSize));
  semaphore.release(kSize);
}

WEFT_PROCS_TEST(Semaphore, ALargeRequestIsNotOvertaken) {
  Semaphore semaphore(10);
  semaphore.acquire(6);
  std::string order;
  WaitGroup group;
  const auto start = [&](char name, std::int64_t n, std::size_t waiting) {
    group.go([&, name, n] {
      semaphore.acquire(n);
      order += name;  // one of them at a time: together they want more than there is
      semaphore.release(n);
    });
    ASSERT_TRUE(wait_until_parked(waiting, kWaits));
  };
  start('a', 10, 1);
  start('b', 1, 2);
  start('c', 10, 3);
  EXPECT_FALSE(semaphore.try_acquire(1));
  EXPECT_EQ(order, "");
  semaphore.release(5);
  EXPECT_FALSE(semaphore.try_acquire(1));
  EXPECT_EQ(parked(kWaits), 3u);
  semaphore.release(1);
  group.wait();
  EXPECT_EQ(order, "abc");
}

WEFT_PROCS_TEST(Semaphore, OneReleaseLetsSeveralIn) {
  Semaphore semaphore(4);
  semaphore.acquire(4);
  std::atomic<int> inside{0};
  WaitGroup group;
  for (std::size_t i = 0; i < 4; ++i) {
    group.go([&] {
      semaphore.acquire();
      ++inside;
      EXPECT_TRUE(testing::eventually([&] { return inside == 4; }));
      semaphore.release();
    });
    ASSERT_TRUE(wait_until_parked(i + 1, kWaits));
  }
  semaphore.release(4);
  group.wait();
  EXPECT_EQ(inside, 4);
}

WEFT_PROCS_TEST(Semaphore, ADoneContextGetsNothing) {
  Semaphore semaphore(1);
  const auto [context, cancel] = with_cancel(background());
  cancel();
  EXPECT_TRUE(semaphore.acquire(context) == Condition::canceled);
  EXPECT_TRUE(semaphore.acquire(context, 0) == Condition::canceled);
  EXPECT_TRUE(semaphore.acquire(context, 2) == Condition::canceled);
  EXPECT_TRUE(semaphore.try_acquire());
}

WEFT_PROCS_TEST(Semaphore, AContextEndsTheWait) {
  Semaphore semaphore(1);
  semaphore.acquire();
  {
    const auto [context, cancel] = with_timeout(background(), std::chrono::milliseconds(1));
    EXPECT_TRUE(semaphore.acquire(context) == Condition::deadline_exceeded);
  }
  const auto [context, cancel] = with_cancel(background());
  WaitGroup group;
  std::thread thread;
  group.add(1);
  thread = std::thread([&, ctx = context] {
    EXPECT_TRUE(semaphore.acquire(ctx) == Condition::canceled);
    group.done();
  });
  for (std::size_t i = 0; i < 3; ++i) {
    group.go([&, ctx = context] { EXPECT_TRUE(semaphore.acquire(ctx) == Condition::canceled); });
    ASSERT_TRUE(wait_until_parked(i + 1, kWaits));
  }
  cancel();
  group.wait();
  thread.join();
  EXPECT_FALSE(semaphore.try_acquire());
  semaphore.release();
  EXPECT_TRUE(semaphore.try_acquire());
}

// When the first waiter leaves, those that it kept waiting go on, if there is enough for them.
WEFT_PROCS_TEST(Semaphore, TheFirstThatLeavesLetsTheNextIn) {
  Semaphore semaphore(10);
  semaphore.acquire(5);
  const auto [context, cancel] = with_cancel(background());
  WaitGroup first;
  first.go([&, ctx = context] { EXPECT_TRUE(semaphore.acquire(ctx, 6) == Condition::canceled); });
  ASSERT_TRUE(wait_until_parked(1, kWaits));
  WaitGroup next;
  next.go([&] { semaphore.acquire(3); });
  ASSERT_TRUE(wait_until_parked(2, kWaits));
  next.go([&] { semaphore.acquire(2); });
  ASSERT_TRUE(wait_until_parked(3, kWaits));
  cancel();
  first.wait();
  next.wait();
  semaphore.release(10);
}

WEFT_PROCS_TEST(Semaphore, MoreThanThereIsWaitsForItsContextAlone) {
  Semaphore semaphore(2);
  const auto [context, cancel] = with_cancel(background());
  WaitGroup group;
  group.go([&, ctx = context] { EXPECT_TRUE(semaphore.acquire(ctx, 3) == Condition::canceled); });
  ASSERT_TRUE(wait_until_parked(1, kWaits));
  EXPECT_TRUE(semaphore.try_acquire(2));  // nobody has to wait for that request
  semaphore.release(2);
  semaphore.acquire(1);
  semaphore.release(1);
  EXPECT_EQ(parked(kWaits), 1u);
  cancel();
  group.wait();
}

// Whoever wins, nothing is lost: after an error the caller has no units.
WEFT_PROCS_TEST(Semaphore, AGrantThatRacesTheCancellation) {
  Semaphore semaphore(1);
  std::atomic<int> granted{0};
  for (int i = 0; i < kRounds / 5; ++i) {
    semaphore.acquire();
    const auto [context, cancel] = with_cancel(background());
    WaitGroup group;
    for (int g = 0; g < 2; ++g) {
      group.go([&, ctx = context] {
        if (semaphore.acquire(ctx)) return;
        ++granted;
        semaphore.release();
      });
    }
    if (i % 2 == 0) yield();
    group.go([&, end = cancel] { end(); });
    group.go([&] { semaphore.release(); });
    group.wait();
    EXPECT_TRUE(semaphore.try_acquire());
    semaphore.release();
  }
}

// --- SemaphoreLock ---

WEFT_PROCS_TEST(SemaphoreLock, GivesBackAtTheEndOfTheScope) {
  Semaphore semaphore(3);
  {
    const SemaphoreLock two = semaphore.hold(2);
    const SemaphoreLock one = semaphore.try_hold();
    EXPECT_TRUE(two && one);
    EXPECT_FALSE(semaphore.try_hold());
  }
  EXPECT_TRUE(semaphore.try_hold(3));
  try {
    const SemaphoreLock all = semaphore.hold(3);
    throw std::runtime_error("in the middle of it");
  } catch (const std::runtime_error&) {
  }
  const SemaphoreLock none = semaphore.hold(0);
  EXPECT_TRUE(none);
  EXPECT_TRUE(semaphore.try_acquire(3));
  semaphore.release(3);
}

WEFT_PROCS_TEST(SemaphoreLock, MovesAndEndsEarly) {
  Semaphore semaphore(5);
  SemaphoreLock empty;
  EXPECT_FALSE(empty);
  empty.release();
  SemaphoreLock first = semaphore.hold(2);
  SemaphoreLock second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): a moved-from lock is empty
  EXPECT_TRUE(second);
  first.release();
  EXPECT_FALSE(semaphore.try_hold(4));
  first = semaphore.hold(3);
  EXPECT_FALSE(semaphore.try_hold());
  first = std::move(second);  // gives the three units back
  EXPECT_TRUE(semaphore.try_hold(3));
  EXPECT_FALSE(semaphore.try_hold(4));
  first.release();
  EXPECT_FALSE(first);
  first.release();
  EXPECT_TRUE(semaphore.try_hold(5));
  static_assert(!std::is_copy_constructible_v<SemaphoreLock> && std::is_nothrow_move_assignable_v<SemaphoreLock>);
}

WEFT_PROCS_TEST(SemaphoreLock, AContextEndsTheWaitForIt) {
  Semaphore semaphore(1);
  const auto [ctx, cancel] = with_cancel(background());
  Result<SemaphoreLock> held = semaphore.hold(ctx);
  ASSERT_TRUE(held);
  WaitGroup waiter;
  waiter.go([&, context = ctx] {
    const Result<SemaphoreLock> late = semaphore.hold(context);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error(), Errc::canceled);
  });
  ASSERT_TRUE(wait_until_parked(1, kWaits));
  cancel();
  waiter.wait();
  EXPECT_FALSE(semaphore.try_hold());
  held->release();
  EXPECT_TRUE(semaphore.try_hold());
}

WEFT_PROCS_TEST(SemaphoreLock, TheNextWaitsForItsEnd) {
  Semaphore semaphore(1);
  SemaphoreLock held = semaphore.hold();
  WaitGroup waiter;
  waiter.go([&] { EXPECT_TRUE(semaphore.hold()); });
  ASSERT_TRUE(wait_until_parked(1, kWaits));
  held.release();
  waiter.wait();
}

WEFT_PROCS_TEST(Semaphore, MisuseThrows) {
  Semaphore semaphore(3);
  const auto message = [](auto misuse) -> std::string {
    try {
      misuse();
    } catch (const Panic& panic) {
      return panic.what();
    }
    return "";
  };
  EXPECT_EQ(message([&] { semaphore.release(); }), "semaphore: released more than held");
  semaphore.acquire(2);
  EXPECT_EQ(message([&] { semaphore.release(3); }), "semaphore: released more than held");
  EXPECT_EQ(message([&] { semaphore.acquire(-1); }), "semaphore: negative weight");
  EXPECT_EQ(message([&] { static_cast<void>(semaphore.acquire(background(), -1)); }), "semaphore: negative weight");
  EXPECT_EQ(message([&] { static_cast<void>(semaphore.try_acquire(-1)); }), "semaphore: negative weight");
  EXPECT_EQ(message([&] { semaphore.release(-1); }), "semaphore: negative weight");
  EXPECT_EQ(message([] { const Semaphore negative(-1); }), "semaphore: negative weight");
  EXPECT_TRUE(semaphore.try_acquire(1));  // nothing is taken: the calls above had no effect
  EXPECT_FALSE(semaphore.try_acquire(1));
}

WEFT_PROCS_TEST(Semaphore, BlocksDurablyInABubble) {
  testing::bubble([] {
    Semaphore semaphore(1);
    semaphore.acquire();
    const auto start = now();
    const auto [context, cancel] = with_timeout(background(), std::chrono::hours(1));
    EXPECT_TRUE(semaphore.acquire(context) == Condition::deadline_exceeded);
    EXPECT_EQ(now() - start, std::chrono::hours(1));
  });
}

// The last goroutine that was let in may end the semaphore, though the releaser has not returned yet.
WEFT_PROCS_TEST(Semaphore, MayBeFreedByTheLastUser) {
  for (int i = 0; i < kRounds / 5; ++i) {
    auto* const semaphore = new Semaphore(1);
    semaphore->acquire();
    WaitGroup group;
    group.go([semaphore] {
      semaphore->acquire();
      delete semaphore;
    });
    group.go([semaphore] { semaphore->release(); });
    group.wait();
  }
}

TEST(SemaphoreDeath, MoreThanThereIsWithoutAContextWaitsForEver) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto wait = [] { run([] { Semaphore(1).acquire(2); }, {.procs = 1, .log = testing::ignore}); };
  EXPECT_EXIT(wait(), ::testing::ExitedWithCode(2),
              "all goroutines are asleep - deadlock!\n\ngoroutine 1 \\[semaphore.Acquire\\]:");
}

}  // namespace
}  // namespace weft
