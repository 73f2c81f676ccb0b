// The one shape in which weft's modules tell what an operator should know: a level and a line of text.
//
// RuntimeOptions::log and http::ServerOptions::log take a LogSink, and weft::app makes one of a logger (weft/app/log.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace weft {

enum class LogLevel : std::uint8_t { info, warning, error };

// Receives one line, without its end. The text lives until the call returns.
// Thread safety: it is called from any thread and any goroutine, also from several at the same time. Blocking: it should not block for long.
// It must not throw.
using LogSink = std::function<void(LogLevel level, std::string_view line)>;

}  // namespace weft
