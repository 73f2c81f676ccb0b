// RuntimeTimer and TimerHeap: one 4-ary heap of timers per processor.
//
// A timer is armed on the heap of the processor that runs the caller (a plain thread's goes to the first), and fires there, or on a
// processor that has nothing better to do. Under its heap's lock: heap_, index_, when_ of an armed timer, and the heap itself.
// heap_ is atomic because stop() must find the lock: it locks what it read and looks again.
//
// stop against fire: both take the timer out of the heap under the lock; who does decides. A firing heap shows the timer in `firing_`
// from before the lock is released until the callback returned; stop_and_wait() waits for that. A callback may end the timer's life
// (it wakes the goroutine on whose stack the timer lies), so the heap never touches a timer after calling it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <vector>

#include "sync/spin_mutex.h"
#include "time/clock.h"

namespace weft::rt {

class TimerHeap;

// One-shot, owned by its user, who keeps it in place while it is armed. Any thread, while the runtime runs; one user at a time.
class RuntimeTimer {
 public:
  // Runs on a scheduler stack without locks: it may ready goroutines, start goroutines and (other) timers; it may not park or throw.
  using Callback = void (*)(void* arg) noexcept;

  RuntimeTimer(Callback callback, void* arg) noexcept : callback_(callback), arg_(arg) {}
  ~RuntimeTimer();  // stopped or fired
  RuntimeTimer(const RuntimeTimer&) = delete;
  RuntimeTimer& operator=(const RuntimeTimer&) = delete;

  // Arms it, or moves it if it is armed. A time in the past fires at the next opportunity.
  void start(std::chrono::steady_clock::time_point when) noexcept { start_at(to_nanos(when)); }
  void start_at(Nanos when) noexcept;

  // True: it was armed and will not fire. False: it fired, is firing, or was not armed.
  bool stop() noexcept;

  // After it returns the callback is not running and will not. Not to be called from the callback itself.
  void stop_and_wait() noexcept;

 private:
  friend class TimerHeap;

  const Callback callback_;
  void* const arg_;
  std::atomic<TimerHeap*> heap_{nullptr};  // null unless armed
  TimerHeap* last_heap_ = nullptr;         // where it was armed last; the user's
  std::size_t index_ = 0;
  Nanos when_ = 0;
};

class TimerHeap {
 public:
  // Heaps are handed from runtime to runtime and never freed: a timer may outlive the runtime that it was armed in, and its stop() still
  // looks at the heap. What is armed when a heap is given back never fires.
  static TimerHeap& take();
  void give_back() noexcept;

  TimerHeap() = default;
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;

  // When the earliest timer is due; kNever without one. Any thread, without the lock.
  Nanos next() const noexcept { return next_.load(std::memory_order_acquire); }

  // Fires all that are due at `t`, on the calling machine; returns how many. Another machine may be firing from the same heap.
  std::size_t fire_due(Nanos t) noexcept;

  std::size_t size() noexcept;

 private:
  friend class RuntimeTimer;

  // The children of entry i are 4i+1 .. 4i+4. The due time is copied beside the pointer, so that sifting touches no timer but those it moves.
  struct Entry {
    Nanos when;
    RuntimeTimer* timer;
  };

  void insert_locked(RuntimeTimer* timer, Nanos when);
  void remove_locked(RuntimeTimer* timer) noexcept;
  void place(std::size_t index, Entry entry) noexcept;
  void sift_up(std::size_t index, Entry entry) noexcept;
  void sift_down(std::size_t index, Entry entry) noexcept;
  void publish_next() noexcept;

  SpinMutex mutex_;
  std::vector<Entry> entries_;
  std::atomic<Nanos> next_{kNever};
  SpinMutex fire_mutex_;  // one machine at a time fires from this heap
  std::atomic<const RuntimeTimer*> firing_{nullptr};
};

}  // namespace weft::rt
