// Mutex: mutual exclusion that blocks the goroutine, not its thread (Go's sync.Mutex).
//
//   weft::Mutex mutex;
//   {
//     const std::lock_guard lock(mutex);                   // any goroutine may hold it over anything that parks
//     ...
//   }
//
// Thread safety: goroutines and plain threads alike. A mutex has no owner: whoever unlocks it unlocks it. It is
// Lockable.
// Lifetime: stays in place while in use. It may be destroyed by the goroutine that locked it last, after its unlock.
// Blocking: lock() parks the calling goroutine (a plain thread sleeps) until the mutex is free; it can't be cancelled.
// unlock() may give the processor to the next owner.
// Fairness: a woken waiter competes with those who just arrive, and goes back to the front of the queue when it loses.
// One that waited more than 1 ms gets the mutex handed over by the next unlock, and so do all behind it until one
// waited less.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/spin_mutex.h>
#include <weft/detail/wait_queue.h>

namespace weft {

class Mutex {
 public:
  constexpr Mutex() noexcept = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() noexcept {
    std::uint32_t free = 0;
    if (!word_.compare_exchange_strong(free, kLocked, std::memory_order_acquire, std::memory_order_relaxed))
      lock_slow();
  }

  // Never waits. False while somebody holds the mutex, or is about to have it handed over.
  bool try_lock() noexcept {
    std::uint32_t word = word_.load(std::memory_order_relaxed);
    return (word & (kLocked | kStarving)) == 0 &&
           word_.compare_exchange_strong(word, word | kLocked, std::memory_order_acquire, std::memory_order_relaxed);
  }

  // Of a mutex that nobody holds: fatal error "sync: unlock of unlocked mutex".
  void unlock() noexcept {
    std::uint32_t held = kLocked;
    if (!word_.compare_exchange_strong(held, 0, std::memory_order_release, std::memory_order_relaxed)) unlock_slow();
  }

 private:
  // Bits of word_; sync/mutex.cc has the protocol.
  static constexpr std::uint32_t kLocked = 1;
  static constexpr std::uint32_t kWaiters = 2;
  static constexpr std::uint32_t kAwake = 4;
  static constexpr std::uint32_t kStarving = 8;

  void lock_slow() noexcept;
  void unlock_slow() noexcept;
  detail::WaitNode& pop_waiter_locked() noexcept;

  std::atomic<std::uint32_t> word_{0};
  rt::SpinMutex queue_mutex_;
  detail::WaitQueue queue_;
};

}  // namespace weft
