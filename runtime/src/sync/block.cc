// block() and wake(). A goroutine's sleep has park() and ready() (sched/park.h) as its two halves. A thread's sleep
// uses a word on the thread's stack:
//
//   sleeper                                  waker
//   word = 0; waiter = &word; unlock         lock; take the node out; copy the waiter; unlock
//   while (word == 0) futex_wait(word, 0)    word = 1 (release); futex_wake(word)
//
// The kernel compares the word before it sleeps, so a thread does not sleep on a 1 that came first. The sleeper's
// acquire load pairs with the release store. The sleeper may return, and its frame may be gone, before the waker's
// futex_wake: base/futex.h says why that is harmless.
#include "runtime/src/sync/block.h"

#include "runtime/src/base/fork.h"
#include "runtime/src/base/futex.h"
#include "runtime/src/sched/machine.h"

namespace weft::detail {
namespace {

bool unlock_committed(void* lock) noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS {
  static_cast<rt::SpinMutex*>(lock)->unlock();
  return true;
}

// Returns the machine whose goroutine calls; null on a plain thread.
rt::Machine* machine_of_goroutine() noexcept {
  rt::Machine* const machine = rt::current_machine();
  return machine != nullptr && machine->current() != nullptr ? machine : nullptr;
}

// Returns the Waiter for the goroutine's next park.
Waiter next_park(rt::Machine& machine) noexcept { return {machine.current(), machine.current()->epoch() + 1}; }

// The sleep of a plain thread.
class ThreadSleep {
 public:
  ThreadSleep() noexcept { rt::refuse_wait_in_forked_child(); }
  Waiter waiter() noexcept { return {nullptr, reinterpret_cast<std::uintptr_t>(&word_)}; }
  void sleep() noexcept {
    while (word_.load(std::memory_order_acquire) == 0) rt::futex_wait(&word_, 0);
  }

 private:
  std::atomic<std::uint32_t> word_{0};
};

}  // namespace

// For a goroutine park_here() releases the lock, where clang does not see it.
void block(WaitNode& node, rt::SpinMutex& held, rt::WaitReason reason) noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS {
  if (rt::Machine* const machine = machine_of_goroutine()) [[likely]] {
    node.waiter = next_park(*machine);
    rt::park_here(*machine, &unlock_committed, &held, reason);
    return;
  }
  ThreadSleep thread;
  node.waiter = thread.waiter();
  held.unlock();
  thread.sleep();
}

void block(std::span<WaitNode> nodes, rt::CommitFn unlock, void* arg, rt::WaitReason reason) noexcept {
  if (rt::Machine* const machine = machine_of_goroutine()) {
    for (WaitNode& node : nodes) node.waiter = next_park(*machine);
    rt::park_here(*machine, unlock, arg, reason);
    return;
  }
  ThreadSleep thread;
  for (WaitNode& node : nodes) node.waiter = thread.waiter();
  unlock(arg);
  thread.sleep();
}

void block_forever(rt::WaitReason reason) noexcept {
  for (;;) {
    WaitNode nobody_sees_it;
    rt::SpinMutex lock;
    lock.lock();
    block(nobody_sees_it, lock, reason);
  }
}

void wake(Waiter waiter) noexcept {
  if (waiter.g != nullptr) [[likely]] {
    rt::ready(waiter);
    return;
  }
  auto* const word = reinterpret_cast<std::atomic<std::uint32_t>*>(waiter.key);
  word->store(1, std::memory_order_release);
  rt::futex_wake(word, 1);
}

}  // namespace weft::detail
