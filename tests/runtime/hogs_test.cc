// What the runtime tells about goroutines that keep their threads.
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/src/crash/thread_state.h"
#include "support/matrix.h"
#include "weft/go.h"
#include "weft/stats.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace hogs_test {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = 60s;

#ifdef WEFT_TSAN
constexpr bool kStacks = false;
#else
constexpr bool kStacks = true;
#endif

// The lines of the runtime's log.
struct Log {
  std::mutex mutex;
  std::vector<std::string> lines;
};
Log& log() {
  static Log all;
  return all;
}
void keep_line(weft::LogLevel level, std::string_view line) {
  EXPECT_EQ(level, weft::LogLevel::warning);
  const std::lock_guard lock(log().mutex);
  log().lines.emplace_back(line);
}
bool logged(std::string_view part) {
  const std::lock_guard lock(log().mutex);
  return std::ranges::any_of(log().lines,
                             [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

// Returns the latest entry of that goroutine that `fits`, since `start`. Goroutine ids begin anew with every runtime.
template <typename Fits>
std::optional<weft::HogInfo> find_hog(std::chrono::system_clock::time_point start, std::uint64_t goroutine, Fits fits) {
  std::vector<weft::HogInfo> all = weft::recent_hogs();
  const auto found = std::find_if(all.rbegin(), all.rend(), [&](const weft::HogInfo& hog) {
    return hog.when >= start && hog.goroutine == goroutine && fits(hog);
  });
  if (found == all.rend()) return std::nullopt;
  return std::move(*found);
}

// Computes until told to stop. The clock says when to give up.
[[gnu::noinline]] void computes(const std::atomic<bool>& stop) {
  for (const auto end = Clock::now() + kPatience; !stop.load(std::memory_order_relaxed) && Clock::now() < end;) {
  }
  asm volatile("");  // the call above the loop stays a call
}

// Starts a goroutine that keeps its thread until somebody has seen what is asked about it. Over and over it computes
// for a while and then yields. Each time it may be noticed anew, and its stack may be captured anew.
template <typename Seen>
std::optional<weft::HogInfo> look_at_computing_hog(weft::GoOptions options, Seen seen) {
  std::atomic<std::uint64_t> id{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> pause{false};
  weft::WaitGroup done;
  done.add(1);
  weft::go(options, [&] {
    id.store(weft::this_goroutine::id());
    while (!stop.load()) {
      computes(pause);
      pause.store(false);
      weft::yield();
    }
    done.done();
  });
  const auto start = std::chrono::system_clock::now();
  std::optional<weft::HogInfo> found;
  auto next_pause = Clock::now() + 2s;
  for (const auto end = Clock::now() + kPatience; !found && Clock::now() < end;) {
    weft::sleep(5ms);
    if (id.load() != 0) found = find_hog(start, id.load(), seen);
    if (Clock::now() < next_pause) continue;
    pause.store(true);
    next_pause = Clock::now() + 2s;
  }
  stop.store(true);
  pause.store(true);
  done.wait();
  return found;
}

WEFT_PROCS_TEST(Hogs, OneThatComputesIsNamedWithItsCreatorAndItsLabels) {
  const weft::SourceLocation here = weft::SourceLocation::current();
  const std::uint64_t before = weft::runtime_stats().hogs;
  const auto hog = look_at_computing_hog({.labels = {{"job", "spin"}}},
                                         [](const weft::HogInfo& h) { return h.thread == weft::HogThread::computes; });
  ASSERT_TRUE(hog);
  EXPECT_EQ(std::string_view(hog->creator.file), here.file);
  EXPECT_EQ(hog->parent_id, weft::this_goroutine::id());
  EXPECT_EQ(hog->labels.get("job"), "spin");
  EXPECT_GE(hog->kept, 10ms);
  EXPECT_GE(hog->processor, 0);
  EXPECT_LT(hog->processor, weft::testing::variant().procs);
  EXPECT_GT(weft::runtime_stats().hogs, before);
}

WEFT_PROCS_TEST(Hogs, OneThatComputesShowsItsStack) {
  if (!kStacks) GTEST_SKIP() << "TSan holds signals back";
  const auto hog = look_at_computing_hog(
      {}, [](const weft::HogInfo& h) { return h.stack.find("hogs_test::computes(...)") != std::string::npos; });
  ASSERT_TRUE(hog);
  EXPECT_TRUE(hog->stack.starts_with("goroutine " + std::to_string(hog->goroutine) + " [running]:\n")) << hog->stack;
  EXPECT_NE(hog->stack.find("hogs_test.cc:"), std::string::npos) << hog->stack;
  EXPECT_NE(hog->stack.find("\ncreated by "), std::string::npos) << hog->stack;
  EXPECT_EQ(hog->stack.find("weft::rt::"), std::string::npos) << hog->stack;
  // Asked again, the list shows the same stack.
  const auto again = find_hog(hog->when, hog->goroutine, [&](const weft::HogInfo& h) { return h.when == hog->when; });
  ASSERT_TRUE(again);
  EXPECT_EQ(again->stack, hog->stack);
}

// A poll() of a pipe in which nothing comes until the hog was seen. It is a system call that nobody declared, and that
// a signal would end with EINTR. When the goroutine was noticed on its way into the call, it is woken to try again.
WEFT_PROCS_TEST(Hogs, OneThatSleepsInASystemCallIsNotInterrupted) {
  const auto start = std::chrono::system_clock::now();
  std::array<int, 2> ends;
  ASSERT_EQ(::pipe(ends.data()), 0);
  std::atomic<std::uint64_t> id{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> interrupted{false};
  weft::WaitGroup done;
  done.go([&] {
    id.store(weft::this_goroutine::id());
    while (!stop.load()) {
      pollfd in{.fd = ends[0], .events = POLLIN, .revents = 0};
      if (::poll(&in, 1, -1) < 0) interrupted.store(true);
      char byte = 0;
      if ((in.revents & POLLIN) != 0) {
        EXPECT_EQ(::read(ends[0], &byte, 1), 1);
      }
      weft::yield();
    }
  });
  const auto find = [&](weft::HogThread thread) {
    return find_hog(start, id.load(), [&](const weft::HogInfo& hog) { return hog.thread == thread; });
  };
  std::optional<weft::HogInfo> hog;
  auto next_push = Clock::now() + 2s;
  for (const auto end = Clock::now() + kPatience; !hog && Clock::now() < end;) {
    weft::sleep(5ms);
    hog = find(weft::HogThread::sleeps);
    if (Clock::now() < next_push) continue;
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
    next_push = Clock::now() + 2s;
  }
  const bool never_computed = !find(weft::HogThread::computes);
  stop.store(true);
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  done.wait();
  ::close(ends[0]);
  ::close(ends[1]);
  ASSERT_TRUE(hog);
  EXPECT_EQ(hog->stack, "");
  if (never_computed) {
    EXPECT_FALSE(interrupted.load());
  }
}

// weft handles none of the signals, so no thread can be asked for its stack.
TEST(Hogs, WithoutCrashReportsThereIsNoStack) {
  weft::run(
      [] {
        const auto hog = look_at_computing_hog({}, [](const weft::HogInfo&) { return true; });
        ASSERT_TRUE(hog);
        weft::sleep(20ms);
        const auto later = find_hog(hog->when, hog->goroutine, [](const weft::HogInfo& h) { return !h.stack.empty(); });
        EXPECT_FALSE(later);
      },
      {.procs = 2, .log = keep_line, .crash_reports = false});
}

// The log has at most one line a second, so another hog may get it. The loop goes on until ours gets it.
TEST(Hogs, TheLogSaysWhoAndWhatToDo) {
  log().lines.clear();
  weft::run(
      [] {
        const auto hog = look_at_computing_hog({}, [](const weft::HogInfo& h) {
          return logged("goroutine " + std::to_string(h.goroutine) + " (created at ");
        });
        EXPECT_TRUE(hog);
        EXPECT_TRUE(logged("hogs_test.cc:"));
        EXPECT_TRUE(logged(" ms without a scheduling point"));
        EXPECT_TRUE(logged("weft::yield()"));
      },
      {.procs = 1, .log = keep_line});
}

TEST(ThreadState, OfThreadsThatRunAndOfNone) {
  EXPECT_EQ(weft::rt::thread_state(::gettid()), 'R');
  EXPECT_EQ(weft::rt::thread_state(0x7fffffff), '\0');
}

WEFT_PROCS_TEST(Threads, MachinesHaveNames) {
  std::array<char, 16> name{};
  EXPECT_EQ(::pthread_getname_np(::pthread_self(), name.data(), name.size()), 0);
  EXPECT_EQ(name.data(), "weft-m" + std::to_string(weft::machine_id()));
}

// What a sink has captured goes with its run().
TEST(Hogs, TheLogsSinkGoesWithItsRun) {
  auto captured = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = captured;
  weft::run([] {}, {.procs = 1, .log = [kept = std::move(captured)](weft::LogLevel, std::string_view) {}});
  EXPECT_TRUE(watch.expired());
}

}  // namespace hogs_test
