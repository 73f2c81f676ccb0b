#include "weft/errgroup.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "support/eventually.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "support/report.h"
#include "weft/panic.h"
#include "weft/testing/bubble.h"
#include "weft/time.h"

namespace errgroup_test {

inline void stay() { asm volatile(""); }

// A frame to look for in a report.
[[gnu::noinline]] void throws_far_below(int depth) {
  if (depth == 0) throw std::runtime_error("boom");
  throws_far_below(depth - 1);
  stay();
}

}  // namespace errgroup_test

namespace weft {
namespace {

using namespace std::chrono_literals;
using errgroup_test::throws_far_below;
using testing::eventually;
using testing::wait_until_parked;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 300;
#else
constexpr int kRounds = 3000;
#endif

// Returns the text of the Panic that f() throws, or an empty string when it throws none.
template <typename F>
std::string panic_of(F f) {
  try {
    f();
  } catch (const Panic& panic) {
    return panic.what();
  }
  return "";
}

// --- errors ----------------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(ErrGroup, WithoutErrorsWaitReturnsNone) {
  ErrGroup group;
  EXPECT_FALSE(group.wait());  // an empty group
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) {
    group.go([&ran] {
      yield();
      ++ran;
      return Error();
    });
  }
  EXPECT_FALSE(group.wait());
  EXPECT_EQ(ran, 100);
}

WEFT_PROCS_TEST(ErrGroup, TheFirstErrorCancelsWithItselfAsTheCause) {
  ErrGroup group(background());
  Chan<std::monostate> others_may_end = make_chan<std::monostate>();
  std::atomic<int> ended{0};
  for (int i = 0; i < 10; ++i) {
    group.go([&ended, others_may_end](Context ctx) -> Error {
      ctx.done().recv();
      others_may_end.recv();
      ++ended;
      return Error::text("too late");
    });
  }
  group.go([] { return Error::text("no such user"); });
  group.context().done().recv();
  EXPECT_EQ(group.context().err(), Errc::canceled);
  EXPECT_EQ(cause(group.context()).message(), "no such user");
  EXPECT_EQ(ended, 0);
  std::optional<Error> waited;
  WaitGroup waiter;
  waiter.go([&] { waited = group.wait(); });
  ASSERT_TRUE(wait_until_parked(10, "chan receive"));
  ASSERT_TRUE(wait_until_parked(1, "sync.WaitGroup.Wait"));
  EXPECT_FALSE(waited);  // an error is no reason not to wait for the others
  others_may_end.close();
  waiter.wait();
  EXPECT_EQ(waited->message(), "no such user");
  EXPECT_EQ(ended, 10);
  EXPECT_EQ(group.wait().message(), "no such user");
  EXPECT_EQ(cause(group.context()).message(), "no such user");
}

WEFT_PROCS_TEST(ErrGroup, TakesTheErrorOfAResult) {
  ErrGroup group;
  group.go([]() -> Result<void> { return {}; });
  group.go([]() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(1); });
  EXPECT_FALSE(group.wait());
  group.go([](Context) -> Result<int> { return Unexpected(Error::text("no such order")); });
  EXPECT_EQ(group.wait().message(), "no such order");
  ErrGroup catching({.limit = -1, .catch_exceptions = true});
  catching.go([]() -> const Result<void>& {
    static const Result<void> kFailed = Unexpected(Error::text("no such user"));
    return kFailed;
  });
  EXPECT_EQ(catching.wait().message(), "no such user");
}

WEFT_PROCS_TEST(ErrGroup, SuccessCancelsTheContextToo) {
  const auto [parent, cancel_parent] = with_cancel(background());
  ErrGroup group(parent);
  group.go([](Context ctx) { return ctx.err(); });
  EXPECT_FALSE(group.context().err());
  EXPECT_FALSE(group.wait());
  EXPECT_EQ(group.context().err(), Errc::canceled);
  EXPECT_EQ(cause(group.context()), Errc::canceled);
  EXPECT_FALSE(parent.err());
}

WEFT_PROCS_TEST(ErrGroup, AParentsEndReachesTheFunctions) {
  const auto [parent, cancel_parent] = with_cancel_cause(background());
  ErrGroup group(parent);
  group.go([](Context ctx) {
    ctx.done().recv();
    return cause(ctx);
  });
  cancel_parent(Error::text("the client went away"));
  EXPECT_EQ(group.wait().message(), "the client went away");
}

// Without a context, an error ends nothing.
WEFT_PROCS_TEST(ErrGroup, AGroupWithoutAContextCancelsNothing) {
  ErrGroup group;
  EXPECT_TRUE(group.context() == background());
  std::atomic<int> ran{0};
  group.go([] { return Error(Errc::eof); });
  for (int i = 0; i < 10; ++i) {
    group.go([&ran](Context ctx) {
      yield();
      ++ran;
      return ctx.err();
    });
  }
  EXPECT_EQ(group.wait(), Errc::eof);
  EXPECT_EQ(ran, 10);
}

// Functions may return anything from which an Error is made, or nothing.
WEFT_PROCS_TEST(ErrGroup, TakesFunctionsOfSeveralShapes) {
  struct MoveOnly {
    std::unique_ptr<int> value = std::make_unique<int>(7);
    int* seen;
    void operator()() { *seen = *value; }
  };
  ErrGroup group(background());
  int seen = 0;
  std::array<bool, 3> had_context{};
  group.go(MoveOnly{.seen = &seen});
  group.go([&](Context ctx) { had_context[0] = static_cast<bool>(ctx.done()); });
  group.go([&](const Context& ctx) { had_context[1] = static_cast<bool>(ctx.done()); });
  group.go([&](const auto&... contexts) { had_context[2] = sizeof...(contexts) == 1; });
  EXPECT_FALSE(group.wait());
  EXPECT_EQ(seen, 7);
  EXPECT_EQ(had_context, (std::array{true, true, true}));

  ErrGroup codes;
  codes.go([] { return std::make_error_code(std::errc::no_space_on_device); });
  EXPECT_EQ(codes.wait(), std::errc::no_space_on_device);
  ErrGroup own;
  own.go([] { return Errc::eof; });
  EXPECT_EQ(own.wait(), Errc::eof);
}

// Many functions fail at once. One error is returned, is the cause, and is the same for every waiter.
WEFT_PROCS_TEST(ErrGroup, OneOfManyErrorsIsTheFirst) {
  for (int round = 0; round < kRounds / 10; ++round) {
    ErrGroup group(background());
    std::atomic<int> ended{0};
    for (int i = 0; i < 16; ++i) {
      group.go([&ended, i] {
        if (i % 3 == 0) yield();
        ++ended;
        return Error::text("error " + std::to_string(i));
      });
    }
    WaitGroup waiters;
    std::array<std::string, 3> messages;
    for (std::string& message : messages) waiters.go([&group, &message] { message = group.wait().message(); });
    waiters.wait();
    EXPECT_EQ(ended, 16);
    EXPECT_TRUE(messages[0].starts_with("error "));
    EXPECT_EQ(messages[0], messages[1]);
    EXPECT_EQ(messages[0], messages[2]);
    EXPECT_EQ(messages[0], cause(group.context()).message());
  }
}

WEFT_PROCS_TEST(ErrGroup, AFunctionThatExitsHasNoError) {
  ErrGroup group(background(), {.limit = 1});
  bool destroyed = false;
  struct Notes {
    bool& destroyed;
    ~Notes() { destroyed = true; }
  };
  group.go([&destroyed]() -> Error {
    const Notes notes{destroyed};
    exit_goroutine();
  });
  group.go([] { return Error(); });  // there is a place for it
  EXPECT_FALSE(group.wait());
  EXPECT_TRUE(destroyed);
}

// The captures of a function are destroyed when the function counts as done.
WEFT_PROCS_TEST(ErrGroup, FunctionsAreDestroyedBeforeWaitReturns) {
  for (int round = 0; round < kRounds / 10; ++round) {
    auto held = std::make_shared<int>(1);
    ErrGroup group({.limit = 2});
    for (int i = 0; i < 4; ++i) group.go([held] { yield(); });
    EXPECT_FALSE(group.wait());
    EXPECT_EQ(held.use_count(), 1);
  }
}

WEFT_PROCS_TEST(ErrGroup, FunctionsMayAddMore) {
  ErrGroup group(background());
  std::atomic<int> ran{0};
  group.go([&] {
    for (int i = 0; i < 10; ++i) {
      group.go([&] {
        ++ran;
        group.go([&] { ++ran; });
      });
    }
  });
  EXPECT_FALSE(group.wait());
  EXPECT_EQ(ran, 20);
}

// The group is destroyed as soon as wait() returns, while the last function is still ending.
WEFT_PROCS_TEST(ErrGroup, MayGoWhenWaitReturns) {
  int errors = 0;
  for (int i = 0; i < kRounds; ++i) {
    auto group = std::make_unique<ErrGroup>(background(), ErrGroupOptions{.limit = i % 4 == 0 ? 2 : -1});
    group->go([] {});
    group->go([] { return Error(Errc::eof); });
    errors += group->wait() == Errc::eof;
    group.reset();
  }
  EXPECT_EQ(errors, kRounds);
}

// --- the destructor --------------------------------------------------------------------------------------------------

WEFT_PROCS_TEST(ErrGroup, TheDestructorCancelsAndWaits) {
  std::atomic<int> ended{0};
  Error seen;
  {
    ErrGroup group(background());
    group.go([&](Context ctx) {
      ctx.done().recv();
      seen = cause(ctx);
      ++ended;
    });
    ASSERT_TRUE(wait_until_parked(1, "chan receive"));
  }
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(seen, Errc::canceled);
  {
    ErrGroup group;
    group.go([&] {
      yield();
      ++ended;
    });
  }
  EXPECT_EQ(ended, 2);
}

WEFT_PROCS_TEST(ErrGroup, TheDestructorWaitsWhileAnExceptionPasses) {
  int ended = 0;
  try {
    ErrGroup group(background());
    group.go([&](Context ctx) {
      ctx.done().recv();
      ++ended;
    });
    throw std::runtime_error("on the way");
  } catch (const std::runtime_error&) {
    EXPECT_EQ(ended, 1);
  }
  EXPECT_EQ(ended, 1);
}

TEST(ErrGroup, WorksFromPlainThreads) {
  for (const int procs : {1, 2, 4}) {
    EXPECT_EQ(run(
                  [] {
                    std::string message;
                    std::atomic<int> most{0};
                    std::thread thread([&] {
                      ErrGroup group(background(), {.limit = 2});
                      std::atomic<int> running{0};
                      for (int i = 0; i < 20; ++i) {
                        group.go([&, i] {
                          const int n = ++running;
                          if (n > most) most = n;
                          yield();
                          --running;
                          return i == 19 ? Error::text("the last") : Error();
                        });
                      }
                      message = group.wait().message();
                    });
                    blocking([&] { thread.join(); });
                    EXPECT_EQ(message, "the last");
                    EXPECT_LE(most, 2);
                  },
                  {.procs = procs}),
              0);
  }
}

// --- the limit -------------------------------------------------------------------------------------------------------

// Runs 100 functions. Each waits until no other function can join it any more, so that the peak is what the limit lets
// through and not what the machine happens to do.
WEFT_PROCS_TEST(ErrGroup, ThePeakIsTheLimit) {
  ErrGroup group(background(), {.limit = 3});
  std::atomic<int> running{0};
  std::atomic<int> peak{0};
  std::atomic<int> ran{0};
  const auto places = make_chan<std::monostate>();
  WaitGroup releasers;
  // Releases one function at a time, when three wait.
  releasers.go([&] {
    for (int i = 0; i < 100; ++i) {
      const int expected = std::min(3, 100 - i);
      EXPECT_TRUE(eventually([&] { return running.load(std::memory_order_acquire) == expected; }));
      places.send({});
    }
  });
  for (int i = 0; i < 100; ++i) {
    group.go([&] {
      const int n = running.fetch_add(1, std::memory_order_acq_rel) + 1;
      for (int seen = peak.load(std::memory_order_relaxed);
           seen < n && !peak.compare_exchange_weak(seen, n, std::memory_order_relaxed);) {
      }
      places.recv();
      ++ran;
      running.fetch_sub(1, std::memory_order_acq_rel);
    });
  }
  EXPECT_FALSE(group.wait());
  releasers.wait();
  EXPECT_EQ(peak, 3);
  EXPECT_EQ(ran, 100);
}

WEFT_PROCS_TEST(ErrGroup, GoWaitsAndTryGoDoesNot) {
  ErrGroup group({.limit = 2});
  const auto may_end = make_chan<std::monostate>();
  std::atomic<int> ran{0};
  const auto body = [&ran, may_end] {
    may_end.recv();
    ++ran;
  };
  EXPECT_TRUE(group.try_go(body));
  group.go(body);
  EXPECT_FALSE(group.try_go(body));
  std::atomic<bool> added{false};
  WaitGroup adder;
  adder.go([&] {
    group.go(body);
    added = true;
  });
  ASSERT_TRUE(wait_until_parked(1, "chan send"));  // this is Go's name for it
  EXPECT_FALSE(added);
  EXPECT_FALSE(group.try_go(body));
  may_end.send({});
  adder.wait();
  EXPECT_FALSE(group.try_go(body));
  may_end.close();
  EXPECT_FALSE(group.wait());
  EXPECT_EQ(ran, 3);
  EXPECT_TRUE(group.try_go([] {}));
  EXPECT_FALSE(group.wait());
}

WEFT_PROCS_TEST(ErrGroup, TheLimitMayBeChangedBetweenRounds) {
  ErrGroup group;
  group.set_limit(0);
  EXPECT_FALSE(group.try_go([] { ADD_FAILURE() << "nobody may be added"; }));
  group.set_limit(-1);
  const auto may_end = make_chan<std::monostate>();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(group.try_go([may_end] { may_end.recv(); }));
  EXPECT_EQ(panic_of([&] { group.set_limit(2); }),
            "errgroup: modify limit while 5 goroutines in the group are still active");
  EXPECT_EQ(panic_of([&] { group.set_limit(-1); }),
            "errgroup: modify limit while 5 goroutines in the group are still active");
  may_end.close();
  EXPECT_FALSE(group.wait());
  group.set_limit(1);
  const auto again = make_chan<std::monostate>();
  EXPECT_TRUE(group.try_go([again] { again.recv(); }));
  EXPECT_FALSE(group.try_go([] {}));
  EXPECT_EQ(panic_of([&] { group.set_limit(2); }),
            "errgroup: modify limit while 1 goroutines in the group are still active");
  again.close();
  EXPECT_FALSE(group.wait());
}

// --- time ------------------------------------------------------------------------------------------------------------

// Waiting for a place, and for the group, lets a bubble's clock go on.
WEFT_PROCS_TEST(ErrGroup, InABubble) {
  weft::testing::bubble([] {
    const auto start = now();
    ErrGroup group(background(), {.limit = 3});
    for (int i = 0; i < 10; ++i) group.go([] { sleep(1h); });
    EXPECT_EQ(now() - start, 3h);
    EXPECT_FALSE(group.wait());
    EXPECT_EQ(now() - start, 4h);
  });
  weft::testing::bubble([] {
    const auto start = now();
    const auto [parent, cancel_parent] = with_timeout(background(), 1h);
    ErrGroup group(parent);
    group.go([](Context ctx) {
      ctx.done().recv();
      return ctx.err();
    });
    group.go([](Context ctx) {
      sleep(2h);
      return ctx.err() ? Error::text("later") : Error();
    });
    EXPECT_EQ(group.wait(), Condition::deadline_exceeded);
    EXPECT_EQ(now() - start, 2h);
  });
}

// --- exceptions ------------------------------------------------------------------------------------------------------

class ErrGroupDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    ::unsetenv("WEFT_TRACEBACK");
  }
};

TEST_F(ErrGroupDeathTest, AnExceptionEndsTheProcessWithTheTrueStack) {
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run(
                    [] {
                      ErrGroup group(background(), {.limit = 3});
                      group.go([] { throws_far_below(3); });
                      static_cast<void>(group.wait());
                    },
                    {.procs = procs, .log = testing::ignore}),
                ::testing::ExitedWithCode(2),
                "^panic: std::runtime_error: boom\n\ngoroutine [0-9]+ \\[running\\]:\n"
                "errgroup_test::throws_far_below\\(\\.\\.\\.\\)\n");
  }
}

WEFT_PROCS_TEST(ErrGroup, CaughtExceptionsAreErrors) {
  ErrGroup group(background(), {.catch_exceptions = true});
  group.go([] { throws_far_below(3); });
  std::atomic<bool> other_ended{false};
  group.go([&](Context ctx) {
    ctx.done().recv();
    other_ended = true;
  });
  const std::string message = group.wait().message();
  EXPECT_TRUE(other_ended);
  EXPECT_EQ(cause(group.context()).message(), message);
  constexpr std::string_view kFirst = "errgroup: panic recovered: std::runtime_error: boom\n\ngoroutine ";
  ASSERT_TRUE(message.starts_with(kFirst)) << message;
  EXPECT_NE(message.find(" [running]:\nerrgroup_test::throws_far_below(...)\n\t"), std::string::npos) << message;
  EXPECT_EQ(testing::count(message, "errgroup_test::throws_far_below(...)"), 4u) << message;
  EXPECT_NE(message.find("created by "), std::string::npos) << message;
  EXPECT_EQ(testing::count(message, "weft_call_watched"), 0u) << message;
}

WEFT_PROCS_TEST(ErrGroup, CaughtExceptionsOfAnyType) {
  const auto message_of = [](void (*function)()) {
    ErrGroup group({.catch_exceptions = true});
    group.go([function] { function(); });
    const std::string message = group.wait().message();
    return message.substr(0, message.find('\n'));
  };
  EXPECT_EQ(message_of([] { panic("the world is upside down"); }),
            "errgroup: panic recovered: weft::Panic: the world is upside down");
  EXPECT_EQ(message_of([] { throw "just a text"; }), "errgroup: panic recovered: just a text");
  EXPECT_EQ(message_of([] { throw 7; }), "errgroup: panic recovered: exception of type int");
}

WEFT_PROCS_TEST(ErrGroup, CatchingLeavesEverythingElseAlone) {
  ErrGroup group(background(), {.limit = 4, .catch_exceptions = true});
  std::atomic<int> destroyed{0};
  struct Notes {
    std::atomic<int>& destroyed;
    ~Notes() { ++destroyed; }
  };
  group.go([&] {
    const Notes notes{destroyed};
    exit_goroutine();
  });
  group.go([&] {
    const Notes notes{destroyed};
    try {
      throws_far_below(2);
    } catch (const std::runtime_error&) {
      yield();
    }
  });
  group.go([] { return Error(); });
  EXPECT_FALSE(group.wait());
  EXPECT_EQ(destroyed, 2);
  ErrGroup failing({.catch_exceptions = true});
  failing.go([] { return Errc::eof; });
  EXPECT_EQ(failing.wait(), Errc::eof);
}

// Goroutines move between threads while exceptions come up, and destructors wait while the exceptions pass.
WEFT_PROCS_TEST(ErrGroup, ManyExceptionsAtOnce) {
  for (int round = 0; round < 3; ++round) {
    ErrGroup group({.limit = 8, .catch_exceptions = true});
    struct Waits {
      ~Waits() { yield(); }
    };
    for (int i = 0; i < 20; ++i) {
      group.go([i] {
        const Waits waits;
        if (i % 2 == 0) yield();
        throws_far_below(i % 5);
      });
    }
    const std::string message = group.wait().message();
    EXPECT_TRUE(message.starts_with("errgroup: panic recovered: std::runtime_error: boom\n\ngoroutine ")) << message;
    EXPECT_NE(message.find("throws_far_below(...)"), std::string::npos) << message;
  }
}

TEST_F(ErrGroupDeathTest, ALimitOfZeroIsADeadlock) {
  EXPECT_EXIT(run(
                  [] {
                    ErrGroup group({.limit = 0});
                    group.go([] {});
                  },
                  {.procs = 2, .log = testing::ignore}),
              ::testing::ExitedWithCode(2),
              "^fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 \\[chan send");
}

}  // namespace
}  // namespace weft
