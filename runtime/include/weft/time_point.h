// TimePoint: an instant on the monotonic clock. All deadlines of weft are of this type.
//
// Thread safety: a TimePoint is a plain value; now() may be called from any thread. Nothing here blocks.
#pragma once

#include <weft/detail/chrono.h>

namespace weft {

// Nanoseconds of std::chrono::steady_clock.
using TimePoint = std::chrono::steady_clock::time_point;

// A deadline that never comes. What takes a deadline clears it when it is given this one.
inline constexpr TimePoint kNoDeadline = TimePoint::max();

// Returns the time that the caller lives in: std::chrono::steady_clock::now(), or in a test's bubble the time of the
// bubble's clock (weft/testing/bubble.h). Deadlines are reckoned from it. Any thread.
TimePoint now() noexcept;

}  // namespace weft
