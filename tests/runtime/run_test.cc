// run() when it can't start a runtime: one line on stderr, status 1, and the process goes on.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "support/eventually.h"
#include "support/files.h"
#include "weft/go.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;

constexpr const char* kRefusal = "weft: a runtime runs already in this process, and there is one at a time\n";

TEST(Run, ASecondOneInsideTheFirstReturnsOne) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(weft::run([] {
              EXPECT_EQ(weft::run([] { ADD_FAILURE() << "the second main ran"; }), 1);
              weft::sleep(1ms);  // the first runtime goes on
              return 7;
            }),
            7);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), kRefusal);
  EXPECT_EQ(weft::run([] { return 8; }), 8);
}

TEST(Run, ASecondOneOnAnotherThreadReturnsOne) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(weft::run([] {
              int status = 0;
              std::thread([&] { status = weft::run([] { ADD_FAILURE() << "the second main ran"; }); }).join();
              EXPECT_EQ(status, 1);
              return 7;
            }),
            7);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), kRefusal);
}

// Threads that call run() at the same time: each has the runtime for itself, or is refused.
TEST(Run, OfManyThreadsOneHasTheRuntime) {
  static std::atomic<int> inside;
  static std::atomic<int> ran;
  inside.store(0);
  ran.store(0);
  ::testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  std::atomic<int> refused{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        const int status = weft::run([] {
          EXPECT_EQ(inside.fetch_add(1), 0);
          ran.fetch_add(1);
          inside.fetch_sub(1);
          return 7;
        });
        EXPECT_TRUE(status == 7 || status == 1) << status;
        refused += status == 1 ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(ran + refused, 40);
  EXPECT_GE(ran, 1);
  EXPECT_EQ(std::ranges::count(said, '\n'), refused.load());
}

// What a child process came to that called run().
struct Ended {
  int status = -1;  // as waitpid() says it
  std::string said;
};

// Calls run() in a child, after `limit()`.
template <typename Limit>
Ended run_in_child(Limit limit) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    limit();
    ::_exit(weft::run([] { return 7; }, {.procs = 2}));
  }
  ::close(ends[1]);
  Ended ended;
  char buffer[512];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof(buffer))) > 0;) {
    ended.said.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  EXPECT_EQ(::waitpid(child, &ended.status, 0), child);
  return ended;
}

void expect_it_ran_or_said_why(const Ended& ended) {
  ASSERT_TRUE(WIFEXITED(ended.status)) << ended.status << ": " << ended.said;
  if (WEXITSTATUS(ended.status) == 7) return;
  EXPECT_EQ(WEXITSTATUS(ended.status), 1) << ended.said;
  EXPECT_TRUE(ended.said.starts_with("weft: ")) << ended.said;
  EXPECT_EQ(std::ranges::count(ended.said, '\n'), 1) << ended.said;
}

// Each number of descriptors less than what a start needs.
TEST(Run, WithoutDescriptorsItSaysWhy) {
  for (const char* const poller : weft::testing::kPollers) {
    for (rlim_t more = 0; more < 16; ++more) {
      SCOPED_TRACE(::testing::Message() << poller << ", descriptors " << more);
      expect_it_ran_or_said_why(run_in_child([=] {
        ::setenv("WEFT_POLLER", poller, 1);
        const rlimit limit{3 + more, 3 + more};
        ::setrlimit(RLIMIT_NOFILE, &limit);
        ::closefrom(3);
      }));
    }
  }
}

#if !defined(WEFT_ASAN) && !defined(WEFT_TSAN)
std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Each amount of memory less than what a start needs: for rings, for the first stack, for each thread.
TEST(Run, WithoutMemoryItSaysWhy) {
  for (const char* const poller : weft::testing::kPollers) {
    for (std::size_t more = 0; more < 96; more += more < 8 ? 1 : 4) {
      SCOPED_TRACE(::testing::Message() << poller << ", MiB " << more);
      expect_it_ran_or_said_why(run_in_child([=] {
        ::setenv("WEFT_POLLER", poller, 1);
        const rlim_t bytes = address_space() + (more << 20);
        const rlimit limit{bytes, bytes};
        ::setrlimit(RLIMIT_AS, &limit);
      }));
    }
  }
}
#endif

}  // namespace
