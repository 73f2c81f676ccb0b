// Everything of weft::runtime in one include. The testing support (weft/testing/bubble.h) is not part of it.
#pragma once

#include <weft/chan.h>             // IWYU pragma: export
#include <weft/context.h>          // IWYU pragma: export
#include <weft/debug.h>            // IWYU pragma: export
#include <weft/errgroup.h>         // IWYU pragma: export
#include <weft/error.h>            // IWYU pragma: export
#include <weft/go.h>               // IWYU pragma: export
#include <weft/goroutine_local.h>  // IWYU pragma: export
#include <weft/io/pollable.h>      // IWYU pragma: export
#include <weft/labels.h>           // IWYU pragma: export
#include <weft/log.h>              // IWYU pragma: export
#include <weft/panic.h>            // IWYU pragma: export
#include <weft/select.h>           // IWYU pragma: export
#include <weft/source_location.h>  // IWYU pragma: export
#include <weft/stats.h>            // IWYU pragma: export
#include <weft/sync.h>             // IWYU pragma: export
#include <weft/task_group.h>       // IWYU pragma: export
#include <weft/time.h>             // IWYU pragma: export
