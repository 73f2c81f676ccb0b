// Mutex: mutual exclusion that blocks the goroutine, not its thread (Go's sync.Mutex).
//
//   weft::Mutex mutex;
//   {
//     const weft::LockGuard lock(mutex);                   // a goroutine may hold it over anything that parks
//     ...
//   }
//
// Thread safety: goroutines and plain threads may use a mutex at the same time. A mutex has no owner: it may be
// unlocked by another goroutine than the one that locked it. It is Lockable, so that std::lock_guard and
// std::unique_lock take it, too; only LockGuard (weft/lock_guard.h) is checked by clang.
// Lifetime: a mutex must stay in place while it is in use. It may be destroyed by the goroutine that locked it last,
// after its unlock.
// Blocking: lock() parks the calling goroutine (a plain thread sleeps) until the mutex is free, and can't be cancelled.
// unlock() may give the processor to the next owner.
// Fairness: a woken waiter competes with those who just arrive, and goes back to the front of the queue when it loses.
// If it has waited more than 1 ms by then, the next unlock hands the mutex over to it. From then on each unlock hands
// the mutex over to the next in the queue, until one of them has waited less or is the last in the queue.
#pragma once

#include <weft/detail/mutex_core.h>
#include <weft/lock_guard.h>
#include <weft/thread_annotations.h>

namespace weft {

class WEFT_CAPABILITY("mutex") Mutex {
 public:
  constexpr Mutex() noexcept = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() noexcept WEFT_ACQUIRE() { core_.lock(); }

  // Never waits. Returns false while somebody holds the mutex, or is about to have it handed over.
  bool try_lock() noexcept WEFT_TRY_ACQUIRE(true) { return core_.try_lock(); }

  // If nobody holds the mutex, the process ends with the fatal error "sync: unlock of unlocked mutex".
  void unlock() noexcept WEFT_RELEASE() { core_.unlock(); }

 private:
  detail::BasicMutex<detail::MutexPolicy> core_;
};

}  // namespace weft
