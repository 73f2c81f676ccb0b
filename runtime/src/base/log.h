// The runtime's log lines go to RuntimeOptions::log, or to stderr.
#pragma once

#include <string_view>

#include "weft/log.h"

namespace weft::rt {

// From here on lines go to `sink`; an empty one means stderr. Any thread may call it.
void set_log_sink(LogSink sink);

// Logs `text` as one line, see one_line().
void log_warning(std::string_view text) noexcept;

}  // namespace weft::rt
