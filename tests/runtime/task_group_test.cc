#include "weft/task_group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include "support/matrix.h"
#include "support/parked.h"
#include "support/report.h"
#include "weft/chan.h"
#include "weft/testing/bubble.h"
#include "weft/time.h"

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::wait_until_parked;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 300;
#else
constexpr int kRounds = 3000;
#endif

WEFT_PROCS_TEST(TaskGroup, TheDestructorCancelsAndWaits) {
  std::atomic<int> ended{0};
  {
    TaskGroup group;
    for (int i = 0; i < 10; ++i) {
      group.go([&](Context ctx) {
        ctx.done().recv();
        EXPECT_EQ(ctx.err(), Errc::canceled);
        yield();
        ++ended;
      });
    }
    ASSERT_TRUE(wait_until_parked(10, "chan receive"));
    EXPECT_EQ(ended, 0);
  }
  EXPECT_EQ(ended, 10);
  const TaskGroup empty;
}

WEFT_PROCS_TEST(TaskGroup, WaitTellsNobodyToEnd) {
  TaskGroup group;
  std::atomic<int> ended{0};
  for (int round = 1; round <= 3; ++round) {
    for (int i = 0; i < 10; ++i) {
      group.go([&](const Context& ctx) {
        yield();
        EXPECT_FALSE(ctx.err());
        ++ended;
      });
    }
    group.wait();
    EXPECT_EQ(ended, 10 * round);
  }
  EXPECT_FALSE(group.context().err());
}

WEFT_PROCS_TEST(TaskGroup, CancelDoesNotWait) {
  TaskGroup group;
  const auto may_end = make_chan<std::monostate>();
  std::atomic<bool> told{false};
  std::atomic<bool> ended{false};
  group.go([&, may_end](Context ctx) {
    ctx.done().recv();
    told = true;
    may_end.recv();
    ended = true;
  });
  group.cancel();
  EXPECT_EQ(group.context().err(), Errc::canceled);
  EXPECT_FALSE(ended);
  group.go([](Context ctx) { EXPECT_TRUE(ctx.err()); });  // the function is called all the same
  may_end.close();
  group.wait();
  EXPECT_TRUE(told);
  EXPECT_TRUE(ended);
}

WEFT_PROCS_TEST(TaskGroup, AParentsEndReachesTheFunctions) {
  const auto [parent, cancel_parent] = with_cancel_cause(background());
  TaskGroup group(parent);
  Error seen;
  group.go([&](Context ctx) {
    ctx.done().recv();
    seen = cause(ctx);
  });
  cancel_parent(Error::text("shutting down"));
  group.wait();
  EXPECT_EQ(seen.message(), "shutting down");

  const auto [other, cancel_other] = with_cancel(background());
  { const TaskGroup ends_alone(other); }
  EXPECT_FALSE(other.err());
}

// What is declared before the group still exists for its functions, whatever way the scope is left.
WEFT_PROCS_TEST(TaskGroup, TheDestructorWaitsWhileAnExceptionPasses) {
  std::atomic<int> ended{0};
  const auto leave_by_exception = [&] {
    const auto data = std::make_unique<int>(7);
    TaskGroup group;
    for (int i = 0; i < 3; ++i) {
      group.go([&](Context ctx) {
        ctx.done().recv();
        yield();
        EXPECT_EQ(*data, 7);
        ++ended;
      });
    }
    throw std::runtime_error("on the way");
  };
  EXPECT_THROW(leave_by_exception(), std::runtime_error);
  EXPECT_EQ(ended, 3);

  WaitGroup leaver;
  leaver.go([&] {
    TaskGroup group;
    group.go([&](Context ctx) {
      ctx.done().recv();
      ++ended;
    });
    exit_goroutine();
  });
  leaver.wait();
  EXPECT_EQ(ended, 4);
}

WEFT_PROCS_TEST(TaskGroup, FunctionsMayAddMoreAndExit) {
  std::atomic<int> ran{0};
  const auto held = std::make_shared<int>(1);
  {
    TaskGroup group;
    for (int i = 0; i < 10; ++i) {
      group.go([&, held] {
        group.go([&, held] {
          ++ran;
          exit_goroutine();
        });
      });
    }
  }
  EXPECT_EQ(ran, 10);
  EXPECT_EQ(held.use_count(), 1);  // what the functions captured is destroyed
}

// The group is destroyed while the last function is still ending.
WEFT_PROCS_TEST(TaskGroup, MayGoWhenTheLastEnds) {
  int sum = 0;
  for (int i = 0; i < kRounds; ++i) {
    int a = 0;
    int b = 0;
    {
      TaskGroup group;
      group.go([&a] { a = 1; });
      group.go([&b] { b = 2; });
    }
    sum += a + b;
  }
  EXPECT_EQ(sum, 3 * kRounds);
}

TEST(TaskGroup, WorksFromPlainThreads) {
  for (const int procs : {1, 2, 4}) {
    EXPECT_EQ(run(
                  [] {
                    std::atomic<int> ended{0};
                    std::thread thread([&] {
                      TaskGroup group;
                      group.go([&] { ++ended; });
                      group.wait();
                      group.go([&](Context ctx) {
                        ctx.done().recv();
                        ++ended;
                      });
                    });
                    blocking([&] { thread.join(); });
                    EXPECT_EQ(ended, 2);
                  },
                  {.procs = procs}),
              0);
  }
}

WEFT_PROCS_TEST(TaskGroup, InABubble) {
  weft::testing::bubble([] {
    const auto start = now();
    int ticks = 0;
    {
      TaskGroup group;
      group.go([&](Context ctx) {
        for (; !ctx.err(); sleep(1min)) ++ticks;
      });
      sleep(1h - 1s);
    }
    EXPECT_EQ(now() - start, 1h);
    EXPECT_EQ(ticks, 60);
  });
}

TEST(TaskGroupDeathTest, AnExceptionEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::unsetenv("WEFT_TRACEBACK");
  EXPECT_EXIT(run(
                  [] {
                    TaskGroup group;
                    group.go([] { throw std::runtime_error("boom"); });
                    group.wait();
                  },
                  {.procs = 2, .log = testing::ignore}),
              ::testing::ExitedWithCode(2), "^panic: std::runtime_error: boom\n\ngoroutine [0-9]+ \\[running\\]:\n");
}

}  // namespace
}  // namespace weft
