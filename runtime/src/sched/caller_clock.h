// The clock that the calling goroutine lives by: its bubble's (time/bubble.h), or the real one.
#pragma once

#include "runtime/src/base/clock.h"

namespace weft::rt {

// The time on the caller's clock. What is compared with the time of a timer that a goroutine starts is this time. On a scheduler stack and
// on a plain thread it is now().
Nanos caller_now() noexcept;

ClockId caller_clock() noexcept;

// A timer that is set by the clock `timers` may be looked at and set by those who live by it. Fatal for others, who would wait for a time that
// never comes, or came long ago.
void check_caller_clock(ClockId timers) noexcept;

}  // namespace weft::rt
