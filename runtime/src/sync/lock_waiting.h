// LockWaiting: how a goroutine or thread waits when it finds a lock taken. It is a policy, for templates that the model
// tests run without a scheduler.
#pragma once

#include <chrono>

#include "runtime/src/base/atomics.h"
#include "runtime/src/sched/park.h"
#include "runtime/src/sync/block.h"
#include "weft/detail/mutex_core.h"
#include "weft/detail/rw_mutex_core.h"
#include "weft/go.h"

namespace weft::detail {

struct LockWaiting {
  using Time = std::chrono::steady_clock::time_point;

  static Time now() noexcept { return std::chrono::steady_clock::now(); }
  // A wait longer than a millisecond turns a mutex to starvation mode.
  static bool is_long_since(Time start) noexcept { return now() - start > std::chrono::milliseconds(1); }

  // An arrival spins this often before it queues, each time for some turns: the holder of a well-used lock is gone
  // sooner than a goroutine is parked. With one processor the holder can't be gone, since it does not run.
  static bool may_spin(int rounds) noexcept { return rounds < 4 && procs() != 1; }
  static void spin() noexcept {
    for (int i = 0; i < 30; ++i) rt::relax_cpu();
  }

  static void block(WaitNode& node, rt::SpinMutex& held, rt::WaitReason reason) noexcept WEFT_RELEASE(held) {
    detail::block(node, held, reason);
  }
  static void wake(Waiter waiter) noexcept { detail::wake(waiter); }
  static void wake_all(WaitNode* chain) noexcept { detail::wake_all(chain); }

  // Wakes the waiter that was handed a lock. A goroutine runs in the caller's place at once; else every hand-over would
  // cost a turn of the run queue.
  static void wake_owner(Waiter waiter) noexcept {
    detail::wake(waiter);
    if (waiter.g != nullptr && rt::on_goroutine()) rt::yield_local();
  }
};

struct MutexWaiting : LockWaiting {
  static constexpr rt::WaitReason kLockReason = rt::WaitReason::mutex_lock;
  static constexpr const char* kUnlockOfUnlocked = "sync: unlock of unlocked mutex";
};

struct RWMutexWaiting : LockWaiting {
  static constexpr rt::WaitReason kLockReason = rt::WaitReason::rwmutex_lock;
  static constexpr const char* kUnlockOfUnlocked = "sync: Unlock of unlocked RWMutex";
};

}  // namespace weft::detail
