#include "runtime/src/io/descriptor.h"

#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>

#include "runtime/src/base/errno.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/base/fork.h"
#include "runtime/src/io/socket_calls.h"
#include "runtime/src/sched/backend.h"
#include "runtime/src/sched/bubble_hooks.h"
#include "runtime/src/sched/scheduler.h"

namespace weft::rt {
namespace {

// Descriptors whose number is not closed yet.
std::atomic<std::size_t> open_descriptors{0};

bool would_block(int code) noexcept { return code == EAGAIN || code == EWOULDBLOCK; }

// Deadlines closer than this to the processor's clock, which may be old, are compared with the real one.
constexpr Nanos kClockSlack = 1'000'000'000;

bool has_passed(Nanos when) noexcept {
  Machine* const machine = current_machine();
  if (const BubbleHooks* const bubble = bubble_of(machine)) return when <= bubble->now();
  if (const Processor* const p = machine != nullptr ? machine->processor() : nullptr) {
    const Nanos coarse = p->clock.load(std::memory_order_relaxed);
    if (when > saturating_add(coarse, kClockSlack)) return false;
  }
  return when <= now();
}

}  // namespace

std::size_t live_descriptors() noexcept { return open_descriptors.load(std::memory_order_relaxed); }

Descriptor* make_descriptor(int fd, FdKind kind) {
  Machine* const machine = current_machine();
  if (machine == nullptr) {
    refuse_in_forked_child("network I/O");
    fatal("network I/O outside a goroutine: call it inside weft::run");
  }
  try {
    return machine->scheduler().backend().make_descriptor(fd, kind);
  } catch (...) {
    ::close(fd);
    throw;
  }
}

Descriptor::Descriptor(int fd, FdKind kind, const Backend& backend)
    : fd_(fd),
      kind_(kind),
      backend_name_(backend.name()),
      deadlines_{
          Deadline([](void* self, Nanos t) noexcept { static_cast<Descriptor*>(self)->deadline_passed(Side::read, t); },
                   this),
          Deadline(
              [](void* self, Nanos t) noexcept { static_cast<Descriptor*>(self)->deadline_passed(Side::write, t); },
              this)} {
  open_descriptors.fetch_add(1, std::memory_order_relaxed);
}

Descriptor::~Descriptor() = default;

void Descriptor::drop_owner() noexcept {
  if (in_forked_child()) return;  // requests, timers and the epoll set are the parent's
  if (owners_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  WEFT_CHECK(fd_mutex_.closed(), "the last owner of an open descriptor is gone");
  for (Deadline& d : deadlines_) d.timer.stop_and_wait();
  dispose();
}

// --- closing ---------------------------------------------------------------------------------------------------------

std::error_code Descriptor::close() noexcept {
  if (in_forked_child()) return {};  // its copy of the number goes with exec or exit
  if (!fd_mutex_.close()) return Errc::closed;
  {
    const std::lock_guard lock(deadline_mutex_);
    for (Deadline& d : deadlines_) {
      d.when = kNever;
      d.timer.stop();
    }
  }
  interrupt(Side::read);
  interrupt(Side::write);
  cancel_requests();
  // The handle keeps the object alive, so that the semaphore may be waited for after the reference of being open is gone.
  release_number();
  if (on_goroutine()) number_closed_.acquire();
  return {};
}

void Descriptor::close_number() noexcept {
  detach();
  ::close(fd_);
  open_descriptors.fetch_sub(1, std::memory_order_relaxed);
  number_closed_.release();
}

std::error_code Descriptor::ended_with_its_runtime() const noexcept {
  Machine* const machine = current_machine();
  if (machine == nullptr) {
    refuse_wait_in_forked_child();
    fatal("network I/O outside a goroutine: call it inside weft::run");
  }
  // Names are literals: one address per backend.
  return machine->scheduler().backend().name() == backend_name_ ? std::error_code() : make_error_code(Errc::closed);
}

std::error_code Descriptor::interrupted(Side side) const noexcept {
  if (fd_mutex_.closed()) return Errc::closed;
  // seq_cst: the mirror of deadline_passed(), see wait_word.h.
  if (expired_[static_cast<unsigned>(side)].load(std::memory_order_seq_cst)) return Errc::timeout;
  return {};
}

// --- deadlines -------------------------------------------------------------------------------------------------------

void Descriptor::set_deadline(Side side, Nanos when) noexcept {
  std::atomic<bool>& expired = expired_[static_cast<unsigned>(side)];
  {
    const std::lock_guard lock(deadline_mutex_);
    if (fd_mutex_.closed()) return;
    Deadline& d = deadlines_[static_cast<unsigned>(side)];
    d.when = when;
    const bool past = has_passed(when);
    expired.store(past, std::memory_order_seq_cst);  // before interrupt() looks for a waiter
    if (!past && when < d.armed) {
      d.armed = when;
      d.timer.start_at(when);
    }
    if (!past) return;
  }
  interrupt(side);
}

// The timer fired: at the deadline, or at an earlier one that has been moved since.
void Descriptor::deadline_passed(Side side, Nanos t) noexcept {
  {
    const std::lock_guard lock(deadline_mutex_);
    Deadline& d = deadlines_[static_cast<unsigned>(side)];
    d.armed = kNever;
    if (d.when == kNever) return;
    if (d.when > t) {
      d.armed = d.when;
      d.timer.start_at(d.when);
      return;
    }
    expired_[static_cast<unsigned>(side)].store(true,
                                                std::memory_order_seq_cst);  // before interrupt() looks for a waiter
  }
  interrupt(side);
}

// --- operations ------------------------------------------------------------------------------------------------------

IoResult Descriptor::read(std::span<char> buffer) {
  if (!fd_mutex_.lock(Side::read)) return {0, Errc::closed};
  IoResult result;
  if (result.ec = interrupted(Side::read); !result.ec && !buffer.empty()) result = do_read(buffer);
  if (fd_mutex_.unlock(Side::read)) close_number();
  return result;
}

IoResult Descriptor::do_read(std::span<char> buffer) {
  bool& drained = drained_[static_cast<unsigned>(Side::read)];
  for (;;) {
    if (drained) {
      drained = false;  // also when the wait is interrupted: it may have used up the event
      if (const std::error_code ec = wait(Side::read)) return {0, ec};
    }
    const ssize_t n = kind_ != FdKind::file ? socket_receive(fd_, buffer.data(), buffer.size(), 0)
                                            : ::read(fd_, buffer.data(), buffer.size());
    const int error = last_errno();
    if (n > 0) {
      // A short read has emptied a TCP socket: the next one would find nothing, so it waits first.
      drained = kind_ == FdKind::tcp && static_cast<std::size_t>(n) < buffer.size() && !must_try();
      return {static_cast<std::size_t>(n), {}};
    }
    drained = n < 0 && would_block(error);
    if (n == 0) return {0, Errc::eof};
    if (!drained && error != EINTR) return {0, system_error(error)};
  }
}

std::error_code Descriptor::wait_readable() {
  if (!fd_mutex_.lock(Side::read)) return Errc::closed;
  std::error_code ec = interrupted(Side::read);
  if (!ec) ec = do_wait_readable();
  if (fd_mutex_.unlock(Side::read)) close_number();
  return ec;
}

std::error_code Descriptor::do_wait_readable() {
  bool& drained = drained_[static_cast<unsigned>(Side::read)];
  for (;;) {
    if (drained) {
      drained = false;  // as in do_read()
      return wait(Side::read);
    }
    pollfd now{fd_, POLLIN, 0};
    const int n = ::poll(&now, 1, 0);
    if (n > 0 || (n < 0 && last_errno() != EINTR)) return {};
    drained = n == 0;
  }
}

IoResult Descriptor::writev(std::span<const std::string_view> parts) {
  if (!fd_mutex_.lock(Side::write)) return {0, Errc::closed};
  IoResult total;
  total.ec = interrupted(Side::write);
  constexpr std::size_t kBatch = 16;
  std::array<iovec, kBatch> batch;
  while (!total.ec && !parts.empty()) {
    const std::size_t count = std::min(parts.size(), kBatch);
    for (std::size_t i = 0; i < count; ++i) batch[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
    parts = parts.subspan(count);
    const IoResult result = do_writev(batch.data(), count);
    total.n += result.n;
    total.ec = result.ec;
  }
  if (fd_mutex_.unlock(Side::write)) close_number();
  return total;
}

ssize_t Descriptor::send_some(iovec* parts, std::size_t count) const noexcept {
  if (kind_ == FdKind::file) return ::writev(fd_, parts, static_cast<int>(count));
  if (count == 1) return socket_send(fd_, parts->iov_base, parts->iov_len, MSG_NOSIGNAL);
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  return socket_send_message(fd_, message, MSG_NOSIGNAL);
}

IoResult Descriptor::do_writev(iovec* parts, std::size_t count) {
  std::size_t done = 0;
  while (count > 0) {
    if (parts->iov_len == 0) {
      ++parts;
      --count;
      continue;
    }
    const ssize_t n = send_some(parts, count);
    if (n < 0) {
      const int error = last_errno();
      if (error == EINTR) continue;
      if (!would_block(error)) return {done, system_error(error)};
      if (const std::error_code ec = wait(Side::write)) return {done, ec};
      continue;
    }
    done += static_cast<std::size_t>(n);
    for (auto left = static_cast<std::size_t>(n); left > 0;) {
      const std::size_t step = std::min(left, parts->iov_len);
      parts->iov_base = static_cast<char*>(parts->iov_base) + step;
      parts->iov_len -= step;
      left -= step;
      if (parts->iov_len == 0) {
        ++parts;
        --count;
      }
    }
  }
  return {done, {}};
}

AcceptResult Descriptor::accept(sockaddr* peer, socklen_t room) {
  if (!fd_mutex_.lock(Side::read)) return {-1, Errc::closed};
  AcceptResult result;
  if (result.ec = interrupted(Side::read); !result.ec) result = do_accept(peer, room);
  if (fd_mutex_.unlock(Side::read)) close_number();
  return result;
}

AcceptResult Descriptor::do_accept(sockaddr* peer, socklen_t room) {
  for (;;) {
    socklen_t peer_size = room;
    const int fd = ::accept4(fd_, peer, &peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) return {fd, {}, peer_size};
    const int error = last_errno();
    if (error == EINTR || error == ECONNABORTED) continue;  // that peer is gone; the next one may be there
    if (!would_block(error)) return {-1, system_error(error)};
    if (const std::error_code ec = wait(Side::read)) return {-1, ec};
  }
}

IoResult Descriptor::send_file(int file, std::uint64_t offset, std::size_t count) {
  if (!fd_mutex_.lock(Side::write)) return {0, Errc::closed};
  IoResult result;
  if (result.ec = interrupted(Side::write); !result.ec) result = do_send_file(file, offset, count);
  if (fd_mutex_.unlock(Side::write)) close_number();
  return result;
}

IoResult Descriptor::do_send_file(int file, std::uint64_t offset, std::size_t count) {
  std::size_t done = 0;
  while (done < count) {
    auto position = static_cast<off_t>(offset + done);
    const ssize_t n = socket_send_file(fd_, file, position, count - done);
    const int error = last_errno();
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n == 0) {
      return {done, Errc::eof};
    } else if (would_block(error)) {
      if (const std::error_code ec = wait(Side::write)) return {done, ec};
    } else if (error != EINTR) {
      return {done, system_error(error)};
    }
  }
  return {done, {}};
}

std::error_code Descriptor::connect(const sockaddr* address, socklen_t length) {
  if (!fd_mutex_.lock(Side::write)) return Errc::closed;
  std::error_code ec = interrupted(Side::write);
  if (!ec) ec = do_connect(address, length);
  if (fd_mutex_.unlock(Side::write)) close_number();
  return ec;
}

std::error_code Descriptor::do_connect(const sockaddr* address, socklen_t length) {
  if (::connect(fd_, address, length) == 0) return {};
  int error = last_errno();
  // Interrupted, the attempt goes on in the background, like one that takes time.
  while (error == EINPROGRESS || error == EALREADY || error == EINTR) {
    if (const std::error_code ec = wait(Side::write)) return ec;
    socklen_t size = sizeof(error);
    if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = last_errno();
    if (error != 0) continue;
    sockaddr_storage peer;
    socklen_t peer_size = sizeof(peer);
    if (::getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0) return {};
    error = EINPROGRESS;  // woken too early: neither failed nor connected
  }
  return error == EISCONN ? std::error_code() : system_error(error);
}

}  // namespace weft::rt
