#include "sched/fatal.h"

#include <cxxabi.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "weft/go.h"

namespace weft::rt {
namespace {

// One write, so that reports of several threads do not mix.
void report(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string goroutine_header() {
  const std::uint64_t id = this_goroutine::id();
  return id == 0 ? std::string("\nplain thread\n") : "\ngoroutine " + std::to_string(id) + " [running]:\n";
}

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

[[noreturn]] void on_terminate() noexcept {
  report("panic: " + current_exception_text() + "\n" + goroutine_header());
  ::_exit(2);
}

}  // namespace

void fatal(const char* text) noexcept {
  report("fatal error: " + std::string(text) + "\n" + goroutine_header());
  ::_exit(2);
}

void fatal_all(const char* text) noexcept {
  std::string all;
  for (const GoroutineInfo& g : goroutines())
    all += "\ngoroutine " + std::to_string(g.id) + " [" + g.wait_reason + "]:\n";
  report("fatal error: " + std::string(text) + "\n" + all);
  ::_exit(2);
}

void check_failed(const char* file, int line, const char* condition, const char* text) noexcept {
  report("weft: " + std::string(file) + ":" + std::to_string(line) + ": check failed: " + condition + ": " + text +
         "\n" + goroutine_header());
  std::abort();
}

void install_terminate_handler() noexcept { std::set_terminate(on_terminate); }

}  // namespace weft::rt
