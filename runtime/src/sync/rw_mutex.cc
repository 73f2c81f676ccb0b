#include "sync/rw_mutex.h"

#include "sync/lock_waiting.h"

namespace weft::detail {

template class BasicMutex<RWMutexPolicy>;
template class BasicRWMutex<RWMutexPolicy>;

}  // namespace weft::detail
