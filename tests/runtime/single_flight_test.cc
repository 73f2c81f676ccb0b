#include "weft/single_flight.h"

#include <gtest/gtest.h>

#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/eventually.h"
#include "support/failing_new.h"
#include "support/matrix.h"
#include "support/parked.h"
#include "weft/chan.h"
#include "weft/error.h"
#include "weft/go.h"
#include "weft/panic.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

using testing::eventually;
using testing::wait_until_parked;

constexpr int kCallers = 100;

// The run ends when all the others wait for it.
WEFT_PROCS_TEST(SingleFlight, ManyCallersOneRun) {
  SingleFlight<std::string, std::string> flights;
  std::atomic<int> runs{0};
  std::atomic<int> right{0};
  const auto release = make_chan<int>();
  WaitGroup callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.go([&] {
      const Flight<std::string> flight = flights.do_call("key", [&] {
        ++runs;
        static_cast<void>(release.recv());
        return std::string("a value too long to be stored in place");
      });
      right += flight.shared && flight.value == "a value too long to be stored in place";
    });
  }
  ASSERT_TRUE(wait_until_parked(kCallers - 1, "sync.WaitGroup.Wait"));
  release.close();
  callers.wait();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(right, kCallers);
}

WEFT_PROCS_TEST(SingleFlight, OneAfterTheOtherEachRunsAlone) {
  SingleFlight<int, int> flights;
  for (int i = 0; i < 3; ++i) {
    const auto [value, shared] = flights.do_call(1, [&] { return i; });
    EXPECT_EQ(value, i);
    EXPECT_FALSE(shared);
  }
}

WEFT_PROCS_TEST(SingleFlight, KeysDoNotWaitForEachOther) {
  SingleFlight<int, int> flights;
  const int sum = flights.do_call(1, [&] { return 1 + flights.do_call(2, [] { return 2; }).value; }).value;
  EXPECT_EQ(sum, 3);
}

// The call ends under the key with which it began.
WEFT_PROCS_TEST(SingleFlight, TheFunctionMayChangeTheCallersKey) {
  SingleFlight<std::string, int> flights;
  std::string key = "Alice";
  flights.do_call(key, [&] {
    key = "a key that is longer, and so is somewhere else";
    return 1;
  });
  for (int i = 2; i < 5; ++i) {
    const auto [value, shared] = flights.do_call("Alice", [&] { return i; });
    EXPECT_EQ(value, i);
    EXPECT_FALSE(shared);
  }
  auto chans_key = std::make_unique<std::string>("Bob");
  const auto result = flights.do_chan(*chans_key, [&] {
    chans_key.reset();
    return 5;
  });
  EXPECT_EQ(result.recv()->value(), 5);
  EXPECT_EQ(flights.do_call("Bob", [] { return 6; }).value, 6);
}

// Whichever allocation fails, the key is free again.
WEFT_PROCS_TEST(SingleFlight, ACallThatDidNotBeginBlocksNobody) {
  bool fails = true;
  for (int n = 0; fails; ++n) {
    SingleFlight<int, int> flights;
    RecvChan<FlightResult<int>> result;
    fails = false;
    try {
      const testing::AllocationsFailAfter after(n);
      result = flights.do_chan(1, [] { return 1; });
    } catch (const std::bad_alloc&) {
      fails = true;
    }
    const auto next = flights.do_chan(1, [] { return 2; }).recv();
    ASSERT_TRUE(next);
    if (fails) {
      EXPECT_EQ(next->value(), 2);
    } else {
      EXPECT_EQ(result.recv()->value(), 1);
    }
    ASSERT_LT(n, 100);
  }
  EXPECT_TRUE(eventually([] { return goroutine_count() == 1; }));
}

WEFT_PROCS_TEST(SingleFlight, AnErrorIsAValue) {
  SingleFlight<int, Result<int>> flights;
  const auto flight = flights.do_call(
      1, []() -> Result<int> { return tl::unexpected(Error(std::make_error_code(std::errc::io_error), "read")); });
  ASSERT_FALSE(flight.value);
  EXPECT_EQ(flight.value.error().code(), std::errc::io_error);
}

WEFT_PROCS_TEST(SingleFlight, AnExceptionGoesToEveryCaller) {
  // The caller holds this reference, so that the last reference, whose count TSan does not see, is not one of the
  // goroutines'.
  const auto thrown = std::make_exception_ptr(std::runtime_error("no such user"));
  SingleFlight<int, int> flights;
  std::atomic<int> runs{0};
  std::atomic<int> caught{0};
  const auto release = make_chan<int>();
  WaitGroup callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.go([&] {
      try {
        flights.do_call(1, [&]() -> int {
          ++runs;
          static_cast<void>(release.recv());
          std::rethrow_exception(thrown);
        });
      } catch (const std::runtime_error& e) {
        caught += std::string(e.what()) == "no such user";
      }
    });
  }
  ASSERT_TRUE(wait_until_parked(kCallers - 1, "sync.WaitGroup.Wait"));
  release.close();
  callers.wait();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(caught, kCallers);
  EXPECT_EQ(flights.do_call(1, [] { return 5; }).value, 5);  // the first call is over
}

WEFT_PROCS_TEST(SingleFlight, ExitGoroutineEndsThoseWhoWait) {
  SingleFlight<int, int> flights;
  std::atomic<int> returned{0};
  const auto release = make_chan<int>();
  WaitGroup callers;
  for (int i = 0; i < 10; ++i) {
    callers.go([&] {
      flights.do_call(1, [&]() -> int {
        static_cast<void>(release.recv());
        exit_goroutine();
      });
      ++returned;
    });
  }
  ASSERT_TRUE(wait_until_parked(1, "chan receive"));
  ASSERT_TRUE(wait_until_parked(9, "sync.WaitGroup.Wait"));
  const auto result = flights.do_chan(1, [] { return 0; });
  release.close();
  callers.wait();
  EXPECT_EQ(returned, 0);
  const auto delivered = result.recv();
  ASSERT_TRUE(delivered);
  EXPECT_THROW(static_cast<void>(delivered->value()), Panic);
  EXPECT_TRUE(eventually([] { return goroutine_count() == 1; }));
}

WEFT_PROCS_TEST(SingleFlight, APlainThreadGetsAPanicForAnExit) {
  SingleFlight<int, int> flights;
  std::atomic<bool> running{false};
  std::atomic<int> panics{0};
  std::atomic<int> values{0};
  for (int round = 0; panics == 0; ++round) {
    const auto release = make_chan<int>();
    running = false;
    WaitGroup runner;
    runner.go([&] {
      flights.do_call(1, [&]() -> int {
        running = true;
        static_cast<void>(release.recv());
        exit_goroutine();
      });
    });
    ASSERT_TRUE(eventually([&] { return running.load(); }));
    std::thread outside([&] {
      try {
        flights.do_call(1, [] { return 0; });
        ++values;  // this thread came late
      } catch (const Panic& e) {
        EXPECT_STREQ(e.what(), "singleflight: the function called exit_goroutine()");
        ++panics;
      }
    });
    sleep(std::chrono::milliseconds(round));
    release.close();
    runner.wait();
    outside.join();
    EXPECT_EQ(panics + values, round + 1);
  }
}

WEFT_PROCS_TEST(SingleFlight, ChannelsGetTheOneResult) {
  SingleFlight<int, std::string> flights;
  std::atomic<int> runs{0};
  const auto release = make_chan<int>();
  std::vector<RecvChan<FlightResult<std::string>>> results;
  for (int i = 0; i < kCallers; ++i) {
    results.push_back(flights.do_chan(1, [&] {
      ++runs;
      static_cast<void>(release.recv());
      return std::string("a value too long to be stored in place");
    }));
    EXPECT_EQ(results.back().capacity(), 1u);
  }
  release.close();
  for (const auto& result : results) {
    const auto delivered = result.recv();
    ASSERT_TRUE(delivered);
    EXPECT_TRUE(delivered->shared());
    EXPECT_EQ(delivered->value(), "a value too long to be stored in place");
    EXPECT_FALSE(result.try_recv().closed);
  }
  EXPECT_EQ(runs, 1);
}

WEFT_PROCS_TEST(SingleFlight, AChannelOfItsOwnIsNotShared) {
  SingleFlight<int, int> flights;
  const auto delivered = flights.do_chan(1, [owned = std::make_unique<int>(3)] { return *owned; }).recv();
  ASSERT_TRUE(delivered);
  EXPECT_EQ(delivered->value(), 3);
  EXPECT_FALSE(delivered->shared());
}

WEFT_PROCS_TEST(SingleFlight, ChannelsGetTheException) {
  const auto thrown = std::make_exception_ptr(std::runtime_error("no such user"));
  SingleFlight<int, int> flights;
  const auto result = flights.do_chan(1, [thrown]() -> int { std::rethrow_exception(thrown); });
  const auto delivered = result.recv();
  ASSERT_TRUE(delivered);
  EXPECT_THROW(static_cast<void>(delivered->value()), std::runtime_error);
  EXPECT_TRUE(eventually([] { return goroutine_count() == 1; }));
}

WEFT_PROCS_TEST(SingleFlight, ChannelsLearnThatTheFunctionExited) {
  SingleFlight<int, int> flights;
  const auto delivered = flights.do_chan(1, []() -> int { exit_goroutine(); }).recv();
  ASSERT_TRUE(delivered);
  EXPECT_THROW(static_cast<void>(delivered->value()), Panic);
  EXPECT_TRUE(eventually([] { return goroutine_count() == 1; }));
}

WEFT_PROCS_TEST(SingleFlight, NobodyNeedReceive) {
  auto value = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = value;
  {
    SingleFlight<int, std::shared_ptr<int>> flights;
    static_cast<void>(flights.do_chan(1, [value = std::move(value)] { return value; }));
    EXPECT_TRUE(eventually([] { return goroutine_count() == 1; }));
  }
  EXPECT_TRUE(watched.expired());
}

// The forgotten call serves those who waited for it, and ends without affecting the new one.
WEFT_PROCS_TEST(SingleFlight, ForgetLetsTheNextOneRun) {
  SingleFlight<int, int> flights;
  const auto release_first = make_chan<int>();
  const auto release_second = make_chan<int>();
  const auto run_first = [&] {
    static_cast<void>(release_first.recv());
    return 1;
  };
  const auto first = flights.do_chan(1, run_first);
  const auto joined = flights.do_chan(1, [] { return 0; });
  flights.forget(1);
  const auto second = flights.do_chan(1, [&] {
    static_cast<void>(release_second.recv());
    return 2;
  });
  release_first.close();
  EXPECT_EQ(first.recv()->value(), 1);
  EXPECT_EQ(joined.recv()->value(), 1);
  const auto third = flights.do_chan(1, [] { return 3; });
  release_second.close();
  EXPECT_EQ(second.recv()->value(), 2);
  EXPECT_EQ(third.recv()->value(), 2);
  flights.forget(7);  // a key that nobody uses
}

WEFT_PROCS_TEST(SingleFlight, ValuesAreDestroyed) {
  struct Counted {
    explicit Counted(std::atomic<int>& n) : alive(&n) { ++*alive; }
    Counted(const Counted& other) : alive(other.alive) { ++*alive; }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --*alive; }
    std::atomic<int>* alive;
  };
  std::atomic<int> alive{0};
  {
    SingleFlight<int, Counted> flights;
    WaitGroup callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.go([&, i] {
        const auto make = [&] {
          yield();
          return Counted(alive);
        };
        if (i % 3 == 0) {
          EXPECT_EQ(flights.do_chan(1, make).recv()->value().alive, &alive);
        } else {
          EXPECT_EQ(flights.do_call(1, make).value.alive, &alive);
        }
      });
    }
    callers.wait();
  }
  EXPECT_TRUE(eventually([&] { return alive == 0; }));
}

WEFT_PROCS_TEST(SingleFlight, GoroutinesAndThreadsShareIt) {
  SingleFlight<int, int> flights;
  std::atomic<int> wrong{0};
  const auto body = [&] {
    for (int i = 0; i < 200; ++i) {
      const int key = i % 3;
      const auto twice = [key] {
        yield();
        return 2 * key;
      };
      wrong += flights.do_call(key, twice).value != 2 * key;
      wrong += flights.do_chan(key, twice).recv()->value() != 2 * key;
    }
  };
  WaitGroup group;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back(body);
    group.go(body);
  }
  for (std::thread& thread : threads) thread.join();
  group.wait();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace weft
