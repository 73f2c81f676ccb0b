// What the kernel says of this process.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace weft::http::debug {

struct ProcessStatus {
  std::size_t threads = 0;
  std::size_t rss_bytes = 0;
};

// From /proc/self; zeros and nothing where it can't be read. Short reads of kernel memory: they don't block.
ProcessStatus process_status();
std::vector<std::string> command_line();

}  // namespace weft::http::debug
