// A goroutine that waits for the network may be woken, so it is in no deadlock. The tests run in child processes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>

#include "support/report.h"
#include "weft/chan.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;

class DeadlockIoDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

// The child ends by its own alarm, unless a deadlock is reported. The report takes a fraction of the alarm's time.
void run_with_alarm(void (*body)(), const char* poller, int procs) {
  ::setenv("WEFT_POLLER", poller, 1);
  weft::run(
      [body] {
        ::alarm(1);
        body();
      },
      {.procs = procs, .log = weft::testing::ignore});
}

TEST_F(DeadlockIoDeathTest, NotWithAnAccept) {
  const auto body = [] {
    auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
    weft::go([=]() mutable { static_cast<void>(listener.accept()); });
    weft::make_chan<int>().recv();
  };
  for (const char* const poller : {"io_uring", "io_uring_plain", "epoll"}) {
    for (const int procs : {1, 2, 4})
      EXPECT_EXIT(run_with_alarm(body, poller, procs), ::testing::KilledBySignal(SIGALRM), "^$");
  }
}

TEST_F(DeadlockIoDeathTest, NotWithARead) {
  const auto body = [] {
    auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
    auto conn =
        weft::net::dial(weft::background(), "tcp", "127.0.0.1:" + std::to_string(listener.address().port())).value();
    auto peer = listener.accept().value();
    char byte = 0;
    static_cast<void>(conn.read({&byte, 1}));
  };
  for (const char* const poller : {"io_uring", "io_uring_plain", "epoll"}) {
    for (const int procs : {1, 2, 4})
      EXPECT_EXIT(run_with_alarm(body, poller, procs), ::testing::KilledBySignal(SIGALRM), "^$");
  }
}

// A socket that nobody waits for wakes nobody.
TEST_F(DeadlockIoDeathTest, ReportedWithAnIdleListener) {
  const auto body = [] {
    auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
    ::alarm(0);
    weft::make_chan<int>().recv();
  };
  for (const char* const poller : {"io_uring", "io_uring_plain", "epoll"}) {
    for (const int procs : {1, 2, 4}) {
      EXPECT_EXIT(run_with_alarm(body, poller, procs), ::testing::ExitedWithCode(2),
                  "^fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 \\[chan receive\\]:\n");
    }
  }
}

}  // namespace
