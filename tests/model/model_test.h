// Expectations on explorations. Each prints how much was explored.
#pragma once

#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "model/explorer.h"

namespace weft::model {

// Sanitizers cost a factor of ten or more, so large tests choose a smaller program or a bound there.
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

template <typename P, typename... Arguments>
Report explore_program(const std::vector<const char*>& threads, const Options& options, Arguments... arguments) {
  return explore(
      threads, [=]() -> std::unique_ptr<Program> { return std::make_unique<P>(arguments...); }, options);
}

inline void print_explored(const Report& report) {
  std::cout << "explored " << report.executions << " interleavings, " << report.redundant
            << " of them cut short as equal to others; " << report.steps << " steps\n";
}

// Expects that the program holds in every interleaving.
inline void expect_holds(const Report& report) {
  print_explored(report);
  EXPECT_TRUE(report.holds) << report.failure;
}

// Expects that the exploration finds the planted bug, and that the report contains `text`.
inline void expect_finds(const Report& report, const std::string& text) {
  print_explored(report);
  EXPECT_FALSE(report.holds) << "the planted bug was not found";
  EXPECT_NE(report.failure.find(text), std::string::npos) << report.failure;
  std::cout << "found: " << report.failure << "\n";
}

}  // namespace weft::model
