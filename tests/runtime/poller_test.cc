// The choice of a poller: weft tries what the kernel has, or does what WEFT_POLLER says.
#include <sys/socket.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "runtime/src/io/descriptor.h"
#include "weft/go.h"
#include "weft/stats.h"

namespace {

weft::RuntimeStats stats_with(const char* wish, weft::PollerChoice choice = weft::PollerChoice::automatic) {
  if (wish != nullptr) {
    ::setenv("WEFT_POLLER", wish, 1);
  } else {
    ::unsetenv("WEFT_POLLER");
  }
  weft::RuntimeStats stats;
  EXPECT_EQ(weft::run([&] { stats = weft::runtime_stats(); }, {.procs = 1, .poller = choice}), 0);
  ::unsetenv("WEFT_POLLER");
  return stats;
}

TEST(Poller, VariableForcesOne) {
  EXPECT_EQ(stats_with("epoll").poller, "epoll");
  EXPECT_EQ(stats_with("epoll").poller_reason, "WEFT_POLLER=epoll");
  EXPECT_EQ(stats_with("io_uring_plain").poller, "io_uring_plain");
  EXPECT_EQ(stats_with("io_uring").poller_reason.rfind("WEFT_POLLER=io_uring", 0), 0u);
}

TEST(Poller, OptionGoesBeforeVariable) {
  EXPECT_EQ(stats_with("io_uring", weft::PollerChoice::epoll).poller, "epoll");
  EXPECT_EQ(stats_with("io_uring", weft::PollerChoice::epoll).poller_reason, "the program asked for epoll");
  EXPECT_EQ(stats_with("epoll", weft::PollerChoice::io_uring_plain).poller, "io_uring_plain");
  EXPECT_EQ(stats_with("epoll", weft::PollerChoice::io_uring_plain).poller_reason,
            "the program asked for io_uring_plain");
}

TEST(Poller, AutomaticSaysWhy) {
  const weft::RuntimeStats stats = stats_with(nullptr);
  EXPECT_FALSE(stats.poller.empty());
  EXPECT_FALSE(stats.poller_reason.empty());
  EXPECT_EQ(stats_with("auto").poller, stats.poller);
}

TEST(Poller, UnknownNameIsOneClearLine) {
  ::setenv("WEFT_POLLER", "kqueue", 1);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(weft::run([] { FAIL() << "main must not run"; }), 1);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "weft: WEFT_POLLER=kqueue: unknown poller; use auto, io_uring, io_uring_plain or epoll\n");
  ::unsetenv("WEFT_POLLER");
}

TEST(PollerDeathTest, WaitingForIoOnAPlainThreadIsFatal) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const char* const poller : {"epoll", "io_uring", "io_uring_plain"}) {
    EXPECT_EXIT(
        {
          ::setenv("WEFT_POLLER", poller, 1);
          weft::run([] {
            int ends[2];
            EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
            weft::rt::Descriptor* const descriptor = weft::rt::make_descriptor(ends[0], weft::rt::FdKind::stream);
            std::thread([&] {
              char byte = 0;
              descriptor->read({&byte, 1});
            }).join();
          });
        },
        ::testing::ExitedWithCode(2), "fatal error: .*I/O outside a goroutine: call it inside weft::run");
  }
}

}  // namespace
