// This header is not part of the API. The templates of weft/chan.h and its neighbours are made of it.
//
// SpinMutex is the lock under the runtime's own structures. It protects a few dozen instructions and is never held over
// a park. The lock blocks the thread, not only the goroutine; goroutines are not preempted while they hold it.
//
//   word_     1 while somebody holds the lock. lock() and try_lock(): compare-and-swap 0 -> 1. unlock(): store of 0.
//
// Waiting. A thread that finds the lock taken looks again after ever more pauses, because each look takes the cache
// line away from the holder. When the holder is not gone then, either the kernel has taken the CPU away from the
// holder, or threads that are faster keep taking the lock. In both cases it is best to leave the CPU and the line alone
// for a while: the thread sleeps, for some 60 us at first and up to a millisecond, and looks again. Nobody wakes it. So
// unlocking is one plain store, and costs the same whoever waits. (A futex was slower: unlocking threads had to look
// for sleepers, and woke the same sleeper a hundred times before it had its CPU.)
//
// Lifetime: after the store, unlock() uses nothing of the mutex. So the next holder may free the mutex.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/thread_annotations.h>

namespace weft::detail {

// What the mutex is made of. tests/model/spin_mutex_test.cc explores the mutex with another policy.
struct SpinMutexPolicy {
  template <typename T>
  using Atomic = std::atomic<T>;

  // A critical section is some dozens of instructions. A holder that runs is done after a few pauses; a holder that
  // does not run is not worth waiting for. There are 1, 2, 4 and so on up to kMostPauses between two looks.
  static constexpr int kMostPauses = 64;

  static void pause() noexcept;
  // Sleeps; the longer, the more often the caller has slept already.
  static void sleep(int slept) noexcept;
};

template <typename Policy>
class WEFT_CAPABILITY("mutex") BasicSpinMutex {
 public:
  BasicSpinMutex() noexcept = default;
  BasicSpinMutex(const BasicSpinMutex&) = delete;
  BasicSpinMutex& operator=(const BasicSpinMutex&) = delete;

  void lock() noexcept WEFT_ACQUIRE() {
    if (!try_lock()) [[unlikely]] {
      lock_slow();
    }
  }
  bool try_lock() noexcept WEFT_TRY_ACQUIRE(true) {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() noexcept WEFT_RELEASE() { word_.store(0, std::memory_order_release); }

 private:
  void lock_slow() noexcept WEFT_ACQUIRE();

  typename Policy::template Atomic<std::uint32_t> word_{0};
};

template <typename Policy>
void BasicSpinMutex<Policy>::lock_slow() noexcept {
  for (int slept = 0;; ++slept) {
    for (int pauses = 1; pauses <= Policy::kMostPauses; pauses *= 2) {
      for (int i = 0; i < pauses; ++i) Policy::pause();
      if (word_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
    }
    Policy::sleep(slept);
  }
}

extern template class BasicSpinMutex<SpinMutexPolicy>;
using SpinMutex = BasicSpinMutex<SpinMutexPolicy>;

}  // namespace weft::detail
