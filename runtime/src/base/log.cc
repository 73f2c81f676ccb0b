#include "runtime/src/base/log.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include <fmt/format.h>

namespace weft {

namespace {

bool is_plain(char c) noexcept { return c >= ' ' && c <= '~'; }

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  while (!text.empty()) {
    // Plain text goes past fmt, which escapes quotes and backslashes, too.
    const auto plain = static_cast<std::size_t>(std::ranges::find_if_not(text, is_plain) - text.begin());
    line += text.substr(0, plain);
    text.remove_prefix(plain);
    const auto other = static_cast<std::size_t>(std::ranges::find_if(text, is_plain) - text.begin());
    const std::string escaped = fmt::format("{:?}", text.substr(0, other));
    line.append(escaped, 1, escaped.size() - 2);  // without its quotes
    text.remove_prefix(other);
  }
  return line;
}

}  // namespace weft

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

void log_warning(std::string_view text) noexcept {
  std::shared_ptr<const LogSink> to;
  {
    const std::lock_guard lock(sink().mutex);
    to = sink().current;
  }
  std::string escaped;
  std::string_view line = text;
  if (!std::ranges::all_of(text, is_plain)) {
    try {
      line = escaped = one_line(text);
    } catch (const std::bad_alloc&) {
      line = "a line of the log is lost for want of memory";
    }
  }
  if (to != nullptr) {
    (*to)(LogLevel::warning, line);
  } else {
    static_cast<void>(std::fprintf(stderr, "weft: %.*s\n", static_cast<int>(line.size()), line.data()));
  }
}

}  // namespace weft::rt
