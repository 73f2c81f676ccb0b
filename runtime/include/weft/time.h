// Time for goroutines, on the monotonic clock (Go's package time). Durations are std::chrono.
#pragma once

#include <chrono>

namespace weft {

// Parks the calling goroutine for at least `duration`; returns at once, without yielding, when it is zero or negative. A duration
// past the end of the clock sleeps for ever. Goroutines only; can't be cancelled.
void sleep(std::chrono::nanoseconds duration);

}  // namespace weft
