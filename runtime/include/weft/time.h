// Time for goroutines, on the monotonic clock (Go's package time). Durations are std::chrono.
#pragma once

#include <chrono>

namespace weft {

// The time that the caller lives in: std::chrono::steady_clock::now(), but in a test's bubble its clock
// (weft/testing/bubble.h). What deadlines are reckoned from. Any thread.
std::chrono::steady_clock::time_point now() noexcept;

// Parks the calling goroutine for at least `duration`; returns at once, without yielding, when it is zero or negative.
// A duration past the end of the clock sleeps for ever. Goroutines only; can't be cancelled.
void sleep(std::chrono::nanoseconds duration);

}  // namespace weft
