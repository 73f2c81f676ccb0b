// How values look after "key=" in log lines.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace weft::app::detail {

// Returns the value as it is, or quoted and escaped when a reader could not tell where it ends, or when it is more than
// plain ASCII. It is always one line.
inline std::string field(std::string_view value) {
  const auto stands_alone = [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '='; };
  const bool plain = !value.empty() && std::ranges::all_of(value, stands_alone);
  return plain ? std::string(value) : fmt::format("{:?}", value);
}

// Returns seconds: "1.250s".
inline std::string field(std::chrono::nanoseconds value) {
  return fmt::format("{:.3f}s", std::chrono::duration<double>(value).count());
}

}  // namespace weft::app::detail
