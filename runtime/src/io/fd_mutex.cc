#include "runtime/src/io/fd_mutex.h"

namespace weft::rt {

template class BasicFdSemaphore<FdMutexPolicy>;
template class BasicFdMutex<FdMutexPolicy>;

}  // namespace weft::rt
