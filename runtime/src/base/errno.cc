#include "runtime/src/base/errno.h"

#include <cerrno>

namespace weft::rt {

int last_errno() noexcept {
  asm volatile("");  // keeps calls apart
  return errno;
}

void set_errno(int error) noexcept {
  asm volatile("");
  errno = error;
}

}  // namespace weft::rt
