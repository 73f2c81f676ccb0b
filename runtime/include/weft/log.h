// The one shape in which weft's modules tell what an operator should know: a level and a line of text.
//
// RuntimeOptions::log and http::ServerOptions::log take a LogSink. weft::app makes one of a logger (weft/app/log.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace weft {

enum class LogLevel : std::uint8_t { info, warning, error };

// Receives one line, without its end. The text lives until the call returns.
// Thread safety: it is called from any thread and any goroutine, also from several at the same time.
// Lifetime: what it is given to keeps a copy, RuntimeOptions::log until run() returns.
// Blocking: it should not block for long, and it must not wait for a goroutine (a weft::Mutex, a channel). The runtime
// calls it on the thread that watches the scheduler, and meanwhile nobody does.
// It must not throw.
using LogSink = std::function<void(LogLevel level, std::string_view line)>;

// Returns `text` as one line, for logs: line ends, other characters that don't print, and bytes that are not UTF-8 are
// written as in a C++ literal ("\n", "\x1b"). All else is as before. Text that comes from outside, as an exception's
// does, can't begin a line of its own then, nor steer a terminal. Any thread. Throws std::bad_alloc.
std::string one_line(std::string_view text);

}  // namespace weft
