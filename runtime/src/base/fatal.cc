#include "runtime/src/base/fatal.h"

#include <cxxabi.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "weft/log.h"

namespace weft::rt {

std::string type_name(const std::type_info& type) {
  int status = 0;
  char* const demangled = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string name = status == 0 ? demangled : type.name();
  std::free(demangled);
  return name;
}

std::string current_exception_text() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "terminate called without an exception";
  try {
    throw;
  } catch (const std::exception& e) {
    return type_name(*type) + ": " + e.what();
  } catch (const char* text) {
    return text;
  } catch (const std::string& text) {
    return text;
  } catch (...) {
    return "exception of type " + type_name(*type);
  }
}

namespace {

void report_text_alone(const Crash& crash) noexcept {
  static_cast<void>(::write(STDERR_FILENO, crash.text.data(), crash.text.size()));
  if (crash.aborts) std::abort();
  ::_exit(kFailureStatus);
}

// It is written before main(), and read by threads that start later.
constinit std::atomic<CrashReporter> crash_reporter{&report_text_alone};

// Returns the text so that none of its lines looks like one of the report: each but the first begins with a tab, as Go
// has it.
std::string indented(std::string_view text) {
  std::string result;
  for (;;) {
    const std::size_t end = text.find('\n');
    result += one_line(text.substr(0, end));
    if (end == std::string_view::npos) return result;
    result += "\n\t";
    text.remove_prefix(end + 1);
  }
}

[[noreturn]] void on_terminate() noexcept {
  std::string text;
  try {
    text = "panic: " + indented(current_exception_text()) + "\n";
  } catch (const std::bad_alloc&) {
    report_crash({.text = "panic: out of memory\n"});
  }
  report_crash({.text = text});
}

// The runtime's own lines are short; they must come out even when there is no memory.
struct Line {
  template <typename... Parts>
  explicit Line(const char* format, Parts... parts) noexcept {
    static_cast<void>(std::snprintf(text, sizeof(text), format, parts...));
  }
  char text[512];
};

}  // namespace

void set_crash_reporter(CrashReporter reporter) noexcept { crash_reporter.store(reporter, std::memory_order_release); }

void report_crash(const Crash& crash) noexcept {
  crash_reporter.load(std::memory_order_acquire)(crash);
  __builtin_unreachable();
}

void fatal(const char* text) noexcept {
  const Line line("fatal error: %s\n", text);
  report_crash({.text = line.text});
}

void fatal_all(const char* text) noexcept {
  const Line line("fatal error: %s\n", text);
  report_crash({.text = line.text, .all_goroutines = true});
}

void check_failed(const char* file, int line, const char* condition, const char* text) noexcept {
  const Line first("weft: %s:%d: check failed: %s: %s\n", file, line, condition, text);
  report_crash({.text = first.text, .runtime_broken = true, .aborts = true});
}

void install_terminate_handler() noexcept { std::set_terminate(on_terminate); }

}  // namespace weft::rt
