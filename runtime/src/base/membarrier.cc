#include "runtime/src/base/membarrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weft::rt {
namespace {

long membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0); }

bool registered() noexcept {
  static const bool done = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
  return done;
}

}  // namespace

void prepare_heavy_barrier() noexcept { static_cast<void>(registered()); }

bool heavy_barrier() noexcept { return registered() && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0; }

}  // namespace weft::rt
