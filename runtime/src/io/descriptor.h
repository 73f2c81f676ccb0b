// Descriptor: an open socket (or pipe, eventfd ...) that goroutines do I/O on. Counted, closable at any time, with deadlines.
//
// Each operation takes its side's lock (FdMutex), tries the system call first, and waits for readiness when there is nothing to do; how it
// waits is the backend's. A backend may replace whole operations (the io_uring one receives and accepts by multishot requests).
//
// Interruption: closing, and a deadline that passes, first store their flag (FdMutex's closed bit, expired_), then call interrupt(side),
// which makes the operation in flight look again. Operations look at the flags after they made themselves visible to interrupt().
//
// Lifetime: make_descriptor() returns one owner's reference. The memory goes with the last owner (handle or kernel request), the fd
// number with the last user of the number (FdMutex), which may be earlier.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/io/fd_mutex.h"
#include "runtime/src/sched/timer.h"
#include "weft/error.h"

namespace weft::rt {

// What the maker of a descriptor says of its file, so that the kernel need not be asked.
enum class FdKind : std::uint8_t {
  file,    // no socket: a pipe, an eventfd
  socket,  // a socket that is no stream
  stream,  // a stream socket, connected or listening
  tcp,     // a TCP connection, made or to be made: a short read has emptied it
};

struct AcceptResult {
  int fd = -1;
  std::error_code ec;
  socklen_t peer_size = 0;  // 0: the peer's address is not told
};

class Backend;

class Descriptor {
 public:
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  // --- operations; goroutines only, each parks the caller while it must wait ---
  IoResult read(std::span<char> buffer);
  // All of it, or n with an error.
  IoResult writev(std::span<const std::string_view> parts);
  // Accepts a non-blocking, close-on-exec socket. The peer's address is put into `peer`, which has room for `room`
  // bytes, where accept4(2) makes the connection; a multishot request does not tell it.
  AcceptResult accept(sockaddr* peer, socklen_t room);
  // Sends all of it, or n bytes with an error: Errc::eof where the file ends, EINVAL for a file that the kernel can't
  // copy from.
  IoResult send_file(int file, std::uint64_t offset, std::size_t count);
  std::error_code connect(const sockaddr* address, socklen_t length);
  std::error_code wait_readable();

  // --- any thread ---
  // Wakes all operations with Errc::closed. Errc::closed when it was closed before. In a goroutine it returns when they have left and the
  // number is closed, as Go's does; elsewhere, that may be a little later.
  std::error_code close() noexcept;
  // On the monotonic clock; kNever clears. Operations on that side, pending and to come, end with Errc::timeout when it passes.
  void set_deadline(Side side, Nanos when) noexcept;
  // Runs fn(int fd) with the number held open; Errc::closed when it is closed. `fn` returns a std::error_code and must not block.
  template <typename Fn>
  std::error_code with_fd(Fn fn) {
    if (!fd_mutex_.add_ref()) return Errc::closed;
    const std::error_code ec = fn(fd_);
    if (fd_mutex_.drop_ref()) close_number();
    return ec;
  }

  // A handle closes before it drops its ownership.
  void add_owner() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
  void drop_owner() noexcept;

 protected:
  Descriptor(int fd, FdKind kind, const Backend& backend);
  virtual ~Descriptor();

  // --- what a backend provides ---
  // Waits until the side is (probably) ready; an error when it was interrupted or the wait can't be made.
  virtual std::error_code wait(Side side) = 0;
  // Makes an operation in flight on that side look at interrupted(); any thread, also scheduler stacks.
  virtual void interrupt(Side side) noexcept = 0;
  // Something came that ends a read early (the peer hung up, urgent data), so that a short read does not mean that the next would wait.
  virtual bool must_try() const noexcept { return false; }
  // Ends what the backend keeps for the fd, before the number is closed. Nothing is in flight.
  virtual void detach() noexcept {}
  // Ends kernel requests that hold the number beyond one operation (multishot ones). After the closed bit, before the last reference goes.
  virtual void cancel_requests() noexcept {}
  // Destroys the object, perhaps later.
  virtual void dispose() noexcept { delete this; }

  // --- operations, with the side's lock held; a backend may replace them ---
  virtual IoResult do_read(std::span<char> buffer);
  virtual AcceptResult do_accept(sockaddr* peer, socklen_t room);
  virtual std::error_code do_wait_readable();
  IoResult do_writev(iovec* parts, std::size_t count);
  std::error_code do_connect(const sockaddr* address, socklen_t length);
  IoResult do_send_file(int file, std::uint64_t offset, std::size_t count);

  // Errc::closed when the descriptor was made in an earlier runtime with another backend.
  std::error_code ended_with_its_runtime() const noexcept;

  // Errc::closed, Errc::timeout, or none.
  std::error_code interrupted(Side side) const noexcept;

  // One more user of the fd number that lasts beyond an operation, and its end.
  [[nodiscard]] bool hold_number() noexcept { return fd_mutex_.add_ref(); }
  void release_number() noexcept {
    if (fd_mutex_.drop_ref()) close_number();
  }

  int fd() const noexcept { return fd_; }

 private:
  struct Deadline {
    Deadline(RuntimeTimer::Callback callback, void* self) noexcept : timer(callback, self) {}
    Nanos when = kNever;
    Nanos armed = kNever;  // when the timer fires; may be earlier than `when`: it is moved only when it fires
    RuntimeTimer timer;
  };

  void close_number() noexcept;
  void deadline_passed(Side side, Nanos t) noexcept;
  ssize_t send_some(iovec* parts, std::size_t count) const noexcept;

  const int fd_;
  const FdKind kind_;
  const char* const backend_name_;
  // The last attempt found the side drained: wait before the next. Guarded by the side's lock.
  bool drained_[2] = {false, false};
  FdMutex fd_mutex_;
  FdSemaphore number_closed_;  // one permit, for the goroutine that closes
  std::atomic<int> owners_{1};
  std::atomic<bool> expired_[2] = {false, false};
  SpinMutex deadline_mutex_;  // guards deadlines_
  Deadline deadlines_[2];
};

// Returns a descriptor of the running backend that owns `fd`, which is non-blocking. Release it with drop_owner().
Descriptor* make_descriptor(int fd, FdKind kind);

// Open descriptors of this process.
std::size_t live_descriptors() noexcept;

}  // namespace weft::rt
