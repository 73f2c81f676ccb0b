// RWMutex: many readers or one writer, blocking the goroutine and not its thread (Go's sync.RWMutex).
//
//   weft::RWMutex mutex;
//   {
//     const std::shared_lock lock(mutex);                  // beside other readers
//     ...
//   }
//   {
//     const std::unique_lock lock(mutex);                  // alone
//     ...
//   }
//
// Thread safety: goroutines and plain threads alike. The lock has no owner: anybody may unlock it. It is
// SharedLockable.
// Lifetime: the lock stays in place while it is in use. It may be destroyed by whoever held it last, after the unlock.
// Blocking: lock() and lock_shared() park the calling goroutine (a plain thread sleeps); they can't be cancelled.
// unlock() may give the processor to the next owner.
// Fairness: a writer that waits keeps new readers out, and runs when the readers before it have left. All readers that
// waited for a writer run before the next writer. Among writers, fairness is as with Mutex.
// Recursion: a goroutine that reads may not lock again, not for reading either: a writer that came in between waits for
// the goroutine, and the goroutine waits for the writer. A reader can't become a writer, nor a writer a reader, without
// unlocking in between.
#pragma once

#include <weft/detail/rw_mutex_core.h>

namespace weft {

class RWMutex {
 public:
  // The reading side, for code that wants a lock() and an unlock(): std::lock_guard, Cond. It refers to its RWMutex,
  // which must outlive it; copies refer to the same one.
  class RLocker {
   public:
    void lock() const noexcept { mutex_->lock_shared(); }
    bool try_lock() const noexcept { return mutex_->try_lock_shared(); }
    void unlock() const noexcept { mutex_->unlock_shared(); }

   private:
    friend class RWMutex;
    explicit RLocker(RWMutex& mutex) noexcept : mutex_(&mutex) {}
    RWMutex* mutex_;
  };

  constexpr RWMutex() noexcept = default;
  RWMutex(const RWMutex&) = delete;
  RWMutex& operator=(const RWMutex&) = delete;

  void lock() noexcept { core_.lock(); }

  // Never waits. Returns false while somebody holds the lock, for reading or writing, or while it is being handed over.
  bool try_lock() noexcept { return core_.try_lock(); }

  // Unlocking a lock that nobody holds for writing is the fatal error "sync: Unlock of unlocked RWMutex".
  void unlock() noexcept { core_.unlock(); }

  // There may be up to 2^28 - 1 readers at a time, including those that wait.
  void lock_shared() noexcept { core_.lock_shared(); }

  // Never waits. Returns false while a writer holds the lock, or waits for it.
  bool try_lock_shared() noexcept { return core_.try_lock_shared(); }

  // Unlocking a lock that nobody holds for reading is the fatal error "sync: RUnlock of unlocked RWMutex", unless
  // readers wait.
  void unlock_shared() noexcept { core_.unlock_shared(); }

  RLocker r_locker() noexcept { return RLocker(*this); }

 private:
  detail::BasicRWMutex<detail::RWMutexPolicy> core_;
};

}  // namespace weft
