// The runtime's clock: the monotonic one, in nanoseconds. sched/caller_clock.h has the clock of the caller, who may be
// in a bubble.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace weft::rt {

// Nanoseconds of std::chrono::steady_clock.
using Nanos = std::int64_t;

inline constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

constexpr Nanos to_nanos(std::chrono::steady_clock::time_point t) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
}
static_assert(to_nanos(std::chrono::steady_clock::time_point::max()) == kNever, "kNoDeadline is kNever");

inline Nanos now() noexcept { return to_nanos(std::chrono::steady_clock::now()); }

// Which clock a time belongs to: the real one, or that of a bubble (time/bubble.h). A number is not used again when its
// bubble has ended.
enum class ClockId : std::uint64_t { real = 0 };

// The end of the clock. A timer may be set for it, and then is armed for ever.
inline constexpr Nanos kEndOfClock = kNever - 1;

// Returns t + d, or kNever instead of an overflow.
inline Nanos saturating_add(Nanos t, Nanos d) noexcept {
  Nanos sum = 0;
  return __builtin_add_overflow(t, d, &sum) ? kNever : sum;
}

}  // namespace weft::rt
