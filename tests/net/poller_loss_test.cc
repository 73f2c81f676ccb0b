// The kernel refuses a poller's calls after the start, as when a sandbox closes in on a running program. A poller that
// can't wait any more ends the process with a line that says why, and never hangs or spins. What passes is tried again.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <liburing.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <initializer_list>
#include <iterator>
#include <string>

#include "net/pair.h"
#include "support/deny.h"
#include "support/matrix.h"
#include "support/report.h"
#include "weft/go.h"
#include "weft/time.h"
#include "weft/wait_group.h"

namespace {

std::atomic<bool> fails{false};
std::atomic<unsigned> submissions{0};

// Returns what the call of liburing shall fail with, or 0: of three calls one may pass.
int failure() noexcept {
  if (!fails.load(std::memory_order_relaxed)) return 0;
  constexpr int kPassing[] = {0, -EAGAIN, -EBUSY, 0, -EINTR, -EAGAIN};
  return kPassing[submissions.fetch_add(1, std::memory_order_relaxed) % std::size(kPassing)];
}

template <typename Fn>
Fn* next(const char* name) noexcept {
  return reinterpret_cast<Fn*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// The test program stands before the functions of liburing that enter the kernel.
extern "C" {

int io_uring_submit(io_uring* ring) {
  static auto* const real = next<int(io_uring*)>("io_uring_submit");
  const int error = failure();
  return error != 0 ? error : real(ring);
}

int io_uring_submit_and_get_events(io_uring* ring) {
  static auto* const real = next<int(io_uring*)>("io_uring_submit_and_get_events");
  const int error = failure();
  return error != 0 ? error : real(ring);
}

int io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned n, __kernel_timespec* limit,
                                     sigset_t* mask) {
  static auto* const real =
      next<int(io_uring*, io_uring_cqe**, unsigned, __kernel_timespec*, sigset_t*)>("io_uring_submit_and_wait_timeout");
  const int error = failure();
  return error != 0 ? error : real(ring, cqe, n, limit, mask);
}

}  // extern "C"

namespace {

using namespace std::chrono_literals;
using weft::testing::count;
using weft::testing::Filter;
using weft::testing::refuse_call;
using weft::testing::says;

void install_or_exit(const Filter& filter) {
  if (!weft::testing::install(filter)) std::_Exit(77);
}

// Serves a connection, loses the calls, and goes on: with I/O, or with nothing but waiting.
void lose(const char* poller, int procs, std::initializer_list<Filter> filters, bool with_io) {
  ::setenv("WEFT_POLLER", poller, 1);
  weft::run(
      [&] {
        const weft::testing::Pair pair = weft::testing::connect_pair();
        char byte = 0;
        EXPECT_EQ(pair.client.write("x").n, 1u);
        EXPECT_EQ(pair.server.read({&byte, 1}).n, 1u);
        for (const Filter& filter : filters) install_or_exit(filter);
        if (with_io) static_cast<void>(pair.server.read({&byte, 1}));
        weft::sleep(2min);
      },
      {.procs = procs, .log = weft::testing::ignore});
}

void expect_end(const char* poller, std::initializer_list<int> widths, std::initializer_list<Filter> filters,
                const std::string& line) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int procs : widths) {
    for (const bool with_io : {true, false}) {
      SCOPED_TRACE(std::string(poller) + " " + std::to_string(procs) + (with_io ? " with I/O" : " without I/O"));
      EXPECT_EXIT(lose(poller, procs, filters, with_io), ::testing::ExitedWithCode(2),
                  says("one line that says why", [&](const std::string& text) {
                    return count(text, "fatal error: ") == 1 && count(text, line) == 1;
                  }));
    }
  }
}

TEST(PollerLossDeathTest, RingThatCanNotBeEntered) {
  for (const char* const poller : {"io_uring", "io_uring_plain"}) {
    expect_end(poller, {1, 2, 4}, {refuse_call(__NR_io_uring_enter, EPERM)},
               "fatal error: io_uring_enter: operation not permitted: no I/O can be done any more; where a sandbox "
               "forbids io_uring, set WEFT_POLLER=epoll\n");
    expect_end(poller, {2}, {refuse_call(__NR_io_uring_enter, ENXIO)},
               "fatal error: io_uring_enter: no such device or address: no I/O can be done any more");
  }
}

TEST(PollerLossDeathTest, EpollThatCanNotWait) {
  expect_end("epoll", {1, 2, 4},
             {
#ifdef __NR_epoll_wait
                 refuse_call(__NR_epoll_wait, EPERM),
#endif
                 refuse_call(__NR_epoll_pwait, EPERM), refuse_call(__NR_epoll_pwait2, EPERM)},
             "fatal error: epoll_wait: operation not permitted: no I/O can be done any more\n");
}

// Failures that pass are no loss: what was not submitted goes with the next call, and every byte arrives.
WEFT_MATRIX_TEST(PollerLoss, WhatPassesIsTriedAgain) {
  const weft::testing::Pair pair = weft::testing::connect_pair();
  weft::WaitGroup group;
  fails.store(true, std::memory_order_relaxed);
  group.go([&] {
    char byte = 0;
    while (pair.server.read({&byte, 1}).n == 1 && pair.server.write({&byte, 1}).n == 1) {
    }
  });
  for (int i = 0; i < 300; ++i) {
    char byte = 0;
    EXPECT_EQ(pair.client.write("x").n, 1u);
    EXPECT_EQ(pair.client.read({&byte, 1}).n, 1u);
    if (i % 50 == 0) weft::sleep(1ms);
  }
  pair.client.set_read_deadline(weft::now() + 5ms);
  char byte = 0;
  EXPECT_EQ(pair.client.read({&byte, 1}).ec, weft::Condition::deadline_exceeded);  // this cancels what is in flight
  fails.store(false, std::memory_order_relaxed);
  EXPECT_FALSE(pair.client.close());
  group.wait();
}

}  // namespace
