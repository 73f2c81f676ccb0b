#include "runtime/src/sched/caller_clock.h"

#include "runtime/src/base/fatal.h"
#include "runtime/src/sched/bubble_hooks.h"
#include "runtime/src/sched/machine.h"
#include "weft/time_point.h"

namespace weft {

TimePoint now() noexcept { return TimePoint(std::chrono::nanoseconds(rt::caller_now())); }

namespace rt {

Nanos caller_now() noexcept {
  const BubbleHooks* const bubble = bubble_of(current_machine());
  return bubble == nullptr ? now() : bubble->now();
}

ClockId caller_clock() noexcept {
  const BubbleHooks* const bubble = bubble_of(current_machine());
  return bubble == nullptr ? ClockId::real : bubble->clock();
}

void check_caller_clock(ClockId timers) noexcept {
  if (caller_clock() == timers) return;
  fatal(timers == ClockId::real ? "a timer that was made outside of a bubble is used in one: make it in the bubble"
                                : "a bubble's timer is used outside of it: make it where it is used");
}

}  // namespace rt
}  // namespace weft
