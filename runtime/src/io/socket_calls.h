// System calls on sockets that glibc's wrappers do not make as weft needs them.
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>

namespace weft::rt {

// The system calls of the hot path, without glibc's wrappers. A wrapper makes each call a thread cancellation point,
// which costs two atomic operations (1.7 % of an HTTP hello's CPU, measured with perf), and weft's threads are never
// cancelled. Each returns -1 with errno, like its wrapper.
inline ssize_t socket_receive(int fd, char* buffer, std::size_t size, int flags) noexcept {
  return ::syscall(SYS_recvfrom, fd, buffer, size, flags, nullptr, nullptr);
}
inline ssize_t socket_send(int fd, const void* data, std::size_t size, int flags) noexcept {
  return ::syscall(SYS_sendto, fd, data, size, flags, nullptr, 0);
}
inline ssize_t socket_send_message(int fd, const msghdr& message, int flags) noexcept {
  return ::syscall(SYS_sendmsg, fd, &message, flags);
}

// sendfile(2) from `offset` of `file`, which leaves the file's own position as it is and raises no SIGPIPE. One call
// sends at most 1 MiB, however large `count` is. Returns -1 with errno.
ssize_t socket_send_file(int fd, int file, off_t offset, std::size_t count) noexcept;

}  // namespace weft::rt
