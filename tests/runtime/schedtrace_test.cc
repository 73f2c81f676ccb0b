// WEFT_DEBUG=schedtrace=MILLISECONDS[,scheddetail=1].
#include "runtime/src/control/trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/parked.h"
#include "support/report.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;
using weft::testing::says;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::size_t matching(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  const auto lines = lines_of(text);
  return static_cast<std::size_t>(
      std::ranges::count_if(lines, [&](const std::string& line) { return std::regex_match(line, expression); }));
}

class SchedTraceDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

void run_with(const char* setting, int procs, std::chrono::milliseconds length) {
  ::setenv("WEFT_DEBUG", setting, 1);
  weft::run(
      [length] {
        const auto ch = weft::make_chan<int>();
        for (int i = 0; i < 3; ++i) weft::go([=] { ch.recv(); });
        weft::go([] { weft::blocking([] { std::this_thread::sleep_for(10min); }); });
        static_cast<void>(weft::testing::wait_until_parked(3, "chan receive"));
        weft::sleep(length);
        std::_Exit(0);
      },
      {.procs = procs, .log = weft::testing::ignore});
}

constexpr const char* kLine =
    R"(SCHED \d+ms: gomaxprocs=\d+ idleprocs=\d+ threads=\d+ spinningthreads=\d+ needspinning=0 idlethreads=\d+)"
    R"( runqueue=\d+)";

TEST_F(SchedTraceDeathTest, ALineEveryPeriod) {
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run_with("schedtrace=100", procs, 1200ms), ::testing::ExitedWithCode(0),
                says("lines of a scheduler trace, and nothing else", [procs](const std::string& text) {
                  const std::string p = std::to_string(procs);
                  const std::size_t n = matching(
                      text, std::string(kLine) + R"( \[( \d+){)" + p + R"(} \] schedticks=\[( \d+){)" + p + R"(} \])");
                  return n >= 5 && n == lines_of(text).size() &&
                         matching(text, "SCHED .* gomaxprocs=" + p + " .*") == n &&
                         matching(text, R"(SCHED \d+ms: .*threads=\d+.*runqueue=\d+.*)") == n;
                }));
  }
}

// The period is kept: the number of lines fits the times that they bear.
TEST_F(SchedTraceDeathTest, NoMoreLinesThanPeriods) {
  EXPECT_EXIT(run_with("schedtrace=100", 2, 1500ms), ::testing::ExitedWithCode(0),
              says("times at least a period apart, on the average", [](const std::string& text) {
                const auto lines = lines_of(text);
                if (lines.empty()) return false;
                const long last = std::atol(lines.back().c_str() + sizeof("SCHED ") - 1);
                return lines.size() <= static_cast<std::size_t>(last) / 100 + 1;
              }));
}

TEST_F(SchedTraceDeathTest, DetailListsProcessorsMachinesAndGoroutines) {
  for (const int procs : {1, 2, 4}) {
    EXPECT_EXIT(run_with("schedtrace=50,scheddetail=1", procs, 500ms), ::testing::ExitedWithCode(0),
                says("P, M and G lines", [procs](const std::string& text) {
                  const std::size_t n = matching(text, kLine);
                  const auto p = static_cast<std::size_t>(procs);
                  return n >= 2 &&
                         matching(text, R"(  P\d+: status=\d schedtick=\d+ .*m=-?\d+ runqsize=\d+ .*timerslen=\d+)") ==
                             n * p &&
                         matching(text, R"(  M\d+: p=-?\d+ curg=-?\d+ .*spinning=[01] .*lockedg=-?\d+)") >= n &&
                         matching(text, R"(  G\d+: status=4\(chan receive\) m=-1 lockedm=-1)") >= n &&
                         matching(text, R"(  G1: status=4\(sleep\) .*)") >= 1 &&
                         matching(text, R"(  G\d+: status=3\(\) .*)") >= 1;
                }));
  }
}

TEST_F(SchedTraceDeathTest, NothingWithoutAPeriod) {
  for (const char* const setting : {"", "schedtrace", "schedtrace=", "schedtrace=0", "schedtrace=x", "scheddetail=1"}) {
    EXPECT_EXIT(run_with(setting, 2, 150ms), ::testing::ExitedWithCode(0), "^$") << setting;
  }
}

}  // namespace
