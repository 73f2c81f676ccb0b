// RuntimeTimer and TimerHeap: one 4-ary heap of timers per processor.
//
// A timer is armed on the heap of the processor that runs the caller, and fires there, or, while that processor is
// busy, on one that has nothing better to do. A plain thread's timer goes to the first processor's heap, and a timer of
// a goroutine in a bubble to the bubble's heap (time/bubble.h). The lock of its heap guards heap_, index_ and when_ of
// an armed timer, and the heap itself. heap_ is atomic because stop() must find the lock: stop() locks the heap that it
// read, and looks again.
//
// A stopped timer leaves its heap at once, and not lazily as in Go: the timer may lie on a stack that is about to be
// used for something else, and nothing keeps its memory. The timers that are stopped most, timeouts beside something
// that was ready, are in no heap (time/chan_timer.h).
//
// Stop and fire: both take the timer out of the heap under the lock; whoever does so decides. A firing heap shows the
// timer in `firing_` from before the lock is released until the callback has returned; stop_and_wait() waits for that.
// A callback may end the timer's life (it wakes the goroutine on whose stack the timer lies), so the heap never touches
// a timer after calling its callback.
//
// The classes are templates over atomics, mutex and the choice of a heap, so that tests/model/timer_test.cc can explore
// them.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

#include "runtime/src/base/atomics.h"
#include "runtime/src/base/clock.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/scheduler_use.h"

namespace weft::rt {

template <typename Policy>
class BasicTimerHeap;

// A one-shot timer. Its user owns it, and keeps it in place while it is armed. Any thread may use it while the runtime
// runs; it has one user at a time.
template <typename Policy>
class BasicTimer {
 public:
  // Runs on a scheduler stack without locks: it may ready goroutines, and start goroutines and (other) timers; it may
  // not park or throw. `now` is the time at which the heap was looked at: what is due at that time is due.
  using Callback = void (*)(void* arg, Nanos now) noexcept;
  using Dropped = void (*)(void* arg) noexcept;

  // `dropped` is called in place of the callback, on a plain thread's or a goroutine's stack, when the heap is given
  // back.
  BasicTimer(Callback callback, void* arg, Dropped dropped = nullptr) noexcept
      : callback_(callback), dropped_(dropped), arg_(arg) {}
  ~BasicTimer();  // it is stopped, or has fired
  BasicTimer(const BasicTimer&) = delete;
  BasicTimer& operator=(const BasicTimer&) = delete;

  // Arms the timer, or moves it if it is armed. A time in the past fires at the next opportunity.
  void start(std::chrono::steady_clock::time_point when) noexcept { start_at(to_nanos(when)); }
  void start_at(Nanos when) noexcept;
  // Does the same. Returns false, and does not arm the timer, when no runtime runs.
  bool try_start_at(Nanos when) noexcept;
  // Arms the timer on a heap of the caller's choice, whose owner looks at the heap afterwards.
  void start_in(BasicTimerHeap<Policy>& heap, Nanos when) noexcept;

  // Returns true when the timer was armed and will not fire; false when it fired, is firing, or was not armed.
  bool stop() noexcept;

  // After this returns, the callback is not running and will not run. It must not be called from the callback itself.
  void stop_and_wait() noexcept;

 private:
  using Heap = BasicTimerHeap<Policy>;
  friend Heap;

  // Returns true when the timer is the heap's earliest now. After the call nothing of the timer may be touched: it may
  // have fired.
  bool insert(Heap& heap, Nanos when) noexcept;

  const Callback callback_;
  const Dropped dropped_;  // null: nobody wants to know
  void* const arg_;
  typename Policy::template Atomic<Heap*> heap_{nullptr};  // null unless armed
  Heap* last_heap_ = nullptr;                              // where it was armed last; the user's own
  std::size_t index_ = 0;
  Nanos when_ = 0;
};

template <typename Policy>
class BasicTimerHeap {
 public:
  BasicTimerHeap() = default;
  BasicTimerHeap(const BasicTimerHeap&) = delete;
  BasicTimerHeap& operator=(const BasicTimerHeap&) = delete;

  // Returns when the earliest timer is due; kNever without one. Any thread may call it, without the lock.
  Nanos next() const noexcept { return next_.load(std::memory_order_acquire); }

  // Returns when the one after the earliest is due; kNever without one.
  Nanos second() noexcept;

  // Fires all timers that are due at `t`, on the calling machine, and returns how many. Another machine may be firing
  // from the same heap.
  std::size_t fire_due(Nanos t) noexcept;

  std::size_t size() noexcept;

 protected:
  // Disarms all timers. Nobody fires from the heap any more.
  void clear() noexcept;

 private:
  using Timer = BasicTimer<Policy>;
  using Mutex = typename Policy::Mutex;
  friend Timer;

  // The children of entry i are 4i+1 .. 4i+4. The due time is copied beside the pointer, so that sifting touches no
  // timer but those that it moves.
  struct Entry {
    Nanos when;
    Timer* timer;
  };

  void insert_locked(Timer* timer, Nanos when) WEFT_REQUIRES(mutex_);
  void remove_locked(Timer* timer) noexcept WEFT_REQUIRES(mutex_);
  void place(std::size_t index, Entry entry) noexcept WEFT_REQUIRES(mutex_);
  void sift_up(std::size_t index, Entry entry) noexcept WEFT_REQUIRES(mutex_);
  void sift_down(std::size_t index, Entry entry) noexcept WEFT_REQUIRES(mutex_);
  void publish_next() noexcept WEFT_REQUIRES(mutex_);

  Mutex mutex_;
  std::vector<Entry> entries_ WEFT_GUARDED_BY(mutex_);
  typename Policy::template Atomic<Nanos> next_{kNever};
  Mutex fire_mutex_;  // one machine at a time fires from this heap
  typename Policy::template Atomic<const Timer*> firing_{nullptr};
};

// --- the runtime's own -----------------------------------------------------------------------------------------------

class TimerHeap;

struct TimerPolicy : StdAtomics {
  using Mutex = SpinMutex;

  // The place that a caller's timers go to, for the time of one start(): the heap of its bubble, or of its processor,
  // or, on a thread that has none, of the first processor.
  class Place {
   public:
    Place() noexcept;
    // Returns null when no runtime runs.
    BasicTimerHeap<TimerPolicy>* heap() const noexcept { return heap_; }
    // Tells a sleeping owner that its earliest timer is earlier now.
    void moved_ahead() const noexcept;

   private:
    const Pin pin_;                          // the heap's owner stays awake until it has seen the timer
    std::optional<SchedulerUse> scheduler_;  // or its scheduler stays, when it is not the caller's
    BasicTimerHeap<TimerPolicy>* heap_ = nullptr;
  };

  static void pause_long() noexcept;
};

using RuntimeTimer = BasicTimer<TimerPolicy>;

class TimerHeap : public BasicTimerHeap<TimerPolicy> {
 public:
  // Heaps are handed from runtime to runtime and never freed: a timer may outlive the runtime that it was armed in, and
  // its stop() still looks at the heap. What is armed when a heap is given back never fires.
  static TimerHeap& take();
  void give_back() noexcept;
};

// --- bodies ----------------------------------------------------------------------------------------------------------

template <typename Policy>
BasicTimer<Policy>::~BasicTimer() {
  WEFT_CHECK(heap_.load(std::memory_order_relaxed) == nullptr, "an armed timer is destroyed");
}

template <typename Policy>
void BasicTimer<Policy>::start_at(Nanos when) noexcept {
  WEFT_CHECK(try_start_at(when), "a timer needs a running runtime");
}

template <typename Policy>
bool BasicTimer<Policy>::try_start_at(Nanos when) noexcept {
  stop();
  const typename Policy::Place place;
  Heap* const heap = place.heap();
  if (heap == nullptr) return false;
  if (insert(*heap, when)) place.moved_ahead();
  return true;
}

template <typename Policy>
void BasicTimer<Policy>::start_in(BasicTimerHeap<Policy>& heap, Nanos when) noexcept {
  stop();
  static_cast<void>(insert(heap, when));
}

template <typename Policy>
bool BasicTimer<Policy>::insert(Heap& heap, Nanos when) noexcept {
  last_heap_ = &heap;
  const LockGuard lock(heap.mutex_);
  const bool earliest = when < heap.next();
  heap.insert_locked(this, when);
  return earliest;
}

template <typename Policy>
bool BasicTimer<Policy>::stop() noexcept {
  for (;;) {
    Heap* const heap = heap_.load(std::memory_order_acquire);
    if (heap == nullptr) return false;
    const LockGuard lock(heap->mutex_);
    if (heap_.load(std::memory_order_relaxed) != heap) continue;
    heap->remove_locked(this);
    return true;
  }
}

template <typename Policy>
void BasicTimer<Policy>::stop_and_wait() noexcept {
  if (stop() || last_heap_ == nullptr) return;
  // Callbacks are short, and run on another thread: the caller is not inside one.
  while (last_heap_->firing_.load(std::memory_order_acquire) == this) Policy::pause_long();
}

template <typename Policy>
std::size_t BasicTimerHeap<Policy>::fire_due(Nanos t) noexcept {
  if (next() > t || !fire_mutex_.try_lock()) return 0;
  std::size_t fired = 0;
  for (;;) {
    typename Timer::Callback callback = nullptr;
    void* arg = nullptr;
    {
      const LockGuard lock(mutex_);
      if (entries_.empty() || entries_.front().when > t) break;
      Timer* const timer = entries_.front().timer;
      callback = timer->callback_;
      arg = timer->arg_;
      firing_.store(timer, std::memory_order_relaxed);  // released together with heap_ = null, which stop() acquires
      remove_locked(timer);
    }
    callback(arg, t);
    firing_.store(nullptr, std::memory_order_release);
    ++fired;
  }
  fire_mutex_.unlock();
  return fired;
}

template <typename Policy>
Nanos BasicTimerHeap<Policy>::second() noexcept {
  const LockGuard lock(mutex_);
  Nanos least = kNever;
  for (std::size_t i = 1; i < 5 && i < entries_.size(); ++i) least = std::min(least, entries_[i].when);
  return least;
}

template <typename Policy>
std::size_t BasicTimerHeap<Policy>::size() noexcept {
  const LockGuard lock(mutex_);
  return entries_.size();
}

template <typename Policy>
void BasicTimerHeap<Policy>::insert_locked(Timer* timer, Nanos when) {
  timer->when_ = when;
  timer->heap_.store(this, std::memory_order_release);
  entries_.push_back({when, timer});
  sift_up(entries_.size() - 1, {when, timer});
  publish_next();
}

template <typename Policy>
void BasicTimerHeap<Policy>::remove_locked(Timer* timer) noexcept {
  const std::size_t index = timer->index_;
  WEFT_CHECK(index < entries_.size() && entries_[index].timer == timer, "timer heap index out of step");
  const Entry last = entries_.back();
  entries_.pop_back();
  if (last.timer != timer) {
    if (index > 0 && last.when < entries_[(index - 1) / 4].when) {
      sift_up(index, last);
    } else {
      sift_down(index, last);
    }
  }
  timer->heap_.store(nullptr, std::memory_order_release);
  publish_next();
}

template <typename Policy>
void BasicTimerHeap<Policy>::place(std::size_t index, Entry entry) noexcept {
  entries_[index] = entry;
  entry.timer->index_ = index;
}

template <typename Policy>
void BasicTimerHeap<Policy>::sift_up(std::size_t index, Entry entry) noexcept {
  while (index > 0) {
    const std::size_t parent = (index - 1) / 4;
    if (entries_[parent].when <= entry.when) break;
    place(index, entries_[parent]);
    index = parent;
  }
  place(index, entry);
}

template <typename Policy>
void BasicTimerHeap<Policy>::sift_down(std::size_t index, Entry entry) noexcept {
  const std::size_t n = entries_.size();
  for (;;) {
    const std::size_t first = 4 * index + 1;
    if (first >= n) break;
    std::size_t least = first;
    for (std::size_t child = first + 1; child < first + 4 && child < n; ++child) {
      if (entries_[child].when < entries_[least].when) least = child;
    }
    if (entries_[least].when >= entry.when) break;
    place(index, entries_[least]);
    index = least;
  }
  place(index, entry);
}

template <typename Policy>
void BasicTimerHeap<Policy>::publish_next() noexcept {
  next_.store(entries_.empty() ? kNever : entries_.front().when, std::memory_order_release);
}

template <typename Policy>
void BasicTimerHeap<Policy>::clear() noexcept {
  for (;;) {
    typename Timer::Dropped dropped = nullptr;
    void* arg = nullptr;
    {
      const LockGuard lock(mutex_);
      if (entries_.empty()) return;
      Timer* const timer = entries_.back().timer;
      dropped = timer->dropped_;
      arg = timer->arg_;
      firing_.store(timer, std::memory_order_relaxed);  // as in fire_due()
      remove_locked(timer);
    }
    if (dropped != nullptr) dropped(arg);
    firing_.store(nullptr, std::memory_order_release);
  }
}

extern template class BasicTimer<TimerPolicy>;
extern template class BasicTimerHeap<TimerPolicy>;

}  // namespace weft::rt
