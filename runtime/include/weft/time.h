// Time for goroutines, on the monotonic clock (Go's package time, with the timers of Go 1.23). Durations are
// std::chrono.
//
//   weft::Ticker ticker(1s);
//   for (const auto t : ticker.chan()) report(t);
//
//   weft::select(weft::on_recv(answers, [&](Answer a) { use(a); }),
//                weft::on_recv(weft::after(200ms), [&] { give_up(); }));
//
// Runtime: timers run while a runtime does; what is armed when it ends never fires, and who waits for a tick while none
// runs waits for ever, unless in a select for something else. In a test's bubble (weft/testing/bubble.h) they live by
// the bubble's clock, and can't be carried in or out: receiving there, or a reset, ends the process with a line that
// says so.
// Precision: never early. A processor that sleeps is woken for the timer, but when timers come thick not more often than
// every half millisecond; one that is busy looks between goroutines.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <weft/chan.h>
#include <weft/source_location.h>
#include <weft/time_point.h>

namespace weft {

// Parks the calling goroutine for at least `duration`; returns at once, without yielding, when it is zero or negative.
// A duration past the end of the clock sleeps for ever. Goroutines only; can't be cancelled.
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
// A handle: copies are the same timer. Thread safety: any goroutine or plain thread, at the same time.
// Lifetime: a timer with a channel lives as long as a handle of the timer or its channel does, and need not be stopped;
// one of after_func() lives until it has fired, even without handles.
// Blocking: none of these calls block; receiving from the channel does.
class Timer {
 public:
  Timer() noexcept = default;  // none: stop and reset throw a Panic

  // Ticks once, `duration` from now; at once when that is zero or negative.
  explicit Timer(std::chrono::nanoseconds duration);

  // Gives the time for which the tick was set, once it has come. It shows neither size nor capacity, and is never closed.
  // The nil channel for a timer of after_func().
  const RecvChan<TimePoint>& chan() const& noexcept { return chan_; }
  RecvChan<TimePoint> chan() && noexcept { return std::move(chan_); }

  // Disarms it. True: it was armed, or its tick had not been received; no receive that starts from now on gets a tick. Of
  // after_func(): the function will not run. False: it had ticked, or was stopped; of after_func(), the function was
  // started, and may still run.
  bool stop() const;

  // Arms it anew for `duration` from now, with what stop() says of the time before. Of after_func(): the function may run
  // beside itself if it runs still.
  bool reset(std::chrono::nanoseconds duration) const;

  friend bool operator==(const Timer&, const Timer&) noexcept = default;

 private:
  friend Timer detail::start_func_timer(std::chrono::nanoseconds, const detail::TimerFunction&, void*,
                                        const SourceLocation&);

  RecvChan<TimePoint> chan_;
  detail::FuncTimerRef function_;
};

// A tick per period (Go's time.Ticker). One tick at most waits to be received: a receiver that is late gets one, without
// delay, and the next when its time comes, on the grid that began with the ticker or its last reset.
//
// A handle, as Timer is. Stopping does not close the channel.
class Ticker {
 public:
  Ticker() noexcept = default;  // none: stop and reset throw a Panic

  // Throws Panic("non-positive interval for NewTicker").
  explicit Ticker(std::chrono::nanoseconds period);

  const RecvChan<TimePoint>& chan() const& noexcept { return chan_; }
  RecvChan<TimePoint> chan() && noexcept { return std::move(chan_); }

  // No tick is received any more, until a reset.
  void stop() const;

  // Starts again, with this period; the first tick comes after one. Throws Panic("non-positive interval for
  // Ticker.Reset").
  void reset(std::chrono::nanoseconds period) const;

  friend bool operator==(const Ticker&, const Ticker&) noexcept = default;

 private:
  RecvChan<TimePoint> chan_;
};

// The channel of a timer, of a ticker: for those who never stop it but by dropping the channel. tick() gives the nil
// channel for a period that is not positive.
[[nodiscard]] RecvChan<TimePoint> after(std::chrono::nanoseconds duration);
[[nodiscard]] RecvChan<TimePoint> tick(std::chrono::nanoseconds period);

// Runs fn() in a goroutine of its own, `duration` from now. The function goes, with what it captures, when it can't run
// any more: it has run or was stopped, and no handle of the timer is left. (One that captures its own timer's handle
// never goes.)
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
