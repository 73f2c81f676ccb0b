// All of Go's package sync that weft has.
#pragma once

#include <weft/cond.h>        // IWYU pragma: export
#include <weft/mutex.h>       // IWYU pragma: export
#include <weft/rw_mutex.h>    // IWYU pragma: export
#include <weft/semaphore.h>   // IWYU pragma: export
#include <weft/sharded.h>     // IWYU pragma: export
#include <weft/wait_group.h>  // IWYU pragma: export
