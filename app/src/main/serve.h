// `weft serve`.
#pragma once

#include "app/src/main/command_line.h"

namespace weft::program {

// Serves until the app stops. Returns the exit status.
int serve(const ServeCommand& command);

}  // namespace weft::program
