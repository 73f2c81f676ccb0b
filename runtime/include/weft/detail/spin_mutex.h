// Not part of the API: what the templates of weft/chan.h and its neighbours are made of.
//
// SpinMutex: the lock under the runtime's own structures. It protects a few dozen instructions and is never held over a
// park. It spins for a while, then its thread sleeps on a futex, because the kernel may take the CPU away from the
// holder. It is the thread that blocks, not the goroutine; goroutines are not preempted while they hold it.
//
//   word_      1 while somebody holds the lock. lock() and try_lock(): compare-and-swap 0 -> 1. unlock(): store of 0.
//   sleepers_  for all mutexes together, by a hash of the address: threads in the sleeping part of lock_slow()
//
// Sleep against wake. Unlocking is a plain store, because an exchange would double the price of a lock that nobody else
// wants. So there is no barrier between that store and the load behind it, and the processor may make the load first.
// The sleeper pays for both:
//
//   unlock()                                  lock_slow()
//     1. word_ = 0 (release)                    1. sleepers + 1
//     2. read sleepers; not 0: wake one         2. heavy_barrier(): every thread of the process passes a full barrier
//        who sleeps on word_                    3. word_ 0 -> 1: it is ours, sleepers - 1
//                                               4. sleep while word_ is 1, then from 3
//
// A read at 2 that comes after the barrier finds the sleeper counted, and wakes. For one that came before, the store at
// 1 is visible when the barrier returns, and the sleeper finds the word free at 3 or is turned back by the kernel at 4.
// A sleeper stays counted until it has the lock, so whoever overtakes it wakes it again. Where the kernel has no such
// barrier, sleepers look again every millisecond.
//
// Lifetime: after the store unlock() uses nothing of the mutex but its address, which is why the sleepers are counted
// elsewhere. So the next holder may free it. At worst a stranger's futex is woken for nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weft::rt {

class SpinMutex {
 public:
  constexpr SpinMutex() noexcept = default;
  SpinMutex(const SpinMutex&) = delete;
  SpinMutex& operator=(const SpinMutex&) = delete;

  void lock() noexcept {
    if (!try_lock()) [[unlikely]] {
      lock_slow();
    }
  }
  bool try_lock() noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() noexcept {
    const std::atomic<std::uint32_t>& sleepers = sleepers_of(this);
    word_.store(0, std::memory_order_release);
    // seq_cst of the signal fence: the compiler keeps the store before the load; heavy_barrier() sees to the processor.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      wake_one(this);
    }
  }

 private:
  static constexpr std::size_t kBuckets = 64;
  static std::array<std::atomic<std::uint32_t>, kBuckets> sleepers_;

  // Mutexes lie in different cache lines, mostly.
  static std::atomic<std::uint32_t>& sleepers_of(const SpinMutex* mutex) noexcept {
    return sleepers_[reinterpret_cast<std::uintptr_t>(mutex) / 64 % kBuckets];
  }

  void lock_slow() noexcept;
  static void wake_one(const SpinMutex* gone) noexcept;  // uses the address only

  std::atomic<std::uint32_t> word_{0};
};

}  // namespace weft::rt
