#include "runtime/src/crash/thread_state.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string_view>

namespace weft::rt {

char thread_state(pid_t thread) noexcept {
  std::array<char, 64> path;
  static_cast<void>(std::snprintf(path.data(), path.size(), "/proc/self/task/%d/stat", static_cast<int>(thread)));
  const int fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::array<char, 128> line;
  const ssize_t n = ::read(fd, line.data(), line.size());
  ::close(fd);
  // The line is "4711 (name) R ...", with anything in the name, of 15 bytes at the most.
  const std::string_view text(line.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  const std::size_t end = text.rfind(") ");
  return end == std::string_view::npos || end + 2 >= text.size() ? '\0' : text[end + 2];
}

}  // namespace weft::rt
