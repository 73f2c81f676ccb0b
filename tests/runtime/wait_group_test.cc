#include "weft/wait_group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "support/matrix.h"
#include "support/parked.h"
#include "weft/errgroup.h"
#include "weft/go.h"
#include "weft/goroutine_local.h"
#include "weft/panic.h"
#include "weft/task_group.h"
#include "weft/time.h"

namespace weft {
namespace {

using testing::wait_until_parked;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 500;
#else
constexpr int kRounds = 10'000;
#endif

WEFT_PROCS_TEST(WaitGroup, WaitsForAll) {
  WaitGroup group;
  group.wait();  // the count is zero
  std::atomic<int> done{0};
  for (int i = 0; i < 1000; ++i) group.go([&] { ++done; });
  group.wait();
  EXPECT_EQ(done, 1000);
}

WEFT_PROCS_TEST(WaitGroup, LetsAllWaitersGo) {
  WaitGroup work;
  WaitGroup waiters;
  std::atomic<int> returned{0};
  work.add(2);
  for (int i = 0; i < 100; ++i) {
    waiters.go([&] {
      work.wait();
      ++returned;
    });
  }
  ASSERT_TRUE(wait_until_parked(100, "sync.WaitGroup.Wait"));
  work.done();
  sleep(std::chrono::milliseconds(1));
  EXPECT_EQ(returned, 0);
  work.done();
  waiters.wait();
  EXPECT_EQ(returned, 100);
}

// The group is destroyed as soon as wait() returns, while the last done() is still returning.
WEFT_PROCS_TEST(WaitGroup, MayGoWhenWaitReturns) {
  int sum = 0;
  for (int i = 0; i < kRounds; ++i) {
    int a = 0;
    int b = 0;
    auto group = std::make_unique<WaitGroup>();
    group->go([&a] { a = 1; });
    group->go([&b] { b = 2; });
    group->wait();
    group.reset();
    sum += a + b;
  }
  EXPECT_EQ(sum, 3 * kRounds);
}

WEFT_PROCS_TEST(WaitGroup, MayBeUsedAgain) {
  WaitGroup group;
  std::atomic<int> done{0};
  for (int round = 0; round < 100; ++round) {
    group.add(3);
    for (int i = 0; i < 3; ++i) {
      go([&] {
        ++done;
        group.done();
      });
    }
    group.wait();
    ASSERT_EQ(done, 3 * (round + 1));
  }
}

WEFT_PROCS_TEST(WaitGroup, WorksFromPlainThreads) {
  for (int round = 0; round < 50; ++round) {
    WaitGroup group;
    int value = 0;
    group.add(1);
    std::thread worker([&] {
      value = 7;
      group.done();
    });
    std::atomic<bool> seen{false};
    std::thread waiter([&] {
      group.wait();
      seen = value == 7;
    });
    group.wait();
    EXPECT_EQ(value, 7);
    worker.join();
    waiter.join();
    EXPECT_TRUE(seen);
  }
}

// What the function captured is destroyed before the group is done.
WEFT_PROCS_TEST(WaitGroup, DestroysTheFunctionBeforeDone) {
  struct Mark {
    explicit Mark(bool* flag) : gone(flag) {}
    Mark(Mark&& other) noexcept : gone(std::exchange(other.gone, nullptr)) {}
    ~Mark() {
      if (gone == nullptr) return;
      yield();
      *gone = true;
    }
    bool* gone;
  };
  bool gone = false;
  WaitGroup group;
  group.go([mark = Mark(&gone)] {});
  group.wait();
  EXPECT_TRUE(gone);
}

TEST(WaitGroup, NegativeCounterPanics) {
  WaitGroup group;
  EXPECT_THROW(
      {
        try {
          group.done();
        } catch (const Panic& panic) {
          EXPECT_STREQ(panic.what(), "sync: negative WaitGroup counter");
          throw;
        }
      },
      Panic);
  WaitGroup other;
  other.add(2);
  EXPECT_THROW(other.add(-3), Panic);
}

// A second round that starts before the waiters of the first one have returned is found by one of those waiters.
WEFT_PROCS_TEST(WaitGroup, EarlyReusePanics) {
  if (testing::variant().procs != 1) return;  // the test needs to know who runs next
  WaitGroup group;
  std::atomic<bool> caught{false};
  group.add(1);
  go([&] {
    try {
      group.wait();
    } catch (const Panic& panic) {
      caught = std::string_view(panic.what()) == "sync: WaitGroup is reused before previous Wait has returned";
    }
  });
  ASSERT_TRUE(wait_until_parked(1, "sync.WaitGroup.Wait"));
  group.done();
  group.add(1);  // the waiter has not run yet
  while (testing::parked("sync.WaitGroup.Wait") != 0 || goroutine_count() > 1) yield();
  EXPECT_TRUE(caught);
  group.done();
}

// When wait() returns, main is the only goroutine: the others are neither counted nor listed.
WEFT_PROCS_TEST(WaitGroup, NoGoroutineIsLeftAfterWait) {
  for (int round = 0; round < kRounds / 10; ++round) {
    WaitGroup group;
    for (int i = 0; i < 8; ++i) {
      group.go([i] {
        if (i % 4 == 1) yield();
        if (i % 4 == 2) exit_goroutine();
        if (i == 3) lock_os_thread();  // the thread ends with the goroutine
      });
    }
    group.wait();
    ASSERT_EQ(goroutine_count(), 1U) << round;
    ASSERT_EQ(goroutines().size(), 1U) << round;
  }
}

WEFT_PROCS_TEST(WaitGroup, NoGoroutineOfAGroupIsLeftAfterItsWait) {
  for (int round = 0; round < kRounds / 10; ++round) {
    {
      TaskGroup tasks;
      for (int i = 0; i < 4; ++i) tasks.go([] {});
    }
    ASSERT_EQ(goroutine_count(), 1U) << round;
    ErrGroup errors({.limit = 2});
    for (int i = 0; i < 4; ++i) errors.go([] { return Error(); });
    ASSERT_FALSE(errors.wait());
    ASSERT_EQ(goroutine_count(), 1U) << round;
  }
}

// A plain thread waits, too, and the group may be gone as soon as it returns.
TEST(WaitGroup, APlainThreadFindsNoGoroutineAfterWait) {
  EXPECT_EQ(run([] {
              for (int round = 0; round < 200; ++round) {
                std::size_t count = 0;
                std::thread([&] {
                  auto group = std::make_unique<WaitGroup>();
                  for (int i = 0; i < 4; ++i) group->go([] {});
                  group->wait();
                  group.reset();
                  count = goroutine_count();
                }).join();
                EXPECT_EQ(count, 1U);
              }
            }),
            0);
}

// What belongs to the goroutine is destroyed before wait() returns.
WEFT_PROCS_TEST(WaitGroup, GoroutineLocalsAreGoneAfterWait) {
  static std::atomic<int> gone;
  gone.store(0);
  struct Counts {
    ~Counts() { gone.fetch_add(1); }
  };
  static GoroutineLocal<Counts> local;
  WaitGroup group;
  for (int i = 0; i < 100; ++i) group.go([] { local.get(); });
  group.wait();
  EXPECT_EQ(gone, 100);
}

}  // namespace
}  // namespace weft
