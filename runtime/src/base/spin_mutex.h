// SpinMutex stands among the public headers, because their templates use it inline. Whoever includes this header also
// gets the guards and the annotations for it.
#pragma once

#include "weft/detail/spin_mutex.h"   // IWYU pragma: export
#include "weft/lock_guard.h"          // IWYU pragma: export
#include "weft/thread_annotations.h"  // IWYU pragma: export

namespace weft::rt {
using weft::detail::SpinMutex;
}
