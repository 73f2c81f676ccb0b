// What the kernel says about this process.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace weft::http::debug {

struct ProcessStatus {
  std::size_t threads = 0;
  std::size_t rss_bytes = 0;
};

// Both read /proc/self, and return zeros or nothing where that can't be read. They don't block: the kernel answers
// from memory.
ProcessStatus process_status();
std::vector<std::string> command_line();

}  // namespace weft::http::debug
