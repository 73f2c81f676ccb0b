#include "http/src/debug/process.h"

#include <fstream>
#include <string_view>

namespace weft::http::debug {

ProcessStatus process_status() {
  ProcessStatus status;
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    const std::string_view text = line;
    // "Threads:\t4", "VmRSS:\t    5104 kB"
    if (text.starts_with("Threads:")) status.threads = std::stoul(line.substr(line.find(':') + 1));
    if (text.starts_with("VmRSS:")) status.rss_bytes = std::stoul(line.substr(line.find(':') + 1)) * 1024;
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
