#include "weft/once.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/matrix.h"
#include "support/parked.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/panic.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

using testing::wait_until_parked;

constexpr int kCallers = 100;

// The run waits until all the others wait for it.
WEFT_PROCS_TEST(Once, EveryCallerReturnsAfterTheOneRun) {
  Once once;
  int value = 0;
  std::atomic<int> runs{0};
  std::atomic<int> right{0};
  const auto release = make_chan<int>();
  WaitGroup group;
  for (int i = 0; i < kCallers; ++i) {
    group.go([&] {
      once.do_once([&] {
        ++runs;
        EXPECT_EQ(release.recv(), 7);
        value = 7;
      });
      if (value == 7) ++right;
    });
  }
  ASSERT_TRUE(wait_until_parked(kCallers - 1, "sync.Mutex.Lock"));
  EXPECT_EQ(right, 0);
  release.send(7);
  group.wait();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(right, kCallers);
}

WEFT_PROCS_TEST(Once, AFunctionThatThrowsIsNotCalledAgain) {
  Once once;
  int runs = 0;
  EXPECT_THROW(once.do_once([&] {
    ++runs;
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_NO_THROW(once.do_once([&] { ++runs; }));
  EXPECT_EQ(runs, 1);
}

// The exception goes to one caller. Those who waited return.
WEFT_PROCS_TEST(Once, TheExceptionGoesToTheCallerWhoRan) {
  Once once;
  std::atomic<int> caught{0};
  std::atomic<int> returned{0};
  const auto release = make_chan<int>();
  WaitGroup group;
  for (int i = 0; i < kCallers; ++i) {
    group.go([&] {
      try {
        once.do_once([&] {
          static_cast<void>(release.recv());
          throw std::runtime_error("no");
        });
        ++returned;
      } catch (const std::runtime_error&) {
        ++caught;
      }
    });
  }
  ASSERT_TRUE(wait_until_parked(kCallers - 1, "sync.Mutex.Lock"));
  release.close();
  group.wait();
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(returned, kCallers - 1);
}

WEFT_PROCS_TEST(Once, AFunctionThatExitsItsGoroutineIsNotCalledAgain) {
  Once once;
  std::atomic<bool> returned{false};
  WaitGroup group;
  group.go([&] {
    once.do_once([] { exit_goroutine(); });
    returned = true;
  });
  group.wait();
  EXPECT_FALSE(returned);
  once.do_once([] { FAIL() << "called again"; });
}

WEFT_PROCS_TEST(Once, GoroutinesAndThreadsShareIt) {
  for (int round = 0; round < 50; ++round) {
    Once once;
    int value = 0;
    std::atomic<int> right{0};
    const auto call = [&] {
      once.do_once([&] {
        yield();
        value = 1;
      });
      if (value == 1) ++right;
    };
    WaitGroup group;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back(call);
      group.go(call);
    }
    for (std::thread& thread : threads) thread.join();
    group.wait();
    EXPECT_EQ(right, 6);
  }
}

TEST(Once, WorksWithoutARuntime) {
  static constinit Once once;
  static int runs = 0;
  for (int i = 0; i < 3; ++i) once.do_once([&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

WEFT_PROCS_TEST(OnceValue, IsMadeOnceAndShared) {
  std::atomic<int> runs{0};
  const auto name = once_value([&] {
    ++runs;
    yield();
    return std::string("a name too long to be stored in place");
  });
  std::vector<const std::string*> seen(kCallers);
  WaitGroup group;
  for (const std::string*& each : seen) group.go([&each, name] { each = &name(); });
  group.wait();
  EXPECT_EQ(runs, 1);
  for (const std::string* each : seen) EXPECT_EQ(each, &name());
  EXPECT_EQ(name(), "a name too long to be stored in place");
}

TEST(OnceValue, TheValueNeedNotMove) {
  struct Fixed {
    explicit Fixed(int v) : value(v) {}
    Fixed(const Fixed&) = delete;
    Fixed& operator=(const Fixed&) = delete;
    int value;
  };
  const OnceValue<Fixed> fixed = once_value([] { return Fixed(3); });
  EXPECT_EQ(fixed().value, 3);
  const auto moves = once_value([owned = std::make_unique<int>(4)]() mutable { return std::move(owned); });
  EXPECT_EQ(*moves(), 4);
}

TEST(OnceValue, DestroysTheFunctionAfterTheRunAndTheValueWithTheLastHandle) {
  auto captured = std::make_shared<int>(5);
  const std::weak_ptr<int> function = captured;
  std::weak_ptr<int> value;
  {
    const auto handle = once_value([captured = std::move(captured)] { return std::make_shared<int>(*captured); });
    auto copy = handle;
    EXPECT_FALSE(function.expired());
    value = copy();
    copy = handle;
    EXPECT_TRUE(function.expired());
    EXPECT_EQ(*handle(), 5);
  }
  EXPECT_TRUE(value.expired());
}

TEST(OnceValue, AnUnusedFunctionIsDestroyedWithTheLastHandle) {
  auto captured = std::make_shared<int>(5);
  const std::weak_ptr<int> function = captured;
  static_cast<void>(once_func([captured = std::move(captured)] {}));
  EXPECT_TRUE(function.expired());
}

WEFT_PROCS_TEST(OnceValue, AnExceptionIsRethrownInEveryCall) {
  int runs = 0;
  auto captured = std::make_shared<int>(0);
  const std::weak_ptr<int> function = captured;
  const auto value = once_value([&runs, captured = std::move(captured)]() -> int {
    ++runs;
    throw std::runtime_error("the " + std::to_string(runs) + ". run");
  });
  for (int i = 0; i < 3; ++i) {
    try {
      static_cast<void>(value());
      ADD_FAILURE() << "no exception";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "the 1. run");
    }
    EXPECT_TRUE(function.expired());
  }
  EXPECT_EQ(runs, 1);
}

// A reference from a handle that is destroyed at once would dangle.
TEST(OnceValue, OfATemporaryHandleIsACopy) {
  const std::string& value = once_value([] { return std::string("a value too long to be stored in place"); })();
  EXPECT_EQ(value, "a value too long to be stored in place");
  static_assert(std::is_same_v<std::invoke_result_t<OnceValue<int>&>, const int&>);
  static_assert(std::is_same_v<std::invoke_result_t<const OnceValue<int>>, int>);
  static_assert(std::is_same_v<std::invoke_result_t<OnceValue<std::unique_ptr<int>>&>, const std::unique_ptr<int>&>);
  static_assert(!std::is_invocable_v<OnceValue<std::unique_ptr<int>>>);
}

WEFT_PROCS_TEST(OnceFunc, RunsOnce) {
  std::atomic<int> runs{0};
  const OnceFunc func = once_func([&] {
    yield();
    ++runs;
    return "what it returns is dropped";
  });
  WaitGroup group;
  for (int i = 0; i < kCallers; ++i) {
    group.go([&runs, func] {
      func();
      EXPECT_EQ(runs, 1);
    });
  }
  group.wait();
  EXPECT_EQ(runs, 1);
}

WEFT_PROCS_TEST(OnceFunc, APanicIsRethrownInEveryCall) {
  const auto func = once_func([] { panic("out of cheese"); });
  for (int i = 0; i < 2; ++i) {
    try {
      func();
      ADD_FAILURE() << "no panic";
    } catch (const Panic& e) {
      EXPECT_STREQ(e.what(), "out of cheese");
    }
  }
}

WEFT_PROCS_TEST(OnceFunc, PanicsWhenTheFunctionExitedItsGoroutine) {
  const auto func = once_func([] { exit_goroutine(); });
  std::atomic<bool> returned{false};
  WaitGroup group;
  group.go([&] {
    func();
    returned = true;
  });
  group.wait();
  EXPECT_FALSE(returned);
  try {
    func();
    ADD_FAILURE() << "no panic";
  } catch (const Panic& e) {
    EXPECT_STREQ(e.what(), "sync: the function of a once_func or once_value called exit_goroutine()");
  }
}

}  // namespace
}  // namespace weft
