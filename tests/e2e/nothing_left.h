// Included before an example, this file makes its weft::run() fail when goroutines or timers outlive the main function.
#pragma once

#include <chrono>
#include <cstdio>
#include <utility>

// All headers of weft that an example may include, so that the macro below renames nothing in them.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/errgroup.h>
#include <weft/error.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/stats.h>
#include <weft/sync.h>
#include <weft/task_group.h>
#include <weft/testing/bubble.h>
#include <weft/time.h>

namespace weft::testing {

// Returns status 3 when something is left. A goroutine may still be about to end when main returns; a leaked one stays.
template <typename F>
int run_and_leave_nothing(F&& main) {
  return run([body = std::forward<F>(main)]() mutable {
    body();
    const auto nothing_left = [] {
      const RuntimeStats stats = runtime_stats();
      return stats.goroutines <= 1 && stats.timers == 0;
    };
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!nothing_left() && std::chrono::steady_clock::now() < end) sleep(std::chrono::milliseconds(1));
    if (nothing_left()) return 0;
    std::fprintf(stderr, "left behind: %zu goroutines, %zu timers\n", runtime_stats().goroutines - 1,
                 runtime_stats().timers);
    for (const GoroutineInfo& g : goroutines()) {
      std::fprintf(stderr, "  goroutine %llu [%s]\n", static_cast<unsigned long long>(g.id), g.wait_reason.c_str());
    }
    return 3;
  });
}

}  // namespace weft::testing

namespace weft {
using testing::run_and_leave_nothing;
}

#define run run_and_leave_nothing  // NOLINT: the example says weft::run
