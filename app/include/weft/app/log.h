// Log lines that name their goroutine, through spdlog.
//
//   weft::app::set_up_log({.level = spdlog::level::debug});
//   spdlog::info("order placed id={} items={}", id, items);
//   // 2026-01-02T03:04:05.678Z info [g17] order placed id=4711 items=3
//
// The pattern flag %G is the id of the goroutine that logs, or 0 outside a goroutine. The other flags are spdlog's.
//
// Thread safety: any thread and any goroutine may log, and may call the set-up functions.
// Blocking: a line blocks its thread while it is written. The sink's lock is held only for the write, so no goroutine
// parks while it holds that lock.
#pragma once

#include <memory>
#include <string>

#include <spdlog/spdlog.h>

#include <weft/log.h>

namespace weft::app {

// Time (UTC, milliseconds), level, goroutine, message. Messages end in key=value pairs.
inline constexpr const char* kLogPattern = "%Y-%m-%dT%H:%M:%S.%eZ %l [g%G] %v";

struct LogOptions {
  // Lines below this level are dropped.
  spdlog::level::level_enum level = spdlog::level::info;
  // The line's layout, in spdlog's pattern language with %G added. Empty: a line is the message alone.
  std::string pattern = kLogPattern;
};

// Makes a formatter that knows %G, for loggers with sinks of your own: `sink->set_formatter(make_log_formatter())`.
std::unique_ptr<spdlog::formatter> make_log_formatter(const std::string& pattern = kLogPattern);

// Makes a logger that writes to stderr. It is not registered with spdlog.
std::shared_ptr<spdlog::logger> make_logger(const LogOptions& options = {});

// Returns a sink that writes to `logger`, for RuntimeOptions::log and http::ServerOptions::log. It keeps the logger
// alive.
LogSink log_sink(std::shared_ptr<spdlog::logger> logger);

// Makes a logger as make_logger() does, and makes it spdlog's default logger. spdlog::info() uses that one, and so does
// an App without a logger of its own.
void set_up_log(const LogOptions& options = {});

}  // namespace weft::app
