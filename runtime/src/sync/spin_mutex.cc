#include "sync/spin_mutex.h"

#include <chrono>
#include <type_traits>

#include "sched/fork.h"
#include "sync/futex.h"
#include "sync/membarrier.h"

namespace weft::rt {
namespace {

// A critical section is some dozens of instructions: a holder that runs is done after a few of these turns, and one
// that does not run is not worth waiting for.
constexpr int kSpins = 60;

constexpr std::chrono::milliseconds kBlindSleep{1};

}  // namespace

constinit std::array<std::atomic<std::uint32_t>, SpinMutex::kBuckets> SpinMutex::sleepers_{};

void SpinMutex::lock_slow() noexcept {
  for (int i = 0; i < kSpins; ++i) {
    spin_pause();
    if (word_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
  }
  refuse_in_forked_child("a lock that another thread held at the fork");
  std::atomic<std::uint32_t>& counted = sleepers_of(this);
  counted.fetch_add(1, std::memory_order_relaxed);
  const bool unlockers_see_us = heavy_barrier();
  while (!try_lock()) {
    if (unlockers_see_us) {
      futex_wait(&word_, 1);
    } else {
      futex_wait_for(&word_, 1, kBlindSleep);
    }
  }
  counted.fetch_sub(1, std::memory_order_relaxed);
}

// word_ is at the mutex's own address.
void SpinMutex::wake_one(const SpinMutex* gone) noexcept {
  static_assert(std::is_standard_layout_v<SpinMutex>);
  futex_wake(reinterpret_cast<const std::atomic<std::uint32_t>*>(gone), 1);
}

}  // namespace weft::rt
