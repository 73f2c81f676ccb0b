#include "runtime/src/sync/rw_mutex.h"

#include "runtime/src/sync/lock_waiting.h"

namespace weft::detail {

template class BasicMutex<RWMutexPolicy>;
template class BasicRWMutex<RWMutexPolicy>;

}  // namespace weft::detail
