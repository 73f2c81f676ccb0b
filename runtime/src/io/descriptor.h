// Descriptor: an open socket (or pipe, eventfd ...) that goroutines do I/O on. It is counted, has deadlines, and may be
// closed at any time.
//
// Each operation takes its side's lock (FdMutex), tries the system call, and waits when there is nothing to do yet. All
// of them run through one loop, operate() of operation.h. How an operation waits is the backend's matter. A backend may
// replace whole operations: the io_uring one receives and accepts by multishot requests.
//
// Stalls. A write that has to wait gives its peer so long to take something (stall_timeout_). The wait has a deadline
// of its own beside the side's, and the two share the timer and the expired flag. When it passes, the socket's queue
// tells whether the peer has acknowledged bytes: a slow peer empties a large queue for a long time before there is room
// in it.
//
// Interruption. Who closes, and a deadline that passes, first store their flag (FdMutex's closed bit, expired_). Then
// they call interrupt(side), which makes the operation in flight look again. An operation makes itself visible to
// interrupt() first and then looks at the flags.
//
// Hang-ups. Whether the peer has ended its side or the connection can be seen without a read, because poll(2) tells it,
// whatever lies unread. on_hang_up() leaves a function, and the backend calls hung_up() when the kernel says so. Both
// take hang_up_mutex_: either hung_up() finds the function, or on_hang_up() finds that the peer has hung up already.
//
// Lifetime. make_descriptor() returns one owner's reference. The memory goes with the last owner, who may be a handle
// or a request in the kernel. The fd number goes with its last user (FdMutex), which may be earlier.
//
// The end of the runtime. A descriptor belongs to the runtime that made it. Goroutines that main did not wait for never
// run again, so their handles never close what they hold, and their operations never end. When the runtime is over,
// close_descriptors_of() does that in their place: it closes every socket, and every other file that an operation is in
// flight on. A handle that is left finds a closed descriptor. A file that is only waited for, and that nobody waits for
// then, stays open for whoever holds it; what has to wait in a later runtime gets Errc::closed.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/io/fd_mutex.h"
#include "runtime/src/io/operation.h"
#include "runtime/src/sched/timer.h"
#include "weft/error.h"

namespace weft::rt {

// What the maker of a descriptor says of its file, so that the kernel need not be asked.
enum class FdKind : std::uint8_t {
  borrowed,  // somebody else's file of any kind: it is only waited for, and not closed
  file,      // a file that is read by read(2), as a pipe is; or one of any kind, also a socket, that is only waited for
  stream,    // a stream socket, connected or listening
  tcp,       // a TCP connection, made or to be made: a short read has emptied it
};

struct AcceptResult {
  int fd = -1;
  std::error_code ec;
  socklen_t peer_size = 0;  // 0: the peer's address is not told
};

class IoBackend;

class Descriptor {
 public:
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  // --- operations; for goroutines only; each parks the caller while it must wait ---
  IoResult read(std::span<char> buffer);
  // Reads what has come already. It does not wait; EAGAIN: nothing has come.
  IoResult try_read(std::span<char> buffer);
  // Writes all of it, or n bytes with an error.
  IoResult writev(std::span<const std::string_view> parts);
  // Accepts a non-blocking, close-on-exec socket. The peer's address is put into `peer`, which has room for `room`
  // bytes, where accept4(2) makes the connection; a multishot request does not tell it.
  AcceptResult accept(sockaddr* peer, socklen_t room);
  // Takes a connection that has come already. It does not wait, and so a deadline that has passed does not matter.
  // EAGAIN: none has come. EINPROGRESS: none is at hand, but a request that accepts ahead of the callers may have taken
  // some. The call ends that request, and only another accept() makes a new one.
  AcceptResult accept_now(sockaddr* peer, socklen_t room);
  std::error_code connect(const sockaddr* address, socklen_t length);
  // Sends all of it, or n bytes with an error: Errc::eof where the file ends, EINVAL for a file that the kernel can't
  // copy from.
  IoResult send_file(int file, std::uint64_t offset, std::size_t count);
  // Waits until a read has something to tell. It may return early.
  std::error_code wait_readable();
  // Waits until poll(2) calls the side ready. EBADF: somebody has closed the file.
  std::error_code wait_ready(Side side);

  // Calls fn() once, in a goroutine of its own, when the peer has finished sending, reset the connection, or has done
  // so already. It replaces the function of the last call; an empty one only takes that one back, and a function that
  // was started before may still run. No operation is disturbed. close() drops the function. Returns Errc::closed, or
  // why the kernel can't be asked; the function is dropped then. Goroutines only.
  std::error_code on_hang_up(std::function<void()> fn);

  // --- any thread ---
  // Wakes all operations with Errc::closed. Returns Errc::closed when it was closed before. In a goroutine it returns
  // when the operations have left and the number is closed, as Go's does; elsewhere, that may be a little later.
  std::error_code close() noexcept;
  // `when` is on the monotonic clock; kNever clears. When it passes, operations on that side, in flight and to come,
  // end with Errc::timeout.
  void set_deadline(Side side, Nanos when) noexcept;
  // A write that waits and whose peer takes nothing for so long ends with Errc::timeout; kNever: it waits for ever. The
  // deadline holds beside it. It counts from the next wait on.
  void set_write_stall_timeout(Nanos timeout) noexcept { stall_timeout_.store(timeout, std::memory_order_relaxed); }
  // From now on the kernel may hold back what does not fill a segment, until the end of the stream, at most 200 ms.
  void expect_end() noexcept { end_expected_.store(true, std::memory_order_relaxed); }
  // Runs fn(int fd) while the number is held open; returns Errc::closed when it is closed. `fn` returns a
  // std::error_code and must not block. It may throw.
  template <typename Fn>
  std::error_code with_fd(Fn fn) {
    if (!fd_mutex_.add_ref()) return Errc::closed;
    const HeldNumber held{*this};
    return fn(fd_);
  }

  // A handle closes before it drops its ownership.
  void add_owner() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
  void drop_owner() noexcept;

 protected:
  Descriptor(int fd, FdKind kind, const IoBackend& backend);
  virtual ~Descriptor();

  // --- what a backend provides ---
  // Waits until the side is (probably) ready. Returns an error when it was interrupted, or when the wait can't be made.
  virtual std::error_code wait(Side side) = 0;
  // Makes an operation in flight on that side look at interrupted(). Any thread, also on scheduler stacks.
  virtual void interrupt(Side side) noexcept = 0;
  // True after something came that ends a read early (the peer hung up, urgent data): then a short read does not mean
  // that the next one would wait.
  virtual bool must_try() const noexcept { return false; }
  // Ends what the backend keeps for the fd, before the number is closed. Nothing is in flight.
  virtual void detach() noexcept {}
  // Sees to it that hung_up() is called when the peer hangs up, or has done so. It is called more than once.
  virtual std::error_code watch_hang_up() = 0;
  // Ends kernel requests that hold the number beyond one operation (multishot ones). It is called after the closed bit
  // was set, before the last reference goes.
  virtual void cancel_requests() noexcept {}
  // Gives back what the side's wait in flight has of its own. Its goroutine never runs again.
  virtual void forget_wait(Side) noexcept {}
  // Destroys the object, perhaps later.
  virtual void dispose() noexcept { delete this; }

  // --- operations, with the side's lock held; a backend may replace them ---
  virtual IoResult do_read(std::span<char> buffer);
  virtual IoResult do_try_read(std::span<char> buffer);
  virtual AcceptResult do_accept(sockaddr* peer, socklen_t room);
  virtual AcceptResult do_accept_now(sockaddr* peer, socklen_t room);
  virtual std::error_code do_wait_readable();

  // The peer has hung up. Any thread, also on scheduler stacks.
  void hung_up() noexcept;

  // Returns Errc::closed when the descriptor was made in an earlier runtime.
  std::error_code ended_with_its_runtime() const noexcept;

  // Returns Errc::closed, Errc::timeout, or none.
  std::error_code interrupted(Side side) const noexcept;

  // hold_number() adds a user of the fd number that lasts beyond an operation, and release_number() ends it.
  [[nodiscard]] bool hold_number() noexcept { return fd_mutex_.add_ref(); }
  void release_number() noexcept {
    if (fd_mutex_.drop_ref()) close_number();
  }

  int fd() const noexcept { return fd_; }

 private:
  friend class OpenDescriptors;
  class Turn;
  struct HeldNumber {
    Descriptor& descriptor;
    ~HeldNumber() { descriptor.release_number(); }
  };
  struct Deadline {
    Nanos when = kNever;
    Nanos stall = kNever;  // of a write that waits: when its peer has taken nothing for too long
    Nanos armed = kNever;  // when the timer fires; it may be too early, for it is moved only when it fires
    Nanos next() const noexcept { return std::min(when, stall); }
  };

  IoResult note_read(const Outcome& got, std::size_t size) noexcept;
  ssize_t receive_some(std::span<char> buffer) const noexcept;
  IoResult do_writev(iovec* parts, std::size_t count);
  std::error_code do_connect(const sockaddr* address, socklen_t length);
  IoResult do_send_file(int file, std::uint64_t offset, std::size_t count);
  ssize_t send_some(iovec* parts, std::size_t count) const noexcept;

  std::error_code wait_for_room();
  void set_stall_deadline(Nanos when) noexcept;
  std::optional<int> unacknowledged() const noexcept;

  void close_number() noexcept;
  std::function<void()> exchange_on_hang_up(std::function<void()> fn) noexcept;
  void end_with_runtime() noexcept;
  void deadline_passed(Side side, Nanos t) noexcept;

  const int fd_;
  const FdKind fd_kind_;
  // The last read has emptied the file: the next one waits before it tries. Guarded by the read side's lock.
  bool drained_ = false;
  std::atomic<bool> end_expected_{false};
  const std::uint64_t runtime_;
  // The place in the list of open descriptors. It belongs to the list, as does what leads here: previous_ points to
  // what points to this descriptor, and is null when it is in no list.
  Descriptor* next_ = nullptr;
  Descriptor** previous_ = nullptr;
  FdMutex fd_mutex_;
  FdSemaphore number_closed_;  // one permit, for the goroutine that closes
  std::atomic<int> owners_{1};
  std::atomic<bool> expired_[2] = {false, false};
  std::atomic<Nanos> stall_timeout_{kNever};
  SpinMutex deadline_mutex_;
  Deadline deadlines_[2] WEFT_GUARDED_BY(deadline_mutex_);
  // Started and stopped under deadline_mutex_. The last owner waits for their callbacks, which take that mutex, without
  // it.
  RuntimeTimer timers_[2];
  SpinMutex hang_up_mutex_;
  bool hung_up_ WEFT_GUARDED_BY(hang_up_mutex_) = false;
  std::function<void()> on_hang_up_ WEFT_GUARDED_BY(hang_up_mutex_);
};

// Returns a descriptor of the running backend. The descriptor owns `fd`, which is non-blocking, unless the file is
// borrowed. Release it with drop_owner(). Throws std::bad_alloc; `fd` is then still the caller's.
Descriptor* make_descriptor(int fd, FdKind kind);

// accept4(2) of a non-blocking, close-on-exec socket, as an attempt. A peer that has gone meanwhile is skipped.
// peer_size becomes the size of the peer's address; `peer` has room for `room` bytes.
Attempt try_accept(int fd, sockaddr* peer, socklen_t room, socklen_t& peer_size) noexcept;

// An attempt to find something to read: whatever is neither "not yet" nor "again" is something that a read tells.
Attempt readable_unless_blocked(Attempt attempt) noexcept;

// Closes what the runtime of that number has left open, as this file's head says. None of its goroutines runs, and its
// pollers are gone.
void close_descriptors_of(std::uint64_t runtime) noexcept;

// Returns how many descriptors of this process are open.
std::size_t live_descriptors() noexcept;

}  // namespace weft::rt
