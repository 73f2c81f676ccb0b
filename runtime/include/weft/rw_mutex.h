// RWMutex: many readers or one writer, blocking the goroutine and not its thread (Go's sync.RWMutex).
//
//   weft::RWMutex mutex;
//   {
//     const weft::SharedLockGuard lock(mutex);             // beside other readers
//     ...
//   }
//   {
//     const weft::LockGuard lock(mutex);                   // alone
//     ...
//   }
//
// Thread safety: goroutines and plain threads may use the lock at the same time. The lock has no owner: it may be
// unlocked by another goroutine than the one that locked it. It is SharedLockable, so that std::shared_lock and
// std::unique_lock take it, too; only LockGuard and SharedLockGuard (weft/lock_guard.h) are checked by clang.
// Lifetime: the lock must stay in place while it is in use. It may be destroyed by whoever held it last, after the
// unlock.
// Blocking: lock() and lock_shared() park the calling goroutine (a plain thread sleeps), and can't be cancelled.
// unlock() may give the processor to the next owner.
// Fairness: a writer that waits keeps new readers out, and runs when the readers before it have left. All readers that
// waited for a writer run before the next writer. Among writers it is as with Mutex.
// Recursion: a goroutine that reads may not lock again, not for reading either: a writer that came in between would
// wait for that goroutine, and the goroutine for the writer. A reader can become a writer, or a writer a reader, only
// by unlocking in between.
#pragma once

#include <weft/detail/rw_mutex_core.h>
#include <weft/lock_guard.h>
#include <weft/thread_annotations.h>

namespace weft {

class WEFT_CAPABILITY("mutex") RWMutex {
 public:
  // The reading side as a lock of its own, for what wants a lock() and an unlock(), such as a Cond. Copies are the same
  // lock. The RWMutex must outlive them. Clang does not connect an RLocker with the RWMutex
  // (weft/thread_annotations.h).
  class RLocker {
   public:
    void lock() const noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS { mutex_->lock_shared(); }
    bool try_lock() const noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS { return mutex_->try_lock_shared(); }
    void unlock() const noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS { mutex_->unlock_shared(); }

   private:
    friend class RWMutex;
    explicit RLocker(RWMutex& mutex) noexcept : mutex_(&mutex) {}
    RWMutex* mutex_;
  };

  constexpr RWMutex() noexcept = default;
  RWMutex(const RWMutex&) = delete;
  RWMutex& operator=(const RWMutex&) = delete;

  void lock() noexcept WEFT_ACQUIRE() { core_.lock(); }

  // Never waits. Returns false while somebody holds the lock, for reading or writing, or is about to have it handed
  // over.
  bool try_lock() noexcept WEFT_TRY_ACQUIRE(true) { return core_.try_lock(); }

  // If nobody holds the lock for writing, the process ends with the fatal error "sync: Unlock of unlocked RWMutex".
  void unlock() noexcept WEFT_RELEASE() { core_.unlock(); }

  // Up to 2^28 - 1 readers may hold the lock or wait for it at the same time.
  void lock_shared() noexcept WEFT_ACQUIRE_SHARED() { core_.lock_shared(); }

  // Never waits. Returns false while a writer holds the lock, or waits for it.
  bool try_lock_shared() noexcept WEFT_TRY_ACQUIRE_SHARED(true) { return core_.try_lock_shared(); }

  // If nobody holds the lock for reading and no reader waits, the process ends with the fatal error "sync: RUnlock of
  // unlocked RWMutex".
  void unlock_shared() noexcept WEFT_RELEASE_SHARED() { core_.unlock_shared(); }

  RLocker r_locker() noexcept { return RLocker(*this); }

 private:
  detail::BasicRWMutex<detail::RWMutexPolicy> core_;
};

}  // namespace weft
