// All of Go's package sync that weft has.
#pragma once

#include <weft/atomic_value.h>    // IWYU pragma: export
#include <weft/concurrent_map.h>  // IWYU pragma: export
#include <weft/cond.h>            // IWYU pragma: export
#include <weft/lock_guard.h>      // IWYU pragma: export
#include <weft/mutex.h>           // IWYU pragma: export
#include <weft/once.h>            // IWYU pragma: export
#include <weft/pool.h>            // IWYU pragma: export
#include <weft/rw_mutex.h>        // IWYU pragma: export
#include <weft/semaphore.h>       // IWYU pragma: export
#include <weft/sharded.h>         // IWYU pragma: export
#include <weft/single_flight.h>   // IWYU pragma: export
#include <weft/wait_group.h>      // IWYU pragma: export
