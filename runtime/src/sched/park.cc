#include "runtime/src/sched/park.h"

#include "runtime/src/base/fatal.h"
#include "runtime/src/base/fork.h"
#include "runtime/src/sched/bubble_hooks.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/scheduler.h"

namespace weft::rt {

const char* wait_reason_text(WaitReason reason) noexcept {
  switch (reason) {
    case WaitReason::none:
      return "";
    case WaitReason::chan_receive:
      return "chan receive";
    case WaitReason::chan_send:
      return "chan send";
    case WaitReason::chan_receive_nil:
      return "chan receive (nil chan)";
    case WaitReason::chan_send_nil:
      return "chan send (nil chan)";
    case WaitReason::select:
      return "select";
    case WaitReason::select_no_cases:
      return "select (no cases)";
    case WaitReason::sleep:
      return "sleep";
    case WaitReason::mutex_lock:
      return "sync.Mutex.Lock";
    case WaitReason::rwmutex_rlock:
      return "sync.RWMutex.RLock";
    case WaitReason::rwmutex_lock:
      return "sync.RWMutex.Lock";
    case WaitReason::wait_group_wait:
      return "sync.WaitGroup.Wait";
    case WaitReason::cond_wait:
      return "sync.Cond.Wait";
    case WaitReason::semaphore_acquire:
      return "semaphore.Acquire";
    case WaitReason::semacquire:
      return "semacquire";
    case WaitReason::io_wait:
      return "IO wait";
    case WaitReason::bubble_run:
      return "synctest.Run";
    case WaitReason::bubble_wait:
      return "synctest.Wait";
  }
  return "???";
}

bool on_goroutine() noexcept {
  Machine* const machine = current_machine();
  if (machine == nullptr) {
    refuse_wait_in_forked_child();
    return false;
  }
  return machine->current() != nullptr;
}

Waiter current_waiter() noexcept {
  Machine* const machine = current_machine();
  if (machine == nullptr) {
    refuse_wait_in_forked_child();
    fatal("sleep or I/O outside a goroutine: call it inside weft::run");
  }
  G* const g = machine->current();
  return {g, g->epoch() + 1};
}

void park(CommitFn commit, void* arg, WaitReason reason) noexcept {
  Machine* const machine = current_machine();
  WEFT_CHECK(machine != nullptr, "park on a plain thread");
  park_here(*machine, commit, arg, reason);
}

void park_with_processor(CommitFn commit, void* arg, WaitReason reason) noexcept {
  Machine::enter().park(commit, arg, reason);
}

bool ready(Waiter waiter) noexcept {
  WEFT_DCHECK(waiter.g != nullptr, "a plain thread is woken by detail::wake()");
  G* const g = static_cast<G*>(waiter.g);
  if (!g->try_ready(waiter.key)) return false;
  if (BubbleHooks* const bubble = g->bubble.load(std::memory_order_relaxed); bubble != nullptr) [[unlikely]] {
    if (!bubble->readied(*g)) return true;
  }
  submit(g);
  return true;
}

void submit(G* g) noexcept {
  const Pin pin;
  if (pin.processor() != nullptr) {
    pin.machine()->enqueue(g);
  } else if (const SchedulerUse scheduler; scheduler) {
    scheduler->push_global(g);
  }
}

void yield_local() noexcept {
  if (current_machine() == nullptr) return refuse_wait_in_forked_child();
  Machine::enter().yield(Machine::YieldTo::local_queue);
}

}  // namespace weft::rt
