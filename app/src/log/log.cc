#include "weft/app/log.h"

#include <string_view>
#include <utility>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "weft/go.h"

namespace weft::app {
namespace {

class GoroutineFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg&, const std::tm&, spdlog::memory_buf_t& line) override {
    const fmt::format_int id(this_goroutine::id());
    line.append(id.data(), id.data() + id.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<GoroutineFlag>(); }
};

}  // namespace

std::unique_ptr<spdlog::formatter> make_log_formatter(const std::string& pattern) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  // An empty pattern would drop the message too.
  formatter->add_flag<GoroutineFlag>('G').set_pattern(pattern.empty() ? "%v" : pattern);
  return formatter;
}

std::shared_ptr<spdlog::logger> make_logger(const LogOptions& options) {
  auto logger = std::make_shared<spdlog::logger>("weft", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(make_log_formatter(options.pattern));
  logger->set_level(options.level);
  return logger;
}

LogSink log_sink(std::shared_ptr<spdlog::logger> logger) {
  return [logger = std::move(logger)](LogLevel level, std::string_view text) {
    const std::string line = one_line(text);
    switch (level) {
      case LogLevel::info:
        return logger->info("{}", line);
      case LogLevel::warning:
        return logger->warn("{}", line);
      case LogLevel::error:
        return logger->error("{}", line);
    }
  };
}

void set_up_log(const LogOptions& options) { spdlog::set_default_logger(make_logger(options)); }

}  // namespace weft::app
