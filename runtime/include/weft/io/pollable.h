// Pollable: waiting, in a goroutine, until somebody else's file descriptor is readable or writable.
//
// For libraries that do their own input and output and offer a descriptor to wait for (database clients, inotify,
// timerfd, eventfd, a child's pipes):
//
//   weft::Result<weft::io::Pollable> pollable = weft::io::Pollable::make(PQsocket(connection));
//   while (PQisBusy(connection)) {
//     if (std::error_code ec = pollable->wait_readable()) return ec;
//     PQconsumeInput(connection);
//   }
//
// Thread safety: a Pollable is a handle. Copies name the same object, and several goroutines may call any method at the
// same time. A goroutine that waits for reading and one that waits for writing do not hinder each other; goroutines
// that wait for the same take turns.
// Lifetime: the descriptor is not owned, unless PollableOptions says so. Its owner keeps it open while a wait is in
// flight. At any other time nothing in the kernel refers to it, and the owner may close it. The next wait then returns
// EBADF, or waits for the file that has got the number meanwhile. The last handle that goes closes the Pollable, and so
// does the end of weft::run() while a wait is in flight. A Pollable that outlives its runtime says Condition::closed
// where it would have to wait.
// Blocking: the waits park the calling goroutine, never its thread. make() and the waits are for goroutines only.
// Cancellation: a deadline that passes, or close(), wakes the waits in flight.
//
// Go's counterpart is syscall.RawConn: its Read and Write wait between two calls of a function that does the I/O.
#pragma once

#include <memory>
#include <system_error>
#include <utility>

#include <weft/error.h>
#include <weft/time_point.h>

namespace weft::io {

struct PollableOptions {
  // True: the descriptor is the Pollable's, and close() closes it when every wait has returned. On the epoll poller a
  // wait then makes four system calls fewer, and needs no descriptor of its own.
  bool owns_fd = false;
};

class Pollable {
 public:
  Pollable() = default;  // waits for nothing; only assignment and operator bool may be used
  explicit operator bool() const noexcept { return impl_ != nullptr; }

  // `fd` is open: a socket, a pipe, an eventfd, a timerfd, an inotify descriptor, a terminal. It may be in blocking
  // mode. Errors: EBADF for a descriptor that is not open; EPERM for a regular file or a directory, which is always
  // ready ("pollable: fd 7 is a regular file, which is always ready: operation not permitted"). A descriptor that could
  // not be made into a Pollable stays open, also when make() throws std::bad_alloc.
  static Result<Pollable> make(int fd, PollableOptions options = {});

  // Each waits until a read (a write) would not block: there is data (room), the stream has ended, or there is an error
  // that the read (the write) then tells. Returns none at once when that is so already.
  // Errors: Errc::closed; Errc::timeout when the deadline has passed; EBADF when the owner has closed the descriptor;
  // the system's own when it can't wait (on the epoll poller a wait for a descriptor that is not owned needs one more
  // descriptor and some memory: EMFILE, ENOMEM). They throw nothing.
  std::error_code wait_readable() const;
  std::error_code wait_writable() const;

  // A deadline is absolute, on the monotonic clock, and holds for waits in flight and to come. A deadline in the past
  // fails them at once; a later one revives them; kNoDeadline clears it. Any thread.
  void set_deadline(TimePoint deadline) const;
  void set_read_deadline(TimePoint deadline) const;
  void set_write_deadline(TimePoint deadline) const;

  // Wakes the waits in flight with Errc::closed, and returns when they have let go of the descriptor (outside a
  // goroutine, perhaps a little earlier). The descriptor stays open, unless it is owned. A second close returns
  // Errc::closed. Any thread.
  std::error_code close() const;

 private:
  class Impl;
  explicit Pollable(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

}  // namespace weft::io
