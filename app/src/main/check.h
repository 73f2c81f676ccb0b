// `weft check`: a health check for containers and scripts.
#pragma once

#include "app/src/main/command_line.h"

namespace weft::program {

// Returns the exit status: 0 if and only if the answer is 2xx. Otherwise a line on stderr says what happened.
int check(const CheckCommand& command);

}  // namespace weft::program
