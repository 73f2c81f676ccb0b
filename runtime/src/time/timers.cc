// Timer, Ticker, after and after_func.
#include <algorithm>
#include <cstddef>
#include <new>

#include "runtime/src/sched/caller_clock.h"
#include "runtime/src/time/chan_timer.h"
#include "runtime/src/time/func_timer.h"
#include "weft/panic.h"
#include "weft/time.h"

namespace weft {
namespace detail {
namespace {

struct ChanTimerPolicy {
  using TimerPolicy = rt::TimerPolicy;
  using ChanPolicy = detail::ChanPolicy;
  static rt::Nanos now() noexcept { return rt::caller_now(); }
  static rt::ClockId clock() noexcept { return rt::caller_clock(); }
  static void check_clock(rt::ClockId timers) noexcept { rt::check_caller_clock(timers); }
};

rt::Nanos time_after(std::chrono::nanoseconds duration) noexcept {
  const rt::Nanos ahead = std::max(duration, std::chrono::nanoseconds::zero()).count();
  return std::min(rt::saturating_add(rt::caller_now(), ahead), rt::kEndOfClock);
}

// A function is not told when it was due, so what is due at once needs no look at the clock.
rt::Nanos func_time_after(std::chrono::nanoseconds duration) noexcept {
  return duration <= std::chrono::nanoseconds::zero() ? 0 : time_after(duration);
}

}  // namespace

struct ChanTimer : rt::BasicChanTimer<ChanTimerPolicy> {
  using BasicChanTimer::BasicChanTimer;
};

namespace {

using TickChan = ChanState<TimePoint>;

// Makes the channel's state, the slot after it, and the clockwork in one allocation.
RecvChan<TimePoint> make_timer_chan(rt::Nanos when, rt::Nanos period) {
  constexpr std::size_t kOffset =
      (TickChan::bytes_for(1) + alignof(ChanTimer) - 1) / alignof(ChanTimer) * alignof(ChanTimer);
  static_assert(alignof(ChanTimer) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  void* const memory = ::operator new(kOffset + sizeof(ChanTimer));
  void* const behind = static_cast<std::byte*>(memory) + kOffset;
  TickChan* const chan = TickChan::make_in(memory, 1, static_cast<ChanTimer*>(behind));
  ::new (behind) ChanTimer(*chan, when, period);
  return ChanAccess::adopt(chan);
}

ChanTimer& timer_of(const RecvChan<TimePoint>& chan) noexcept { return *ChanAccess::receiving(chan)->timer; }

}  // namespace

void ChanPolicy::look_at_timer(ChanCore& core) noexcept { core.timer->look_locked(); }
void ChanPolicy::run_timer_for_waiters(ChanCore& core) noexcept { core.timer->run_for_waiters_locked(); }
void ChanPolicy::end_timer(ChanCore& core) noexcept {
  core.timer->end();
  core.timer->~ChanTimer();
}

void FuncTimerRef::ref(FuncTimer* timer) noexcept { timer->ref(); }
void FuncTimerRef::unref(FuncTimer* timer) noexcept { timer->unref(); }

Timer start_func_timer(std::chrono::nanoseconds duration, const TimerFunction& function, void* from,
                       const SourceLocation& where) {
  Timer timer;
  timer.function_ = FuncTimerRef(FuncTimer::make(function, from, where));
  timer.function_.get()->start(func_time_after(duration));
  return timer;
}

}  // namespace detail

Timer::Timer(std::chrono::nanoseconds duration) : chan_(detail::make_timer_chan(detail::time_after(duration), 0)) {}

bool Timer::stop() const {
  if (chan_) return detail::timer_of(chan_).stop();
  if (function_.get() == nullptr) panic("time: Stop called on uninitialized Timer");
  return function_.get()->set(rt::kNever);
}

bool Timer::reset(std::chrono::nanoseconds duration) const {
  if (chan_) return detail::timer_of(chan_).reset(detail::time_after(duration), 0);
  if (function_.get() == nullptr) panic("time: Reset called on uninitialized Timer");
  return function_.get()->set(detail::func_time_after(duration));
}

Ticker::Ticker(std::chrono::nanoseconds period) {
  if (period <= std::chrono::nanoseconds::zero()) panic("non-positive interval for NewTicker");
  chan_ = detail::make_timer_chan(detail::time_after(period), period.count());
}

void Ticker::stop() const {
  if (!chan_) panic("time: Stop called on uninitialized Ticker");
  detail::timer_of(chan_).stop();
}

void Ticker::reset(std::chrono::nanoseconds period) const {
  if (period <= std::chrono::nanoseconds::zero()) panic("non-positive interval for Ticker.Reset");
  if (!chan_) panic("time: Reset called on uninitialized Ticker");
  detail::timer_of(chan_).reset(detail::time_after(period), period.count());
}

RecvChan<TimePoint> after(std::chrono::nanoseconds duration) { return Timer(duration).chan(); }

RecvChan<TimePoint> tick(std::chrono::nanoseconds period) {
  if (period <= std::chrono::nanoseconds::zero()) return {};
  return Ticker(period).chan();
}

}  // namespace weft
