// The runtime's clock: the monotonic one, in nanoseconds; and that of the caller, who may be in a bubble.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace weft::rt {

// Nanoseconds of std::chrono::steady_clock.
using Nanos = std::int64_t;

inline constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

inline Nanos to_nanos(std::chrono::steady_clock::time_point t) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
}

inline Nanos now() noexcept { return to_nanos(std::chrono::steady_clock::now()); }

// The time that the calling goroutine lives in: its bubble's (time/bubble.h), else the same as now(). What is compared
// with the time of a timer that a goroutine starts. On a scheduler stack it is now().
Nanos caller_now() noexcept;

// Which clock that is: the real one, or that of a bubble. Not used again when the bubble has ended.
enum class ClockId : std::uint64_t { real = 0 };
ClockId caller_clock() noexcept;

// A timer that is set by this clock may be looked at and set by those who live by it. Fatal for others, who would wait
// for a time that never comes, or came long ago.
void check_caller_clock(ClockId timers) noexcept;

// The end of the clock. A timer may be set for it, and then is armed for ever.
inline constexpr Nanos kEndOfClock = kNever - 1;

// t + d, and kNever instead of an overflow.
inline Nanos saturating_add(Nanos t, Nanos d) noexcept {
  Nanos sum = 0;
  return __builtin_add_overflow(t, d, &sum) ? kNever : sum;
}

}  // namespace weft::rt
