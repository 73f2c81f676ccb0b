// ModelWaiting: the twin of LockWaiting (sync/lock_waiting.h) for the threads of a program. A node's Waiter names its
// thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "model/explorer.h"
#include "runtime/src/sched/park.h"
#include "weft/detail/wait_queue.h"

namespace weft::model {

// The base of programs whose threads wait for locks.
struct LockWaiters {
  Label names{"waiters", {}, "wake-up"};
  std::array<Sleep, kMaxThreads> woken;
  std::array<bool, kMaxThreads> waits{};
};

struct ModelWaiting {
  using Time = int;
  static constexpr rt::WaitReason kLockReason = rt::WaitReason::mutex_lock;
  static constexpr const char* kUnlockOfUnlocked = "sync: unlock of unlocked mutex";

  static inline LockWaiters* waiters = nullptr;  // belongs to the running program
  static inline unsigned impatient = 0;          // a bit for each thread: all its waits are long, or none
  static inline int spins = 0;                   // how often an arriving thread spins
  static inline std::uint64_t hand_overs = 0;    // counted over all executions

  static Time now() noexcept { return 0; }
  static bool is_long_since(Time) noexcept { return (impatient >> this_thread() & 1) != 0; }
  static bool may_spin(int rounds) noexcept { return rounds < spins; }
  static void spin() noexcept {}

  template <typename SpinMutex>
  static void block(weft::detail::WaitNode& node, SpinMutex& held, rt::WaitReason) noexcept {
    const auto self = static_cast<std::size_t>(this_thread());
    node.waiter.key = self + 1;
    waiters->waits[self] = true;
    held.unlock();
    waiters->woken[self].sleep();
    require(!waiters->waits[self], "a wait ends for nothing");
  }
  static void wake(weft::detail::Waiter waiter) noexcept {
    require(waiter.key != 0, "a waker takes out a node whose thread does not wait yet");
    const std::size_t thread = waiter.key - 1;
    require(waiters->waits[thread], "a waiter is woken twice");
    waiters->waits[thread] = false;
    waiters->woken[thread].interrupt();
  }
  static void wake_all(weft::detail::WaitNode* chain) noexcept {
    while (chain != nullptr) {
      weft::detail::WaitNode* const node = chain;
      chain = node->next;
      wake(node->waiter);
    }
  }
  static void wake_owner(weft::detail::Waiter waiter) noexcept {
    ++hand_overs;
    wake(waiter);
  }
};

}  // namespace weft::model
