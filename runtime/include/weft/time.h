// Time for goroutines, on the monotonic clock (Go's package time, with the timers of Go 1.23). Durations are
// std::chrono.
//
//   weft::Ticker ticker(1s);
//   for (const auto t : ticker.chan()) report(t);
//
//   weft::select(weft::on_recv(answers, [&](Answer a) { use(a); }),
//                weft::on_recv(weft::after(200ms), [&] { give_up(); }));
//
// Runtime: timers run while a runtime does. What is armed when the runtime ends never fires. Whoever waits for a tick
// while none runs waits for ever, unless in a select for something else. In a test's bubble (weft/testing/bubble.h),
// timers live by the bubble's clock, and can't be carried in or out: to receive there, or to reset, ends the process
// with a line that says so.
// Precision: a timer is never early. A processor that sleeps is woken for the timer, but no more often than every half
// millisecond when timers come thick; a processor that is busy looks at them between goroutines.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <weft/chan.h>
#include <weft/panic.h>
#include <weft/source_location.h>
#include <weft/time_point.h>

namespace weft {

// Parks the calling goroutine for at least `duration`. Returns at once, without yielding, when it is zero or negative.
// A duration past the end of the clock sleeps for ever. Goroutines only; it can't be cancelled.
void sleep(std::chrono::nanoseconds duration);

class Timer;

namespace detail {

// A function that runs when its time has come, and may be used again.
class FuncTimer;

class FuncTimerRef {
 public:
  FuncTimerRef() noexcept = default;
  explicit FuncTimerRef(FuncTimer* adopted) noexcept : timer_(adopted) {}
  FuncTimerRef(const FuncTimerRef& other) noexcept : timer_(other.timer_) {
    if (timer_ != nullptr) ref(timer_);
  }
  FuncTimerRef(FuncTimerRef&& other) noexcept : timer_(std::exchange(other.timer_, nullptr)) {}
  FuncTimerRef& operator=(FuncTimerRef other) noexcept {
    std::swap(timer_, other.timer_);
    return *this;
  }
  ~FuncTimerRef() {
    if (timer_ != nullptr) unref(timer_);
  }
  FuncTimer* get() const noexcept { return timer_; }

  friend bool operator==(const FuncTimerRef&, const FuncTimerRef&) noexcept = default;

 private:
  static void ref(FuncTimer* timer) noexcept;
  static void unref(FuncTimer* timer) noexcept;

  FuncTimer* timer_ = nullptr;
};

// The function of an after_func(): what is kept beside the timer, in one allocation, and how it is used.
struct TimerFunction {
  std::size_t size;
  std::size_t alignment;
  void (*make)(void* at, void* from);  // may throw
  void (*call)(void* function);
  void (*destroy)(void* function) noexcept;
};

Timer start_func_timer(std::chrono::nanoseconds duration, const TimerFunction& function, void* from,
                       const SourceLocation& where);

}  // namespace detail

// One event in the future (Go's time.Timer): a tick on its channel, or, from after_func(), a function that is run.
//
// A Timer is a handle: copies are the same timer. Thread safety: any goroutine or plain thread, at the same time.
// Lifetime: a timer with a channel lives as long as a handle of the timer or its channel does, and need not be stopped.
// A timer of after_func() lives until it has fired, even without handles.
// Blocking: none of these calls block; receiving from the channel does.
class Timer {
 public:
  Timer() noexcept = default;  // no timer: stop and reset throw a Panic

  // Makes a timer that ticks once, `duration` from now; at once when that is zero or negative.
  explicit Timer(std::chrono::nanoseconds duration);

  // Returns the channel of the timer. It gives the time for which the tick was set, once that time has come. It shows
  // neither size nor capacity, and is never closed. For a timer of after_func() it is the nil channel.
  const RecvChan<TimePoint>& chan() const& noexcept { return chan_; }
  RecvChan<TimePoint> chan() && noexcept { return std::move(chan_); }

  // Disarms the timer. Returns true when it was armed, or its tick had not been received; no receive that starts from
  // now on gets a tick. Returns false when the timer had ticked, or was stopped. For a timer of after_func(), true
  // means that the function will not run; false, unless the timer was stopped, that it was started, and may still run.
  bool stop() const;

  // Arms the timer anew for `duration` from now, and returns what stop() would say of the time before. For a timer of
  // after_func(), the new run may overlap with one that still goes on.
  bool reset(std::chrono::nanoseconds duration) const;

  friend bool operator==(const Timer&, const Timer&) noexcept = default;

 private:
  friend Timer detail::start_func_timer(std::chrono::nanoseconds, const detail::TimerFunction&, void*,
                                        const SourceLocation&);

  RecvChan<TimePoint> chan_;
  detail::FuncTimerRef function_;
};

// Ticks once per period (Go's time.Ticker). At most one tick waits to be received: a receiver that is late gets one,
// without delay, and the next when its time comes, on the grid that began with the ticker or its last reset.
//
// A Ticker is a handle, as Timer is. Stopping it does not close the channel.
class Ticker {
 public:
  Ticker() noexcept = default;  // no ticker: stop and reset throw a Panic

  // Throws Panic("non-positive interval for NewTicker").
  explicit Ticker(std::chrono::nanoseconds period);

  const RecvChan<TimePoint>& chan() const& noexcept { return chan_; }
  RecvChan<TimePoint> chan() && noexcept { return std::move(chan_); }

  // Stops the ticker: no tick is received any more, until a reset.
  void stop() const;

  // Starts the ticker again, with this period; the first tick comes after one period. Throws Panic("non-positive
  // interval for Ticker.Reset").
  void reset(std::chrono::nanoseconds period) const;

  friend bool operator==(const Ticker&, const Ticker&) noexcept = default;

 private:
  RecvChan<TimePoint> chan_;
};

// Return the channel of a timer and of a ticker, for those who never stop it except by dropping the channel. tick()
// returns the nil channel for a period that is not positive.
[[nodiscard]] RecvChan<TimePoint> after(std::chrono::nanoseconds duration);
[[nodiscard]] RecvChan<TimePoint> tick(std::chrono::nanoseconds period);

// Runs fn() in a goroutine of its own, `duration` from now. The function goes, with what it captures, when it can't run
// any more: when it has run or was stopped, and no handle of the timer is left. (A function that captures its own
// timer's handle never goes.)
template <typename F>
requires std::is_invocable_v < std::decay_t<F>
& > Timer after_func(std::chrono::nanoseconds duration, F&& fn, SourceLocation where = SourceLocation::current()) {
  using Fn = std::decay_t<F>;
  static constexpr detail::TimerFunction kFunction{
      sizeof(Fn), alignof(Fn),
      [](void* at, void* from) { ::new (at) Fn(std::forward<F>(*static_cast<std::remove_reference_t<F>*>(from))); },
      [](void* function) { (*static_cast<Fn*>(function))(); },
      [](void* function) noexcept { static_cast<Fn*>(function)->~Fn(); }};
  auto* const from = const_cast<std::remove_cvref_t<F>*>(std::addressof(fn));
  return detail::start_func_timer(duration, kFunction, from, where);
}

}  // namespace weft
