#include "time/timer.h"

#include <mutex>

#include "sched/fatal.h"
#include "sched/machine.h"
#include "sched/fork.h"
#include "sched/scheduler.h"

namespace weft::rt {
namespace {

SpinMutex spare_mutex;

// Guarded by spare_mutex; outlives every static destructor.
std::vector<TimerHeap*>& spare_heaps() {
  static auto* const heaps = new std::vector<TimerHeap*>;
  return *heaps;
}

}  // namespace

RuntimeTimer::~RuntimeTimer() {
  WEFT_CHECK(heap_.load(std::memory_order_relaxed) == nullptr, "an armed timer is destroyed");
}

void RuntimeTimer::start_at(Nanos when) noexcept {
  stop();
  const Pin pin;  // the heap's owner stays awake until it has seen the timer
  TimerHeap& heap = current_timer_heap(pin);
  bool earliest = false;
  last_heap_ = &heap;
  {
    const std::lock_guard lock(heap.mutex_);
    earliest = when < heap.next();
    heap.insert_locked(this, when);
  }
  // Nothing of the timer may be touched from here on: it may have fired.
  if (earliest) timer_moved_ahead(heap, pin);
}

bool RuntimeTimer::stop() noexcept {
  for (;;) {
    TimerHeap* const heap = heap_.load(std::memory_order_acquire);
    if (heap == nullptr) return false;
    const std::lock_guard lock(heap->mutex_);
    if (heap_.load(std::memory_order_relaxed) != heap) continue;
    heap->remove_locked(this);
    return true;
  }
}

void RuntimeTimer::stop_and_wait() noexcept {
  if (stop() || last_heap_ == nullptr) return;
  // Callbacks are short, and run on another thread: ours is not inside one.
  while (last_heap_->firing_.load(std::memory_order_acquire) == this) {
    refuse_in_forked_child("a timer that fired at the fork");
    relax_thread();
  }
}

TimerHeap& TimerHeap::take() {
  const std::lock_guard lock(spare_mutex);
  if (spare_heaps().empty()) return *new TimerHeap;
  TimerHeap* const heap = spare_heaps().back();
  spare_heaps().pop_back();
  return *heap;
}

void TimerHeap::give_back() noexcept {
  {
    const std::lock_guard lock(mutex_);
    while (!entries_.empty()) remove_locked(entries_.back().timer);
  }
  const std::lock_guard lock(spare_mutex);
  spare_heaps().push_back(this);
}

std::size_t TimerHeap::fire_due(Nanos t) noexcept {
  if (next() > t || !fire_mutex_.try_lock()) return 0;
  std::size_t fired = 0;
  for (;;) {
    RuntimeTimer::Callback callback = nullptr;
    void* arg = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (entries_.empty() || entries_.front().when > t) break;
      RuntimeTimer* const timer = entries_.front().timer;
      callback = timer->callback_;
      arg = timer->arg_;
      firing_.store(timer, std::memory_order_relaxed);  // released by the unlock, before stop() can see the timer gone
      remove_locked(timer);
    }
    callback(arg);
    firing_.store(nullptr, std::memory_order_release);
    ++fired;
  }
  fire_mutex_.unlock();
  return fired;
}

std::size_t TimerHeap::size() noexcept {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void TimerHeap::insert_locked(RuntimeTimer* timer, Nanos when) {
  timer->when_ = when;
  timer->heap_.store(this, std::memory_order_release);
  entries_.push_back({when, timer});
  sift_up(entries_.size() - 1, {when, timer});
  publish_next();
}

void TimerHeap::remove_locked(RuntimeTimer* timer) noexcept {
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

void TimerHeap::place(std::size_t index, Entry entry) noexcept {
  entries_[index] = entry;
  entry.timer->index_ = index;
}

void TimerHeap::sift_up(std::size_t index, Entry entry) noexcept {
  while (index > 0) {
    const std::size_t parent = (index - 1) / 4;
    if (entries_[parent].when <= entry.when) break;
    place(index, entries_[parent]);
    index = parent;
  }
  place(index, entry);
}

void TimerHeap::sift_down(std::size_t index, Entry entry) noexcept {
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

void TimerHeap::publish_next() noexcept {
  next_.store(entries_.empty() ? kNever : entries_.front().when, std::memory_order_release);
}

}  // namespace weft::rt
