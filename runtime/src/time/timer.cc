#include "time/timer.h"

#include <mutex>

#include "sched/fork.h"
#include "sched/scheduler.h"
#include "time/bubble.h"

namespace weft::rt {
namespace {

SpinMutex spare_mutex;

// Guarded by spare_mutex; outlives every static destructor.
std::vector<TimerHeap*>& spare_heaps() {
  static auto* const heaps = new std::vector<TimerHeap*>;
  return *heaps;
}

}  // namespace

template class BasicTimer<TimerPolicy>;
template class BasicTimerHeap<TimerPolicy>;

TimerHeap& TimerHeap::take() {
  const std::lock_guard lock(spare_mutex);
  if (spare_heaps().empty()) return *new TimerHeap;
  TimerHeap* const heap = spare_heaps().back();
  spare_heaps().pop_back();
  return *heap;
}

void TimerHeap::give_back() noexcept {
  clear();
  const std::lock_guard lock(spare_mutex);
  spare_heaps().push_back(this);
}

BasicTimerHeap<TimerPolicy>& TimerPolicy::Place::heap() noexcept {
  if (Bubble* const bubble = Bubble::of(pin_.machine()); bubble != nullptr) [[unlikely]] {
    return bubble->timers();
  }
  return current_timer_heap(pin_);
}

void TimerPolicy::Place::moved_ahead(BasicTimerHeap<TimerPolicy>& heap) noexcept {
  timer_moved_ahead(static_cast<TimerHeap&>(heap), pin_);
}

void TimerPolicy::pause_long() noexcept {
  refuse_in_forked_child("a timer that fired at the fork");
  relax_thread();
}

}  // namespace weft::rt
