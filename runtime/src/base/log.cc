#include "runtime/src/base/log.h"

#include <atomic>
#include <cstdio>

namespace weft::rt {
namespace {

std::atomic<LogHook> log_hook{nullptr};

}  // namespace

void set_log_hook(LogHook hook) noexcept { log_hook.store(hook, std::memory_order_release); }

void log_warning(const std::string& line) noexcept {
  if (const LogHook hook = log_hook.load(std::memory_order_acquire)) {
    hook(line);
  } else {
    static_cast<void>(std::fprintf(stderr, "weft: %s\n", line.c_str()));
  }
}

}  // namespace weft::rt
