// The report of a deadlock, and everything that must not be taken for one. Each case runs in a child process.
#include "runtime/src/control/deadlock.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "support/parked.h"
#include "support/report.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/select.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::count;
using weft::testing::says;

class DeadlockDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    ::unsetenv("WEFT_TRACEBACK");
  }
};

constexpr const char* kReport = "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [";

void run_until_dead(void (*body)(), int procs, weft::RuntimeOptions options = {}) {
  options.procs = procs;
  options.log = weft::testing::ignore;
  weft::run([body] { body(); }, options);
}

// --- reported --------------------------------------------------------------------------------------------------------

TEST_F(DeadlockDeathTest, MainWaitsForNobody) {
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run_until_dead([] { weft::make_chan<int>().recv(); }, procs), ::testing::ExitedWithCode(2),
                "^fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 \\[chan receive\\]:\n");
  }
}

TEST_F(DeadlockDeathTest, EveryWaitReasonIsShown) {
  const auto body = [] {
    weft::Mutex mutex;
    mutex.lock();
    weft::WaitGroup never;
    never.add(1);
    auto ch = weft::make_chan<int>();
    auto full = weft::make_chan<int>();
    weft::go([=] { ch.recv(); });
    weft::go([=] { full.send(1); });
    weft::go([] { weft::Chan<int>().recv(); });
    weft::go([] { weft::Chan<int>().send(1); });
    weft::go([&] { mutex.lock(); });
    never.wait();
  };
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run_until_dead(body, procs), ::testing::ExitedWithCode(2),
                says("all six goroutines with their wait reasons", [](const std::string& text) {
                  return text.starts_with(kReport) && count(text, "\ngoroutine ") == 6 &&
                         count(text, " [sync.WaitGroup.Wait]:\n") == 1 && count(text, " [chan receive]:\n") == 1 &&
                         count(text, " [chan send]:\n") == 1 && count(text, " [chan receive (nil chan)]:\n") == 1 &&
                         count(text, " [chan send (nil chan)]:\n") == 1 && count(text, " [sync.Mutex.Lock]:\n") == 1;
                }));
  }
}

TEST_F(DeadlockDeathTest, SelectsAreShown) {
  const auto body = [] {
    weft::go([] { weft::select(); });
    weft::go([] { weft::select(weft::on_recv(weft::Chan<int>()), weft::on_send(weft::Chan<int>(), 1)); });
    auto ch = weft::make_chan<int>();
    weft::select(weft::on_recv(ch), weft::on_send(ch, 1));
  };
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run_until_dead(body, procs), ::testing::ExitedWithCode(2),
                says("three selects", [](const std::string& text) {
                  return text.starts_with(kReport) && count(text, "\ngoroutine ") == 3 &&
                         count(text, " [select (no cases)]:\n") == 2 && count(text, " [select]:\n") == 1;
                }));
  }
}

// The last thing that could have woken somebody is gone: a timer, a blocking call, a thread, a locked goroutine.
TEST_F(DeadlockDeathTest, ReportedWhenTheLastHopeIsGone) {
  const auto body = [] {
    const auto ch = weft::make_chan<int>();
    weft::go([] { weft::sleep(50ms); });
    weft::go([] { weft::blocking([] { std::this_thread::sleep_for(60ms); }); });
#ifndef WEFT_TSAN  // TSan reports the thread, which ended but is not joined, at the exit, and changes the status
    weft::go([] {
      weft::lock_os_thread();
      weft::sleep(10ms);
    });
#endif
    std::thread([] { std::this_thread::sleep_for(20ms); }).join();
    ch.recv();
  };
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run_until_dead(body, procs), ::testing::ExitedWithCode(2),
                says("main alone", [](const std::string& text) {
                  return text.starts_with(kReport) && count(text, "\ngoroutine ") == 1;
                }));
  }
}

// Goroutines that waited inside blocking() or were locked to their threads are stuck like any other.
TEST_F(DeadlockDeathTest, OfBlockingAndLockedGoroutines) {
  const auto body = [] {
    const auto ch = weft::make_chan<int>();
    weft::go([=] { weft::blocking([=] { ch.recv(); }); });
    weft::lock_os_thread();
    ch.recv();
  };
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run_until_dead(body, procs), ::testing::ExitedWithCode(2),
                says("both, and which is locked", [](const std::string& text) {
                  return text.starts_with(kReport) && count(text, "\ngoroutine ") == 2 &&
                         count(text, "locked to thread]:\n") == 1;
                }));
  }
}

TEST_F(DeadlockDeathTest, AfterTheNumberOfProcessorsChanged) {
  for (const int to : {1, 4}) {
    EXPECT_EXIT(weft::run(
                    [=] {
                      weft::set_procs(to);
                      weft::make_chan<int>().recv();
                    },
                    {.procs = 2, .log = weft::testing::ignore}),
                ::testing::ExitedWithCode(2), "^fatal error: all goroutines are asleep - deadlock!\n");
  }
}

// The deadlocks begin at every moment relative to what sysmon does.
TEST_F(DeadlockDeathTest, WheneverItBegins) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EXIT(weft::run(
                    [i] {
                      weft::sleep(20ms + i * 1500us);
                      weft::make_chan<int>().recv();
                    },
                    {.procs = 2, .log = weft::testing::ignore}),
                ::testing::ExitedWithCode(2), "^fatal error: all goroutines are asleep - deadlock!\n");
  }
}

// --- not reported ----------------------------------------------------------------------------------------------------
// Main waits for something that only outlives several of sysmon's looks. A child that gets there says so.

// Many times longer than sysmon takes to find a deadlock.
constexpr std::chrono::milliseconds kLong{400};

TEST_F(DeadlockDeathTest, NotWithATimerPending) {
  const auto body = [] {
    const auto ch = weft::make_chan<int>();
    weft::go([=] {
      weft::sleep(kLong);
      ch.send(1);
    });
    ch.recv();
    std::_Exit(17);
  };
  for (const int procs : {1, 2, 4}) EXPECT_EXIT(run_until_dead(body, procs), ::testing::ExitedWithCode(17), "^$");
}

TEST_F(DeadlockDeathTest, NotWithABlockingCall) {
  const auto body = [] {
    const auto ch = weft::make_chan<int>();
    weft::go([=] {
      weft::blocking([] { std::this_thread::sleep_for(kLong); });
      ch.send(1);
    });
    ch.recv();
    std::_Exit(17);
  };
  for (const int procs : {1, 2, 4}) EXPECT_EXIT(run_until_dead(body, procs), ::testing::ExitedWithCode(17), "^$");
}

// A thread of the program's own may do anything.
TEST_F(DeadlockDeathTest, NotWithAThreadThatMaySend) {
  const auto body = [] {
    const auto ch = weft::make_chan<int>();
    std::thread thread([=] {
      std::this_thread::sleep_for(kLong);
      ch.send(1);
    });
    ch.recv();
    std::_Exit(17);
  };
  for (const int procs : {1, 2, 4}) EXPECT_EXIT(run_until_dead(body, procs), ::testing::ExitedWithCode(17), "^$");
}

TEST_F(DeadlockDeathTest, NotWhileSomebodyComputes) {
  const auto body = [] {
    const auto ch = weft::make_chan<int>();
    weft::go([=] {
      for (const auto end = std::chrono::steady_clock::now() + kLong; std::chrono::steady_clock::now() < end;) {
      }
      ch.send(1);
    });
    ch.recv();
    std::_Exit(17);
  };
  for (const int procs : {1, 2, 4}) EXPECT_EXIT(run_until_dead(body, procs), ::testing::ExitedWithCode(17), "^$");
}

TEST_F(DeadlockDeathTest, NotWhenSwitchedOff) {
  const auto body = [] {
    ::alarm(1);
    weft::make_chan<int>().recv();
  };
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run_until_dead(body, procs, {.deadlock_detection = false}), ::testing::KilledBySignal(SIGALRM), "^$");
  }
}

}  // namespace
