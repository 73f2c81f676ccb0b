// Not part of the API: what the templates of weft/chan.h and its neighbours are made of.
//
// SpinMutex: the lock under the runtime's own structures. It protects a few dozen instructions and is never held over a
// park. It spins for a while, then its thread sleeps on a futex, because the kernel may take the CPU away from the
// holder. It is the thread that blocks, not the goroutine; goroutines are not preempted while they hold it.
//
//   word_      1 while somebody holds the lock. lock() and try_lock(): compare-and-swap 0 -> 1. unlock(): store of 0.
//   sleepers_  for all mutexes together, by a hash of the address: how many threads are in the sleeping part of
//              lock_slow()
//
// Sleep and wake. Unlocking is a plain store, because an exchange would double the price of a lock that nobody else
// wants. So there is no barrier between that store and the load after it, and the processor may make the load first.
// The sleeper pays for both:
//
//   unlock()                                  lock_slow()
//     1. word_ = 0 (release)                    1. sleepers + 1
//     2. read sleepers; not 0: wake one         2. heavy_barrier(): every thread of the process passes a full barrier
//        who sleeps on word_                    3. word_ 0 -> 1: it is ours, sleepers - 1
//                                               4. sleep while word_ is 1, then again from 3
//
// A read at 2 that comes after the barrier finds the sleeper counted, and wakes it. If the read came before the
// barrier, the store at 1 is visible when the barrier returns: then the sleeper finds the word free at 3, or the kernel
// turns it back at 4. A sleeper stays counted until it has the lock, so a thread that overtakes the sleeper wakes it
// again. Where the kernel has no such barrier, sleepers look again every millisecond.
//
// Lifetime: after the store, unlock() uses nothing of the mutex but its address, which is why the sleepers are counted
// elsewhere. So the next holder may free the mutex. At worst, somebody else's futex is woken for nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weft::rt {

// The policy of the mutex; tests/model/spin_mutex_test.cc explores the mutex with another one.
struct SpinMutexPolicy {
  template <typename T>
  using Atomic = std::atomic<T>;

  // A critical section is some dozens of instructions. A holder that runs is done after a few of these turns, and a
  // holder that does not run is not worth waiting for.
  static constexpr int kSpins = 60;

  // Mutexes mostly lie in different cache lines.
  static Atomic<std::uint32_t>& sleepers_of(const void* mutex) noexcept {
    return sleepers[reinterpret_cast<std::uintptr_t>(mutex) / 64 % kBuckets];
  }
  // Keeps the compiler from moving memory accesses over it.
  static void light_barrier() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }
  // Every running thread of this process passes a full memory barrier before this call returns; a thread that does not
  // run passes one when it is switched in. Returns false when the kernel refuses.
  static bool heavy_barrier() noexcept;
  static void pause() noexcept;
  // Sleeps while the word is 1, but only for a millisecond unless wakers see the sleeper.
  static void sleep(const Atomic<std::uint32_t>& word, bool wakers_see_us) noexcept;
  static void wake_one(const void* gone) noexcept;  // uses the address only

 private:
  static constexpr std::size_t kBuckets = 64;
  static std::array<Atomic<std::uint32_t>, kBuckets> sleepers;
};

template <typename Policy>
class BasicSpinMutex {
 public:
  BasicSpinMutex() noexcept = default;
  BasicSpinMutex(const BasicSpinMutex&) = delete;
  BasicSpinMutex& operator=(const BasicSpinMutex&) = delete;

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
    const auto& sleepers = Policy::sleepers_of(this);
    word_.store(0, std::memory_order_release);
    // The compiler keeps the store before the load; heavy_barrier() makes the processor keep that order.
    Policy::light_barrier();
    if (sleepers.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      Policy::wake_one(this);
    }
  }

 private:
  void lock_slow() noexcept;

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

}  // namespace weft::rt
