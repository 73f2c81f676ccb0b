// The clock that the calling goroutine lives by: its bubble's (time/bubble.h), or the real one.
#pragma once

#include "runtime/src/base/clock.h"

namespace weft::rt {

// Returns the time on the caller's clock. The time of a timer that a goroutine starts is compared with this time. On a
// scheduler stack and on a plain thread it is now().
Nanos caller_now() noexcept;

ClockId caller_clock() noexcept;

// Does nothing when the caller lives by the clock `timers`: then it may look at a timer that is set by this clock, and
// set it. It is fatal for any other caller, who would wait for a time that never comes, or came long ago.
void check_caller_clock(ClockId timers) noexcept;

}  // namespace weft::rt
