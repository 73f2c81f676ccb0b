#include "sync/spin_mutex.h"

#include <chrono>

#include <linux/membarrier.h>

#include "sync/futex.h"

namespace weft::rt {
namespace {

// A critical section is some dozens of instructions: a holder that runs is done after a few of these turns, and one that does not run
// is not worth waiting for.
constexpr int kSpins = 60;

constexpr std::chrono::milliseconds kBlindSleep{1};

long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

// Every running thread of this process passes a full memory barrier before it returns; those that don't run pass one when they are
// switched in. False when the kernel won't.
bool heavy_barrier() noexcept {
  static const bool registered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
  return registered && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

}  // namespace

void SpinMutex::lock_slow() noexcept {
  for (int i = 0; i < kSpins; ++i) {
    spin_pause();
    std::uint32_t free = word_.load(std::memory_order_relaxed);
    if (free == 0 && word_.compare_exchange_weak(free, 1, std::memory_order_acquire, std::memory_order_relaxed)) return;
  }
  sleepers_.fetch_add(1, std::memory_order_relaxed);
  const bool unlockers_see_us = heavy_barrier();
  while (word_.exchange(2, std::memory_order_acquire) != 0) {
    if (unlockers_see_us) {
      futex_wait(&word_, 2);
    } else {
      futex_wait_for(&word_, 2, kBlindSleep);
    }
  }
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

void SpinMutex::wake_one() noexcept { futex_wake(&word_, 1); }

}  // namespace weft::rt
