// Mutex: mutual exclusion that blocks the goroutine, not its thread (Go's sync.Mutex).
//
//   weft::Mutex mutex;
//   {
//     const std::lock_guard lock(mutex);                   // any goroutine may hold it over anything that parks
//     ...
//   }
//
// Thread safety: goroutines and plain threads alike. A mutex has no owner: anybody may unlock it. It is Lockable.
// Lifetime: a mutex stays in place while it is in use. It may be destroyed by the goroutine that locked it last, after
// its unlock.
// Blocking: lock() parks the calling goroutine (a plain thread sleeps) until the mutex is free; it can't be cancelled.
// unlock() may give the processor to the next owner.
// Fairness: a woken waiter competes with those who just arrive, and goes back to the front of the queue when it loses.
// If it has waited more than 1 ms by then, the next unlock hands the mutex over to it, and then to those after it in
// the queue, until one of them has waited less or is the last in the queue.
#pragma once

#include <weft/detail/mutex_core.h>

namespace weft {

class Mutex {
 public:
  constexpr Mutex() noexcept = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() noexcept { core_.lock(); }

  // Never waits. Returns false while somebody holds the mutex, or while it is being handed over to somebody.
  bool try_lock() noexcept { return core_.try_lock(); }

  // Unlocking a mutex that nobody holds is the fatal error "sync: unlock of unlocked mutex".
  void unlock() noexcept { core_.unlock(); }

 private:
  detail::BasicMutex<detail::MutexPolicy> core_;
};

}  // namespace weft
