// Counts the files that this process has open, and proves that runtimes leave none behind.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "weft/go.h"

namespace weft::testing {

inline std::size_t open_files() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

inline constexpr const char* kPollers[] = {"io_uring", "io_uring_plain", "epoll"};

// Runs `body` as main in runtime after runtime, and expects that no more files are open afterwards than before. A
// runtime may be abandoned because its threads were too slow to stop, and then its files stay open. That does not
// happen in every series of runs.
inline void expect_runs_leave_no_files(const std::function<void()>& body, int runs = 10) {
  constexpr int kMostSeries = 4;
  for (const char* const poller : kPollers) {
    for (const int procs : {1, 2}) {
      SCOPED_TRACE(::testing::Message() << poller << ", procs " << procs);
      ::setenv("WEFT_POLLER", poller, 1);
      std::size_t before = 0;
      std::size_t after = 0;
      for (int series = 0; series < kMostSeries && (series == 0 || after > before); ++series) {
        before = open_files();
        for (int i = 0; i < runs; ++i) EXPECT_EQ(run(body, {.procs = procs}), 0);
        after = open_files();
      }
      EXPECT_LE(after, before) << "after " << runs << " runs";
    }
  }
  ::unsetenv("WEFT_POLLER");
}

}  // namespace weft::testing
