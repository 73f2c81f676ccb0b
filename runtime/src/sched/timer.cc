#include "runtime/src/sched/timer.h"

#include "runtime/src/base/fork.h"
#include "runtime/src/sched/bubble_hooks.h"
#include "runtime/src/sched/scheduler.h"

namespace weft::rt {
namespace {

SpinMutex spare_mutex;

// The heaps that no processor has. They are guarded by spare_mutex and outlive every static destructor.
std::vector<TimerHeap*>& spare_heaps() WEFT_REQUIRES(spare_mutex) {
  static auto* const heaps = new std::vector<TimerHeap*>;
  return *heaps;
}

}  // namespace

template class BasicTimer<TimerPolicy>;
template class BasicTimerHeap<TimerPolicy>;

TimerHeap& TimerHeap::take() {
  const LockGuard lock(spare_mutex);
  if (spare_heaps().empty()) return *new TimerHeap;
  TimerHeap* const heap = spare_heaps().back();
  spare_heaps().pop_back();
  return *heap;
}

void TimerHeap::give_back() noexcept {
  clear();
  const LockGuard lock(spare_mutex);
  spare_heaps().push_back(this);
}

TimerPolicy::Place::Place() noexcept {
  if (BubbleHooks* const bubble = bubble_of(pin_.machine()); bubble != nullptr) [[unlikely]] {
    heap_ = &bubble->timers();
  } else if (pin_.processor() != nullptr) {
    heap_ = &pin_.processor()->timers;
  } else if (scheduler_.emplace(); *scheduler_) {
    heap_ = &(*scheduler_)->processors().front()->timers;
  }
}

// The heap's owner looks at the heap before it sleeps. When the caller is not the owner, the owner's sleep must be
// broken.
void TimerPolicy::Place::moved_ahead() const noexcept {
  if (scheduler_ && *scheduler_) (*scheduler_)->processors().front()->poller->interrupt();
}

void TimerPolicy::pause_long() noexcept {
  refuse_in_forked_child("a timer that fired at the fork");
  relax_thread();
}

}  // namespace weft::rt
