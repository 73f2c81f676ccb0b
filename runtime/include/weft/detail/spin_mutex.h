// This header is not part of the API. The templates of weft/chan.h and its neighbours are made of it.
//
// SpinMutex is the lock under the runtime's own structures. It protects a few dozen instructions and is never held over
// a park. A thread that finds the lock taken spins for a while. Then the thread sleeps on a futex, because the kernel
// may have taken the CPU away from the holder. The lock blocks the thread, not only the goroutine; goroutines are not
// preempted while they hold it.
//
//   word_     1 while somebody holds the lock. lock() and try_lock(): compare-and-swap 0 -> 1. unlock(): store of 0.
//   sleepers  how many threads are in the sleeping part of lock_slow(). All mutexes share the counters; a hash of the
//             mutex's address chooses one.
//
// Sleep against wake. Unlocking is a plain store, because an exchange would double the price of a lock that nobody else
// wants. So there is no barrier between that store and the load that follows, and the processor may make the load
// first. The sleeper pays for the barrier of both:
//
//   unlock()                                  lock_slow()
//     1. word_ = 0 (release)                    1. sleepers + 1
//     2. read sleepers; not 0: wake one         2. heavy_barrier(): every thread of the process passes a full barrier
//        who sleeps on word_                    3. word_ 0 -> 1: it is ours, sleepers - 1
//                                               4. sleep while word_ is 1, then from 3
//
// If the read at 2 comes after the barrier, the unlocker finds the sleeper counted and wakes it. If the read came
// before the barrier, the store at 1 is visible when the barrier returns: the sleeper finds the word free at 3, or the
// kernel turns it back at 4. A sleeper stays counted until it has the lock, so whoever overtakes the sleeper wakes it
// again. Where the kernel has no such barrier, sleepers look again every millisecond.
//
// Lifetime: after the store, unlock() uses nothing of the mutex but its address. The sleepers are counted elsewhere for
// this reason. So the next holder may free the mutex; at worst a stranger's futex is woken for nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <weft/thread_annotations.h>

namespace weft::detail {

// What the mutex is made of. tests/model/spin_mutex_test.cc explores the mutex with another policy.
struct SpinMutexPolicy {
  template <typename T>
  using Atomic = std::atomic<T>;

  // A critical section is some dozens of instructions. A holder that runs is done after a few of these turns; a holder
  // that does not run is not worth waiting for.
  static constexpr int kSpins = 60;

  // Most mutexes lie in different cache lines, so a line's number is a good hash.
  static Atomic<std::uint32_t>& sleepers_of(const void* mutex) noexcept {
    return sleepers[reinterpret_cast<std::uintptr_t>(mutex) / 64 % kBuckets];
  }
  // Keeps the compiler from moving memory accesses over this call.
  static void light_barrier() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }
  // Every running thread of this process passes a full memory barrier before this call returns; a thread that does not
  // run passes one when it is switched in. Returns false when the kernel has no such barrier.
  static bool heavy_barrier() noexcept;
  static void pause() noexcept;
  // Sleeps while the word is 1. If wakers do not see the sleeper, sleeps for a millisecond at most.
  static void sleep(const Atomic<std::uint32_t>& word, bool wakers_see_us) noexcept;
  // Wakes one sleeper of the mutex at this address. The mutex may be gone: only the address is used.
  static void wake_one(const void* gone) noexcept;

 private:
  static constexpr std::size_t kBuckets = 64;
  static std::array<Atomic<std::uint32_t>, kBuckets> sleepers;
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
  void unlock() noexcept WEFT_RELEASE() {
    const auto& sleepers = Policy::sleepers_of(this);
    word_.store(0, std::memory_order_release);
    // This keeps the compiler from moving the load before the store; heavy_barrier() keeps the processor from it.
    Policy::light_barrier();
    if (sleepers.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      Policy::wake_one(this);
    }
  }

 private:
  void lock_slow() noexcept WEFT_ACQUIRE();

  typename Policy::template Atomic<std::uint32_t> word_{0};
};

template <typename Policy>
void BasicSpinMutex<Policy>::lock_slow() noexcept {
  for (int i = 0; i < Policy::kSpins; ++i) {
    Policy::pause();
    if (word_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
  }
  auto& counted = Policy::sleepers_of(this);
  counted.fetch_add(1, std::memory_order_relaxed);
  const bool unlockers_see_us = Policy::heavy_barrier();
  while (!try_lock()) Policy::sleep(word_, unlockers_see_us);
  counted.fetch_sub(1, std::memory_order_relaxed);
}

extern template class BasicSpinMutex<SpinMutexPolicy>;
using SpinMutex = BasicSpinMutex<SpinMutexPolicy>;

}  // namespace weft::detail
