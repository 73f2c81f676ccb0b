#include "sync/spin_mutex.h"

#include <chrono>
#include <type_traits>

#include <linux/membarrier.h>

#include "sync/futex.h"

namespace weft::rt {
namespace {

constexpr std::chrono::milliseconds kBlindSleep{1};

long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

template class BasicSpinMutex<SpinMutexPolicy>;

constinit std::array<std::atomic<std::uint32_t>, SpinMutexPolicy::kBuckets> SpinMutexPolicy::sleepers{};

bool SpinMutexPolicy::heavy_barrier() noexcept {
  static const bool registered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
  return registered && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

void SpinMutexPolicy::pause() noexcept { spin_pause(); }

void SpinMutexPolicy::sleep(const Atomic<std::uint32_t>& word, bool wakers_see_us) noexcept {
  if (wakers_see_us) {
    futex_wait(&word, 1);
  } else {
    futex_wait_for(&word, 1, kBlindSleep);
  }
}

// The word is at the mutex's own address.
void SpinMutexPolicy::wake_one(const void* gone) noexcept {
  static_assert(std::is_standard_layout_v<SpinMutex>);
  futex_wake(static_cast<const std::atomic<std::uint32_t>*>(gone), 1);
}

}  // namespace weft::rt
