// Everything of weft::app in one include. It brings spdlog with it.
#pragma once

#include <weft/app/app.h>     // IWYU pragma: export
#include <weft/app/log.h>     // IWYU pragma: export
#include <weft/app/server.h>  // IWYU pragma: export
#include <weft/app/signal.h>  // IWYU pragma: export
