// ChanTimer: the clockwork of the channel of a Timer or a Ticker (Go 1.23's).
//
// It lies beside the channel's state, in the same memory and under the channel's mutex:
//
//   when    the time of the next tick; kNever: it is stopped, or has ticked for the last time
//   period  of a ticker; 0: it ticks once
//
// A tick goes to the receiver that waits longest, else into the buffer of one, else nowhere. The heap holds the timer
// only while somebody waits on the channel. When nobody does, whoever comes to receive looks at the clock first: a
// timer that is stopped in time, as most are, costs no more than its memory. A tick in the buffer is not yet received,
// so stop() and reset() take it back.
#pragma once

#include <chrono>

#include "runtime/src/time/guarded_timer.h"
#include "weft/detail/chan_core.h"
#include "weft/time_point.h"

namespace weft::rt {

// The policy has the policies of timers and of channels, and the caller's clock: its time, and whose clock it is.
template <typename Policy>
class BasicChanTimer {
 public:
  using Chan = detail::BasicChanState<TimePoint, typename Policy::ChanPolicy>;

  BasicChanTimer(Chan& chan, Nanos when, Nanos period) noexcept
      : chan_(chan), when_(when), period_(period), timer_(&on_fire, &on_drop, this) {}

  // Return true when a tick was still to come, or to be received. That tick is not received any more.
  bool stop() noexcept { return set(kNever, 0); }
  bool reset(Nanos when, Nanos period) noexcept { return set(when, period); }

  // --- with the channel's mutex held ---

  // Clang does not see that the mutex which the caller holds is this channel's.
  void look_locked() noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS {
    if (when_ == kNever) return;
    Policy::check_clock(clock_);
    if (!chan_.receivers.empty()) return;  // those who wait are served by the heap
    const Nanos t = Policy::now();
    if (when_ > t) return;
    typename Chan::Waiter nobody{};
    tick_locked(t, nobody);
  }
  void run_for_waiters_locked() noexcept { timer_.run_at(chan_.receivers.empty() ? kNever : when_); }

  // --- when nobody has the channel any more ---

  void end() noexcept {
    if (!timer_.ever_ran()) return;
    chan_.mutex.lock();
    when_ = kNever;
    timer_.run_at(kNever);
    chan_.mutex.unlock();
    timer_.end();
  }

 private:
  bool set(Nanos when, Nanos period) noexcept {
    if (when != kNever) Policy::check_clock(clock_);
    chan_.mutex.lock();
    const bool active = when_ != kNever || chan_.count.load(std::memory_order_relaxed) != 0;
    when_ = when;
    period_ = period;
    chan_.clear_buffer();
    run_for_waiters_locked();
    chan_.mutex.unlock();
    return active;
  }

  // Ticks that are late are dropped, except the first of them; the next one keeps to the grid.
  void tick_locked(Nanos t, typename Chan::Waiter& partner) noexcept WEFT_REQUIRES(chan_.mutex) {
    const Nanos due = when_;
    when_ = period_ == 0 ? kNever : saturating_add(due, period_ * (1 + (t - due) / period_));
    static_cast<void>(chan_.offer(TimePoint(std::chrono::nanoseconds(due)), partner));
  }

  static void on_fire(void* self, Nanos t) noexcept { static_cast<BasicChanTimer*>(self)->fire(t); }

  static void on_drop(void* self) noexcept {
    auto& timer = *static_cast<BasicChanTimer*>(self);
    timer.chan_.mutex.lock();
    timer.timer_.fired();
    timer.chan_.mutex.unlock();
  }

  void fire(Nanos t) noexcept {
    typename Chan::Waiter partner{};
    chan_.mutex.lock();
    timer_.fired();
    if (when_ <= t) tick_locked(t, partner);
    run_for_waiters_locked();
    chan_.mutex.unlock();  // after this, nothing of the channel is touched
    if (partner) Policy::ChanPolicy::wake(partner);
  }

  Chan& chan_;
  Nanos when_;
  Nanos period_;
  const ClockId clock_ = Policy::clock();  // the clock that when_ is a time of
  GuardedTimer<typename Policy::TimerPolicy> timer_;
};

}  // namespace weft::rt
