#include "sched/fatal.h"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <string>

#include "debug/crash.h"

namespace weft::rt {
namespace {

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
  const std::string text = "panic: " + current_exception_text() + "\n";
  report_crash({.text = text});
}

}  // namespace

void fatal(const char* text) noexcept {
  const std::string line = "fatal error: " + std::string(text) + "\n";
  report_crash({.text = line});
}

void fatal_all(const char* text) noexcept {
  const std::string line = "fatal error: " + std::string(text) + "\n";
  report_crash({.text = line, .all_goroutines = true});
}

void check_failed(const char* file, int line, const char* condition, const char* text) noexcept {
  const std::string first =
      "weft: " + std::string(file) + ":" + std::to_string(line) + ": check failed: " + condition + ": " + text + "\n";
  report_crash({.text = first, .runtime_broken = true, .aborts = true});
}

void install_terminate_handler() noexcept { std::set_terminate(on_terminate); }

}  // namespace weft::rt
