#include "sync/mutex.h"

#include "sync/lock_waiting.h"

namespace weft::detail {

template class BasicMutex<MutexPolicy>;

}  // namespace weft::detail
