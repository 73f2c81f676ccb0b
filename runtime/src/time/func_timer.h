// FuncTimer: what after_func(duration, fn) makes.
//
// `when_`, under mutex_, is when the function is to run next; kNever: it is not to run. So whoever sets it to kNever
// first, stop() or the timer that fires, decides.
//
// References: there is one for each handle, one while the timer is in a heap or its callback is on its way
// (GuardedTimer's in_heap), and one for each goroutine that runs the function. The callback runs on a scheduler stack.
// It never drops its reference itself, because the last one ends the function's captures, which may do anything.
// Instead the callback passes the reference on to the goroutine that it starts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "runtime/src/sched/caller_clock.h"
#include "runtime/src/time/guarded_timer.h"
#include "weft/go.h"
#include "weft/time.h"

namespace weft::detail {

class FuncTimer {
 public:
  // Makes a timer with the function that is made of `from`. Throws std::bad_alloc, and what making the function throws.
  static FuncTimer* make(const TimerFunction& function, void* from, const SourceLocation& where) {
    const std::size_t offset = function_offset(function);
    void* const memory = allocate(function, offset + function.size);
    try {
      function.make(static_cast<std::byte*>(memory) + offset, from);
    } catch (...) {
      free(function, memory);
      throw;
    }
    return ::new (memory) FuncTimer(function, where);
  }

  // Starts a new timer, which nobody else has.
  void start(rt::Nanos when) noexcept {
    references_.store(2, std::memory_order_relaxed);  // one is the heap's
    mutex_.lock();
    when_ = when;
    timer_.run_at(when);
    const bool held = timer_.in_heap();
    mutex_.unlock();
    if (!held) references_.store(1, std::memory_order_relaxed);  // no runtime runs
  }

  // Sets the time of the next run, and returns true when the function was still to run.
  bool set(rt::Nanos when) noexcept {
    if (when != rt::kNever) rt::check_caller_clock(clock_);
    mutex_.lock();
    const bool was_pending = std::exchange(when_, when) != rt::kNever;
    const bool armed = timer_.in_heap() || when != rt::kNever;
    if (armed && !timer_.in_heap()) ref();  // before it can fire
    timer_.run_at(when);
    const bool let_go = armed && !timer_.in_heap();
    mutex_.unlock();
    if (let_go) unref();
    return was_pending;
  }

  void ref() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void unref() noexcept {
    if (!drop_reference()) return;
    timer_.end();
    destroy();
  }

 private:
  FuncTimer(const TimerFunction& function, const SourceLocation& where) noexcept : function_(function), where_(where) {}

  // Drops a reference, and returns true when it was the last.
  bool drop_reference() noexcept {
    return references_.load(std::memory_order_acquire) == 1 || references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  void destroy() noexcept {
    const TimerFunction& function = function_;
    function.destroy(captures());
    this->~FuncTimer();
    free(function, this);
  }

  // Returns where the function lies, which is after the timer.
  static std::size_t function_offset(const TimerFunction& function) noexcept {
    return (sizeof(FuncTimer) + function.alignment - 1) / function.alignment * function.alignment;
  }
  static bool over_aligned(const TimerFunction& function) noexcept {
    return function.alignment > __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  }
  static void* allocate(const TimerFunction& function, std::size_t size) {
    if (over_aligned(function)) return ::operator new (size, std::align_val_t{function.alignment});
    return ::operator new(size);
  }
  static void free(const TimerFunction& function, void* memory) noexcept {
    if (over_aligned(function)) return ::operator delete (memory, std::align_val_t{function.alignment});
    ::operator delete(memory);
  }
  void* captures() noexcept { return reinterpret_cast<std::byte*>(this) + function_offset(function_); }

  static void on_fire(void* self, rt::Nanos now) noexcept { static_cast<FuncTimer*>(self)->fire(now); }

  // Called when no runtime will run the timer any more. It does not call unref(), which waits for this call.
  static void on_drop(void* self) noexcept {
    auto* const timer = static_cast<FuncTimer*>(self);
    timer->mutex_.lock();
    timer->timer_.fired();
    timer->when_ = rt::kNever;
    timer->mutex_.unlock();
    if (timer->drop_reference()) timer->destroy();
  }

  void fire(rt::Nanos now) noexcept {
    mutex_.lock();
    timer_.fired();
    const bool due = when_ <= now;
    if (due) when_ = rt::kNever;
    timer_.run_at(when_);
    const bool still_held = timer_.in_heap();
    mutex_.unlock();
    if (still_held) return;
    weft::go(
        [self = FuncTimerRef(this), due] {
          if (due) self.get()->function_.call(self.get()->captures());
        },
        where_);
  }

  rt::SpinMutex mutex_;
  std::atomic<std::uint32_t> references_{1};
  rt::Nanos when_ WEFT_GUARDED_BY(mutex_) = rt::kNever;
  rt::GuardedTimer<rt::TimerPolicy> timer_{&on_fire, &on_drop, this};
  const TimerFunction& function_;  // a constant of its type
  const SourceLocation where_;
  const rt::ClockId clock_ = rt::caller_clock();  // the clock that when_ is a time of
};

}  // namespace weft::detail
