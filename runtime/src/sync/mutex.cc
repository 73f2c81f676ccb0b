#include "runtime/src/sync/mutex.h"

#include "runtime/src/sync/lock_waiting.h"

namespace weft::detail {

template class BasicMutex<MutexPolicy>;

}  // namespace weft::detail
