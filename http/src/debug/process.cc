#include "http/src/debug/process.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string_view>

namespace weft::http::debug {
namespace {

// Returns the first number in the text; 0 when there is none.
std::size_t first_number(std::string_view text) noexcept {
  std::size_t number = 0;
  const char* const digits = text.data() + std::min(text.find_first_of("0123456789"), text.size());
  std::from_chars(digits, text.data() + text.size(), number);
  return number;
}

}  // namespace

ProcessStatus process_status() {
  ProcessStatus status;
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    const std::string_view text = line;
    // "Threads:\t4", "VmRSS:\t    5104 kB"
    if (text.starts_with("Threads:")) status.threads = first_number(text);
    if (text.starts_with("VmRSS:")) status.rss_bytes = first_number(text) * 1024;
  }
  return status;
}

std::vector<std::string> command_line() {
  std::vector<std::string> arguments;
  std::ifstream file("/proc/self/cmdline");
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

}  // namespace weft::http::debug
