// LockGuard and SharedLockGuard: a lock that is held until the end of the scope.
//
//   weft::Mutex mutex;
//   {
//     const weft::LockGuard lock(mutex);                   // held until the closing brace
//     ...
//   }
//
// They do what std::lock_guard and std::shared_lock do, and clang checks what they guard (weft/thread_annotations.h).
//
// Thread safety: a guard belongs to the goroutine, or the plain thread, that made it.
// Lifetime: the lock must outlive the guard.
// Blocking: the constructor blocks as the lock's lock() or lock_shared() does, and can't be cancelled.
#pragma once

#include <weft/thread_annotations.h>

namespace weft {

// Holds a lock alone. Lock is any type with lock() and unlock().
template <typename Lock>
class WEFT_SCOPED_CAPABILITY [[nodiscard]] LockGuard {
 public:
  explicit LockGuard(Lock& lock) WEFT_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  ~LockGuard() WEFT_RELEASE() { lock_.unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Lock& lock_;
};

// Shares a lock with other readers. Lock is any type with lock_shared() and unlock_shared(): RWMutex.
template <typename Lock>
class WEFT_SCOPED_CAPABILITY [[nodiscard]] SharedLockGuard {
 public:
  explicit SharedLockGuard(Lock& lock) WEFT_ACQUIRE_SHARED(lock) : lock_(lock) { lock_.lock_shared(); }
  ~SharedLockGuard() WEFT_RELEASE() { lock_.unlock_shared(); }
  SharedLockGuard(const SharedLockGuard&) = delete;
  SharedLockGuard& operator=(const SharedLockGuard&) = delete;

 private:
  Lock& lock_;
};

}  // namespace weft
