// How values look after "key=" in log lines.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace weft::app::detail {

// Returns the value as it is, or quoted when a reader could not tell where it ends.
inline std::string field(std::string_view value) {
  const bool plain = !value.empty() && value.find_first_of(" \t\r\n\"=") == std::string_view::npos;
  return plain ? std::string(value) : fmt::format("{:?}", value);
}

// Returns seconds: "1.250s".
inline std::string field(std::chrono::nanoseconds value) {
  return fmt::format("{:.3f}s", std::chrono::duration<double>(value).count());
}

}  // namespace weft::app::detail
