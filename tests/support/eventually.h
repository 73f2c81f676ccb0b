// Waits for what is to happen soon, on a machine of any speed.
#pragma once

#include <chrono>

#include "weft/time.h"

namespace weft::testing {

// No test waits longer than this for anything.
inline constexpr std::chrono::seconds kPatience{60};

inline std::chrono::steady_clock::time_point patience_end() { return std::chrono::steady_clock::now() + kPatience; }

// Sleeps until `condition()` holds. Returns false when it does not hold within kPatience. For goroutines only.
template <typename Condition>
[[nodiscard]] bool eventually(Condition condition) {
  for (const auto end = patience_end(); !condition();) {
    if (std::chrono::steady_clock::now() > end) return false;
    sleep(std::chrono::milliseconds(1));
  }
  return true;
}

// Keeps the thread busy, without a call of the runtime, until `condition()` holds. Returns false when it does not hold
// within kPatience.
template <typename Condition>
[[nodiscard]] bool spin_until(Condition condition) {
  for (const auto end = patience_end(); !condition();) {
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}

}  // namespace weft::testing
