// Log lines that name their goroutine, through spdlog.
//
//   weft::app::set_up_log({.level = spdlog::level::debug});
//   spdlog::info("order placed id={} items={}", id, items);
//   // 2026-01-02T03:04:05.678Z info [g17] order placed id=4711 items=3
//
// The pattern flag %G is the id of the goroutine that logs, 0 outside one; the other flags are spdlog's.
//
// Thread safety: any thread and any goroutine, the set-up functions too.
// Blocking: a line blocks its thread while it is written. The sink's lock is held for the write alone, so nothing parks
// under it.
#pragma once

#include <memory>
#include <string>

#include <spdlog/spdlog.h>

namespace weft::app {

// Time (UTC, milliseconds), level, goroutine, message; messages end in key=value pairs.
inline constexpr const char* kLogPattern = "%Y-%m-%dT%H:%M:%S.%eZ %l [g%G] %v";

struct LogOptions {
  // Lines below it are dropped.
  spdlog::level::level_enum level = spdlog::level::info;
  // spdlog's pattern language, and %G. Empty: lines of the message alone.
  std::string pattern = kLogPattern;
};

// Knows %G; for loggers with sinks of your own: `sink->set_formatter(make_log_formatter())`.
std::unique_ptr<spdlog::formatter> make_log_formatter(const std::string& pattern = kLogPattern);

// A logger that writes to stderr. It is not registered with spdlog.
std::shared_ptr<spdlog::logger> make_logger(const LogOptions& options = {});

// Makes such a logger spdlog's default one, which spdlog::info() and an App without a logger of its own use.
void set_up_log(const LogOptions& options = {});

}  // namespace weft::app
