// GuardedTimer: a runtime timer that anybody may run, move and stop under a mutex of its owner, also while it is
// firing.
//
// The callback of a timer that fires comes without that mutex. When it has taken the mutex, it may find that the timer
// was stopped or moved meanwhile. So the owner's `when`, which the mutex guards, decides. The callback does the
// following under the mutex: fired(); what is due, if anything is; run_at() of what is wanted now. When the heap is
// given back, `dropped` is called instead, which does the first of these.
//
//   in_heap_  the timer is in a heap, or its callback is on its way to the mutex. It is set where the timer is started,
//             and cleared where stop() finds the timer in the heap, and by fired().
//
// While a callback is on its way, the timer is not started again: run_at() leaves that to the callback. So there is one
// callback at a time that can touch the owner, and end() knows the heap it comes from. After it has released the mutex,
// a callback uses nothing of the owner's.
#pragma once

#include "runtime/src/base/clock.h"
#include "runtime/src/sched/timer.h"

namespace weft::rt {

template <typename Policy>
class GuardedTimer {
 public:
  using Callback = typename BasicTimer<Policy>::Callback;
  using Dropped = typename BasicTimer<Policy>::Dropped;

  GuardedTimer(Callback callback, Dropped dropped, void* arg) noexcept : timer_(callback, arg, dropped) {}

  // --- with the owner's mutex held ---

  // Runs the timer at `when`; kNever: not at all. The timer does not run while no runtime does.
  void run_at(Nanos when) noexcept {
    if (in_heap_) {
      if (when == set_for_ || !timer_.stop()) return;
      in_heap_ = false;
    }
    if (when == kNever) return;
    set_for_ = when;
    in_heap_ = timer_.try_start_at(when);
  }
  void fired() noexcept { in_heap_ = false; }
  bool in_heap() const noexcept { return in_heap_; }

  // --- without it, once nothing is wanted and nobody else uses the owner ---

  bool ever_ran() const noexcept { return set_for_ != kNever; }
  void end() noexcept { timer_.stop_and_wait(); }

 private:
  BasicTimer<Policy> timer_;
  Nanos set_for_ = kNever;
  bool in_heap_ = false;
};

}  // namespace weft::rt
