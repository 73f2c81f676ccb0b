// The system calls of the hot path, without glibc's wrappers: those make each call a thread cancellation point, which costs two atomic
// operations, and weft's threads are never cancelled (1.7 % of an HTTP hello's CPU, measured with perf).
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

namespace weft::rt {

// Each returns -1 with errno, like the wrapper.
inline ssize_t socket_receive(int fd, char* buffer, std::size_t size, int flags) noexcept {
  return ::syscall(SYS_recvfrom, fd, buffer, size, flags, nullptr, nullptr);
}
inline ssize_t socket_send(int fd, const void* data, std::size_t size, int flags) noexcept {
  return ::syscall(SYS_sendto, fd, data, size, flags, nullptr, 0);
}
inline ssize_t socket_send_message(int fd, const msghdr& message, int flags) noexcept {
  return ::syscall(SYS_sendmsg, fd, &message, flags);
}

}  // namespace weft::rt
