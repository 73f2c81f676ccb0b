// weft::exit_goroutine(): the end of one goroutine, from any depth.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "support/eventually.h"
#include "support/matrix.h"
#include "support/report.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/goroutine_local.h"
#include "weft/mutex.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::eventually;

struct Speaks {
  std::vector<int>& spoken;
  int word;
  ~Speaks() { spoken.push_back(word); }
};

[[gnu::noinline]] void call_below(int depth, std::vector<int>& spoken, void (*function)()) {
  const Speaks speaks{spoken, depth};
  if (depth == 0) {
    function();
  } else {
    call_below(depth - 1, spoken, function);
  }
  spoken.push_back(1000);
}

WEFT_PROCS_TEST(ExitGoroutine, RunsDestructorsInnermostFirst) {
  std::vector<int> spoken;
  weft::WaitGroup group;
  group.go([&] { call_below(3, spoken, weft::exit_goroutine); });
  group.wait();
  EXPECT_EQ(spoken, (std::vector<int>{0, 1, 2, 3}));
}

WEFT_PROCS_TEST(ExitGoroutine, EndsOnlyTheCaller) {
  std::atomic<int> went_on{0};
  std::atomic<int> after{0};
  weft::WaitGroup group;
  for (int i = 0; i < 20; ++i) {
    group.go([&, i] {
      weft::yield();
      if (i % 2 == 0) {
        weft::exit_goroutine();
        after.fetch_add(1, std::memory_order_relaxed);
      }
      weft::sleep(1ms);
      went_on.fetch_add(1, std::memory_order_relaxed);
    });
  }
  group.wait();
  EXPECT_EQ(went_on.load(std::memory_order_relaxed), 10);
  EXPECT_EQ(after.load(std::memory_order_relaxed), 0);
  EXPECT_TRUE(eventually([] { return weft::goroutine_count() == 1; }));
}

WEFT_PROCS_TEST(ExitGoroutine, DestroysTheClosureSmallAndLarge) {
  for (const bool large : {false, true}) {
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = held;
    if (large) {
      struct Padding {
        char bytes[4000] = {};
      };
      weft::go([held, padding = Padding()] {
        EXPECT_EQ(padding.bytes[0], 0);
        weft::exit_goroutine();
      });
    } else {
      weft::go([held] { weft::exit_goroutine(); });
    }
    held.reset();
    EXPECT_TRUE(eventually([&] { return watched.expired(); }));
  }
}

std::atomic<int> locals_alive{0};
struct Local {
  Local() { locals_alive.fetch_add(1, std::memory_order_relaxed); }
  ~Local() { locals_alive.fetch_sub(1, std::memory_order_relaxed); }
  int value = 0;
};
constinit weft::GoroutineLocal<std::unique_ptr<Local>> local([] { return std::make_unique<Local>(); });

WEFT_PROCS_TEST(ExitGoroutine, DestroysGoroutineLocals) {
  std::atomic<bool> made{false};
  weft::go([&] {
    (*local)->value = 1;
    EXPECT_EQ(locals_alive.load(std::memory_order_relaxed), 1);
    made.store(true, std::memory_order_release);
    weft::exit_goroutine();
  });
  EXPECT_TRUE(eventually([&] { return made.load(std::memory_order_acquire); }));
  EXPECT_TRUE(eventually([] { return locals_alive.load(std::memory_order_relaxed) == 0; }));
}

WEFT_PROCS_TEST(ExitGoroutine, DestructorsMayWaitAndLocksAreReleased) {
  weft::Mutex mutex;
  auto ch = weft::make_chan<int>();
  struct Sends {
    weft::Chan<int> ch;
    ~Sends() {
      weft::sleep(1ms);
      ch.send(7);
    }
  };
  weft::WaitGroup group;
  group.go([&] {
    const std::lock_guard lock(mutex);
    const Sends sends{ch};
    weft::exit_goroutine();
  });
  EXPECT_EQ(ch.recv(), 7);
  group.wait();
  const std::lock_guard lock(mutex);
}

WEFT_PROCS_TEST(ExitGoroutine, PassesThroughHandlersThatRethrow) {
  int handlers = 0;
  weft::WaitGroup group;
  group.go([&] {
    try {
      try {
        weft::exit_goroutine();
      } catch (const std::exception&) {
        ADD_FAILURE() << "it is no std::exception";
      }
    } catch (...) {
      ++handlers;
      throw;
    }
    ADD_FAILURE() << "it went on";
  });
  group.wait();
  EXPECT_EQ(handlers, 1);
}

WEFT_PROCS_TEST(ExitGoroutine, FromInsideBlocking) {
  std::vector<int> spoken;
  for (int i = 0; i < 20; ++i) {
    spoken.clear();
    weft::WaitGroup group;
    group.go([&] {
      const Speaks outer{spoken, 1};
      weft::blocking([&] {
        const Speaks inner{spoken, 2};
        weft::blocking([] { weft::exit_goroutine(); });
      });
    });
    group.wait();
    EXPECT_EQ(spoken, (std::vector<int>{2, 1}));
  }
}

// The slot of a goroutine that exited serves the next goroutine.
WEFT_PROCS_TEST(ExitGoroutine, ManyInARow) {
#ifdef WEFT_TSAN
  constexpr int kRounds = 200;
#else
  constexpr int kRounds = 5000;
#endif
  std::atomic<int> ended{0};
  struct Counts {
    std::atomic<int>& ended;
    ~Counts() { ended.fetch_add(1, std::memory_order_relaxed); }
  };
  weft::WaitGroup group;
  for (int i = 0; i < kRounds; ++i) {
    group.go([&, i] {
      const Counts counts{ended};
      if (i % 3 == 0) weft::yield();
      weft::exit_goroutine();
    });
    if (i % 100 == 0) group.wait();
  }
  group.wait();
  EXPECT_EQ(ended.load(std::memory_order_relaxed), kRounds);
}

// --- deaths ----------------------------------------------------------------------------------------------------------

class ExitGoroutineDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(ExitGoroutineDeathTest, SwallowedByACatchAll) {
  EXPECT_EXIT(weft::run([] {
                weft::go([] {
                  try {
                    weft::exit_goroutine();
                  } catch (...) {
                  }
                });
                weft::sleep(10min);
              }),
              ::testing::ExitedWithCode(2),
              "^fatal error: exit_goroutine was stopped by a catch \\(\\.\\.\\.\\): rethrow what you don't know\n");
}

TEST_F(ExitGoroutineDeathTest, RethrownElsewhere) {
  EXPECT_EXIT(weft::run([] {
                auto caught = weft::make_chan<std::exception_ptr>();
                weft::go([=] {
                  try {
                    weft::exit_goroutine();
                  } catch (...) {
                    caught.send(std::current_exception());
                    throw;
                  }
                });
                weft::go([=] { std::rethrow_exception(*caught.recv()); });
                weft::sleep(10min);
              }),
              ::testing::ExitedWithCode(2), "^fatal error: exit_goroutine was rethrown in another goroutine\n");
}

TEST_F(ExitGoroutineDeathTest, OutsideAGoroutine) {
  EXPECT_EXIT(weft::exit_goroutine(), ::testing::ExitedWithCode(2), "^fatal error: exit_goroutine outside a goroutine");
}

TEST_F(ExitGoroutineDeathTest, LastAfterMain) {
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(weft::run(
                    [] {
                      for (int i = 0; i < 3; ++i) {
                        weft::go([] {
                          weft::sleep(20ms);
                          std::fputs("went on\n", stderr);
                        });
                      }
                      weft::exit_goroutine();
                    },
                    {.procs = procs, .log = weft::testing::ignore}),
                ::testing::ExitedWithCode(2),
                "^went on\nwent on\nwent on\n"
                "fatal error: no goroutines \\(main called exit_goroutine\\) - deadlock!\n");
  }
}

}  // namespace
