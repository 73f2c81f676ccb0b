// What the runtime has to tell goes through RuntimeOptions::log, or to stderr.
#pragma once

#include <string>

namespace weft::rt {

using LogHook = void (*)(const std::string& line);

void set_log_hook(LogHook hook) noexcept;
void log_warning(const std::string& line) noexcept;

}  // namespace weft::rt
