#include "runtime/src/base/spin_mutex.h"

#include <chrono>
#include <type_traits>

#include "runtime/src/base/atomics.h"
#include "runtime/src/base/fork.h"
#include "runtime/src/base/futex.h"
#include "runtime/src/base/membarrier.h"

namespace weft::detail {
namespace {

constexpr std::chrono::milliseconds kBlindSleep{1};

}  // namespace

template class BasicSpinMutex<SpinMutexPolicy>;

constinit std::array<std::atomic<std::uint32_t>, SpinMutexPolicy::kBuckets> SpinMutexPolicy::sleepers{};

bool SpinMutexPolicy::heavy_barrier() noexcept { return rt::heavy_barrier(); }

void SpinMutexPolicy::pause() noexcept { rt::relax_cpu(); }

void SpinMutexPolicy::sleep(const Atomic<std::uint32_t>& word, bool wakers_see_us) noexcept {
  rt::refuse_in_forked_child("a lock that another thread held at the fork");
  if (wakers_see_us) {
    rt::futex_wait(&word, 1);
  } else {
    rt::futex_wait_for(&word, 1, kBlindSleep);
  }
}

// The word is at the mutex's own address.
void SpinMutexPolicy::wake_one(const void* gone) noexcept {
  static_assert(std::is_standard_layout_v<SpinMutex>);
  rt::futex_wake(static_cast<const std::atomic<std::uint32_t>*>(gone), 1);
}

}  // namespace weft::detail
