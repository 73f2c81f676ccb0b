// This header is not part of the API. Mutex and RWMutex are made of it.
//
// BasicMutex has the word and the queue of a Mutex, and of an RWMutex's writers. It is a template over what it is made
// of, so that tests/model can explore the interleavings of the same source. runtime/src/sync/mutex.h has the protocol
// and the slow paths.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/spin_mutex.h>
#include <weft/detail/wait_queue.h>
#include <weft/thread_annotations.h>

namespace weft::detail {

struct MutexWaiting;  // runtime/src/sync/lock_waiting.h

struct MutexPolicy {
  template <typename T>
  using Atomic = std::atomic<T>;
  using SpinMutex = detail::SpinMutex;
  using Waiting = MutexWaiting;
};

template <typename Policy>
class BasicRWMutex;

template <typename Policy>
class BasicMutex {
 public:
  constexpr BasicMutex() noexcept = default;
  BasicMutex(const BasicMutex&) = delete;
  BasicMutex& operator=(const BasicMutex&) = delete;

  void lock() noexcept {
    std::uint32_t free = 0;
    if (!word_.compare_exchange_strong(free, kLocked, std::memory_order_acquire, std::memory_order_relaxed))
      lock_slow();
  }

  bool try_lock() noexcept {
    std::uint32_t word = word_.load(std::memory_order_relaxed);
    return (word & (kLocked | kStarving)) == 0 &&
           word_.compare_exchange_strong(word, word | kLocked, std::memory_order_acquire, std::memory_order_relaxed);
  }

  void unlock() noexcept {
    std::uint32_t held = kLocked;
    if (!word_.compare_exchange_strong(held, 0, std::memory_order_release, std::memory_order_relaxed)) unlock_slow();
  }

 private:
  friend class BasicRWMutex<Policy>;

  // Bits of word_. The bits from kUnused on count an RWMutex's readers; in a Mutex they are 0.
  static constexpr std::uint32_t kLocked = 1;
  static constexpr std::uint32_t kWaiters = 2;
  static constexpr std::uint32_t kAwake = 4;
  static constexpr std::uint32_t kStarving = 8;
  static constexpr std::uint32_t kUnused = 16;

  // How lock_slow() came to the mutex: it found the mutex unlocked with this word and locked it, or the mutex was
  // handed over.
  struct Taken {
    std::uint32_t word;
    bool handed_over;
  };
  Taken lock_slow() noexcept;
  // Returns the locked word that it unlocked, or 0 when it handed the mutex over.
  std::uint32_t unlock_slow() noexcept;
  WaitNode& pop_waiter_locked() noexcept WEFT_REQUIRES(queue_mutex_);

  typename Policy::template Atomic<std::uint32_t> word_{0};
  typename Policy::SpinMutex queue_mutex_;
  WaitQueue queue_ WEFT_GUARDED_BY(queue_mutex_);
};

extern template class BasicMutex<MutexPolicy>;

}  // namespace weft::detail
