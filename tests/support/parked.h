// Waits until goroutines wait.
#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>

#include "weft/go.h"
#include "weft/time.h"

namespace weft::testing {

inline std::size_t parked(std::string_view reason) {
  std::size_t n = 0;
  for (const GoroutineInfo& g : goroutines()) n += g.state == GoroutineState::waiting && g.wait_reason == reason;
  return n;
}

// Returns true when at least `n` goroutines are parked for that reason, and false when they are not after thirty
// seconds.
inline bool wait_until_parked(std::size_t n, std::string_view reason) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (int round = 0; parked(reason) < n; ++round) {
    if (std::chrono::steady_clock::now() > end) return false;
    yield();
    if (round > 10) sleep(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace weft::testing
