// Not part of the API: what the templates of weft/chan.h and its neighbours are made of.
//
// SpinMutex: the lock under the runtime's own structures. It protects a few dozen instructions and is never held over a park. It
// spins for a while, then its thread sleeps on a futex, because the kernel may take the CPU away from the holder. It is the thread that
// blocks, not the goroutine; goroutines are not preempted while they hold it.
//
//   word_      0  free                           written by the unlocks
//              1  held                           compare-and-swap 0 -> 1 in lock(), try_lock() and while spinning
//              2  held, and a thread may sleep   exchange by sleepers: from 0 it took the lock, from 1 or 2 it sleeps while the word is 2
//   sleepers_  threads in the sleeping part of lock_slow()
//
// A sleeper that is woken can't know whether others sleep, so it takes the lock with 2: the next unlock wakes again.
//
// unlock() exchanges 0 into the word and wakes one thread if it held 2. It touches nothing but the word's address after that, so the
// next holder may free the mutex: at worst a stranger's futex is woken for nothing.
//
// unlock_kept() is for callers whose reference keeps the mutex alive beyond the call. A plain store and a load, half the price of a lock
// on a hot path; without a barrier between the two, so the processor may make the load first. The sleeper pays for both sides:
//
//   unlock_kept()                            lock_slow()
//     1. word_ = 0 (release)                   1. sleepers_ + 1
//     2. read sleepers_; not 0: wake one       2. heavy_barrier(): every thread of the process passes a full barrier
//                                              3. exchange 2 into word_: had it 0, it is ours
//                                              4. sleep while word_ is 2, then from 3
//
// Reads at 2 that come after the barrier find the sleeper counted and wake. For one that came before, the store at 1 is visible when
// the barrier returns, and the sleeper finds the word free at 3. Where the kernel has no such barrier, sleepers look again every
// millisecond.
#pragma once

#include <atomic>
#include <cstdint>

namespace weft::rt {

class SpinMutex {
 public:
  constexpr SpinMutex() noexcept = default;
  SpinMutex(const SpinMutex&) = delete;
  SpinMutex& operator=(const SpinMutex&) = delete;

  void lock() noexcept {
    std::uint32_t free = 0;
    if (!word_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed)) [[unlikely]] {
      lock_slow();
    }
  }
  bool try_lock() noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() noexcept {
    if (word_.exchange(0, std::memory_order_release) == 2) [[unlikely]] wake_one();
  }
  void unlock_kept() noexcept {
    word_.store(0, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler keeps the order; heavy_barrier() sees to the processor
    if (sleepers_.load(std::memory_order_relaxed) != 0) [[unlikely]] wake_one();
  }

 private:
  void lock_slow() noexcept;
  void wake_one() noexcept;

  std::atomic<std::uint32_t> word_{0};
  std::atomic<std::uint32_t> sleepers_{0};
};

}  // namespace weft::rt
