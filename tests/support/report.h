// Reads the report of a child process that died.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "weft/log.h"

namespace weft::testing {

// RuntimeOptions::log of the child. On a machine that stands still for a moment, any goroutine may be taken for a hog.
inline void ignore(LogLevel, std::string_view) {}

inline std::size_t count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

// A matcher for EXPECT_EXIT. It prints `what` about a report for which `check` is false.
class Says : public ::testing::MatcherInterface<const std::string&> {
 public:
  using Check = std::function<bool(const std::string&)>;
  Says(std::string what, Check check) : what_(std::move(what)), check_(std::move(check)) {}
  bool MatchAndExplain(const std::string& text, ::testing::MatchResultListener*) const override { return check_(text); }
  void DescribeTo(std::ostream* out) const override { *out << what_; }

 private:
  const std::string what_;
  const Check check_;
};

inline ::testing::Matcher<const std::string&> says(std::string what, Says::Check check) {
  return ::testing::Matcher<const std::string&>(new Says(std::move(what), std::move(check)));
}

}  // namespace weft::testing
