// SpinMutex lies with the public headers, whose templates use it inline.
#pragma once

#include "weft/detail/spin_mutex.h"  // IWYU pragma: export
