#include "runtime/src/base/log.h"

#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

namespace weft::rt {
namespace {

// It outlives every static destructor: a thread that a runtime left behind may log at any time.
struct Sink {
  std::mutex mutex;  // guards `current`
  std::shared_ptr<const LogSink> current;
};
Sink& sink() {
  static auto* const instance = new Sink;
  return *instance;
}

}  // namespace

void set_log_sink(LogSink new_sink) {
  auto next = new_sink ? std::make_shared<const LogSink>(std::move(new_sink)) : nullptr;
  const std::lock_guard lock(sink().mutex);
  sink().current.swap(next);
}

void log_warning(std::string_view line) noexcept {
  std::shared_ptr<const LogSink> to;
  {
    const std::lock_guard lock(sink().mutex);
    to = sink().current;
  }
  if (to != nullptr) {
    (*to)(LogLevel::warning, line);
  } else {
    static_cast<void>(std::fprintf(stderr, "weft: %.*s\n", static_cast<int>(line.size()), line.data()));
  }
}

}  // namespace weft::rt
