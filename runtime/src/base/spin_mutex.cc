#include "runtime/src/base/spin_mutex.h"

#include <time.h>

#include <algorithm>

#include "runtime/src/base/atomics.h"
#include "runtime/src/base/fork.h"

namespace weft::detail {
namespace {

// The kernel adds its timer slack to these, which is 50 us.
constexpr long kFirstSleepNanoseconds = 10'000;
constexpr int kDoublings = 7;

}  // namespace

template class BasicSpinMutex<SpinMutexPolicy>;

void SpinMutexPolicy::pause() noexcept { rt::relax_cpu(); }

void SpinMutexPolicy::sleep(int slept) noexcept {
  rt::refuse_in_forked_child("a lock that another thread held at the fork");
  const timespec time{0, kFirstSleepNanoseconds << std::min(slept, kDoublings)};
  ::nanosleep(&time, nullptr);
}

}  // namespace weft::detail
