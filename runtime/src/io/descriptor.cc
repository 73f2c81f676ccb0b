#include "runtime/src/io/descriptor.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include "runtime/src/base/errno.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/base/fork.h"
#include "runtime/src/io/backends.h"
#include "runtime/src/io/socket_calls.h"
#include "runtime/src/sched/bubble_hooks.h"
#include "runtime/src/sched/caller_clock.h"
#include "runtime/src/sched/go.h"
#include "runtime/src/sched/scheduler.h"
#include "runtime/src/sched/scheduling_point.h"
#include "weft/go.h"

namespace weft::rt {
namespace {

// Descriptors whose number is not closed yet.
std::atomic<std::size_t> open_numbers{0};

// A deadline that is closer than this to the processor's clock, which may be old, is compared with the real one.
constexpr Nanos kClockSlack = 1'000'000'000;

// choose_backend() made the scheduler's backend, and makes no other kind.
IoBackend& backend_of(Machine& machine) noexcept { return static_cast<IoBackend&>(machine.scheduler().backend()); }

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

// The open descriptors of the process, in lists by their addresses, so that processors seldom meet in one lock.
class OpenDescriptors {
 public:
  void add(Descriptor& d) noexcept {
    List& list = list_of(d);
    const LockGuard lock(list.mutex);
    d.next_ = list.first;
    d.previous_ = &list.first;
    if (d.next_ != nullptr) d.next_->previous_ = &d.next_;
    list.first = &d;
  }

  void remove(Descriptor& d) noexcept {
    const LockGuard lock(list_of(d).mutex);
    if (d.previous_ != nullptr) unlink(d);
  }

  void end_all_of(std::uint64_t runtime) noexcept {
    for (List& list : lists_) {
      while (Descriptor* const d = take(list, runtime)) {
        d->end_with_runtime();
        d->drop_owner();
      }
    }
  }

 private:
  static constexpr int kListBits = 6;

  struct alignas(64) List {
    SpinMutex mutex;
    Descriptor* first WEFT_GUARDED_BY(mutex) = nullptr;
  };

  // Fibonacci hashing: addresses have much in common.
  List& list_of(const Descriptor& d) noexcept {
    constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;
    return lists_[reinterpret_cast<std::uintptr_t>(&d) * kGolden >> (64 - kListBits)];
  }

  static void unlink(Descriptor& d) noexcept {
    *d.previous_ = d.next_;
    if (d.next_ != nullptr) d.next_->previous_ = d.previous_;
    d.previous_ = nullptr;
  }

  // Takes a descriptor of that runtime out of the list. A descriptor in a list is open, so it has an owner; the caller
  // becomes another one.
  static Descriptor* take(List& list, std::uint64_t runtime) noexcept {
    const LockGuard lock(list.mutex);
    for (Descriptor* d = list.first; d != nullptr; d = d->next_) {
      if (d->runtime_ != runtime) continue;
      unlink(*d);
      d->add_owner();
      return d;
    }
    return nullptr;
  }

  List lists_[1 << kListBits];
};

namespace {

constinit OpenDescriptors open_descriptors;

}  // namespace

void close_descriptors_of(std::uint64_t runtime) noexcept { open_descriptors.end_all_of(runtime); }

std::size_t live_descriptors() noexcept { return open_numbers.load(std::memory_order_relaxed); }

Descriptor* make_descriptor(int fd, FdKind kind) {
  Machine* const machine = current_machine();
  if (machine == nullptr) {
    refuse_in_forked_child("network I/O");
    fatal("network I/O outside a goroutine: call it inside weft::run");
  }
  Descriptor* const made = backend_of(*machine).make_descriptor(fd, kind);
  open_descriptors.add(*made);
  return made;
}

Descriptor::Descriptor(int fd, FdKind kind, const IoBackend& backend)
    : fd_(fd),
      fd_kind_(kind),
      runtime_(backend.runtime()),
      timers_{RuntimeTimer(
                  [](void* self, Nanos t) noexcept { static_cast<Descriptor*>(self)->deadline_passed(Side::read, t); },
                  this),
              RuntimeTimer(
                  [](void* self, Nanos t) noexcept { static_cast<Descriptor*>(self)->deadline_passed(Side::write, t); },
                  this)} {
  open_numbers.fetch_add(1, std::memory_order_relaxed);
}

Descriptor::~Descriptor() = default;

void Descriptor::drop_owner() noexcept {
  if (in_forked_child()) return;  // requests, timers and the epoll set are the parent's
  if (owners_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  WEFT_CHECK(fd_mutex_.closed(), "the last owner of an open descriptor is gone");
  for (RuntimeTimer& timer : timers_) timer.stop_and_wait();
  dispose();
}

// --- closing ---------------------------------------------------------------------------------------------------------

std::error_code Descriptor::close() noexcept {
  if (in_forked_child()) return {};  // its copy of the number goes with exec or exit
  scheduling_point();
  if (!fd_mutex_.close()) return Errc::closed;
  {
    const LockGuard lock(deadline_mutex_);
    for (Deadline& d : deadlines_) d.when = d.stall = kNever;
    for (RuntimeTimer& timer : timers_) timer.stop();
  }
  interrupt(Side::read);
  interrupt(Side::write);
  cancel_requests();
  exchange_on_hang_up({});  // it may hold a handle of this descriptor
  // The handle keeps the object alive, so the semaphore may be waited for after the reference of being open is gone.
  release_number();
  if (on_goroutine()) number_closed_.acquire();
  return {};
}

void Descriptor::close_number() noexcept {
  detach();
  if (fd_kind_ != FdKind::borrowed) ::close(fd_);
  open_numbers.fetch_sub(1, std::memory_order_relaxed);
  open_descriptors.remove(*this);
  number_closed_.release();
}

// Whoever holds a side's lock is a goroutine that never runs again. Other users of the number are plain threads, and
// the last of them closes it.
void Descriptor::end_with_runtime() noexcept {
  const bool is_socket = fd_kind_ == FdKind::stream || fd_kind_ == FdKind::tcp;
  if (!is_socket && !fd_mutex_.locked(Side::read) && !fd_mutex_.locked(Side::write)) return;
  static_cast<void>(close());
  for (const Side side : {Side::read, Side::write}) {
    if (!fd_mutex_.locked(side)) continue;
    forget_wait(side);
    if (fd_mutex_.unlock(side)) close_number();
  }
}

std::error_code Descriptor::ended_with_its_runtime() const noexcept {
  Machine* const machine = current_machine();
  if (machine == nullptr) {
    refuse_wait_in_forked_child();
    fatal("network I/O outside a goroutine: call it inside weft::run");
  }
  return backend_of(*machine).runtime() == runtime_ ? std::error_code() : make_error_code(Errc::closed);
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
    const LockGuard lock(deadline_mutex_);
    if (fd_mutex_.closed()) return;
    Deadline& d = deadlines_[static_cast<unsigned>(side)];
    d.when = when;
    const bool past = has_passed(when);
    // seq_cst: before interrupt() looks for a waiter.
    expired.store(past, std::memory_order_seq_cst);
    if (!past && when < d.armed) {
      d.armed = when;
      timers_[static_cast<unsigned>(side)].start_at(when);
    }
    if (!past) return;
  }
  interrupt(side);
}

// The timer has fired: at the deadline, or at an earlier one that was moved meanwhile.
void Descriptor::deadline_passed(Side side, Nanos t) noexcept {
  {
    const LockGuard lock(deadline_mutex_);
    Deadline& d = deadlines_[static_cast<unsigned>(side)];
    d.armed = kNever;
    const Nanos next = d.next();
    if (next == kNever) return;
    if (next > t) {
      d.armed = next;
      timers_[static_cast<unsigned>(side)].start_at(next);
      return;
    }
    // seq_cst: before interrupt() looks for a waiter.
    expired_[static_cast<unsigned>(side)].store(true, std::memory_order_seq_cst);
  }
  interrupt(side);
}

// --- stalls ----------------------------------------------------------------------------------------------------------

// How many bytes lie in the socket's queue because the peer's kernel has not acknowledged them; nothing where the file
// does not tell.
std::optional<int> Descriptor::unacknowledged() const noexcept {
  int bytes = 0;
  return ::ioctl(fd_, SIOCOUTQ, &bytes) == 0 ? std::optional(bytes) : std::nullopt;
}

// For the goroutine that holds the write side's lock. kNever: its wait is over, and what passed was no deadline.
void Descriptor::set_stall_deadline(Nanos when) noexcept {
  const LockGuard lock(deadline_mutex_);
  if (fd_mutex_.closed()) return;
  constexpr auto kWrite = static_cast<unsigned>(Side::write);
  Deadline& d = deadlines_[kWrite];
  d.stall = when;
  // seq_cst: as in set_deadline().
  expired_[kWrite].store(has_passed(d.when), std::memory_order_seq_cst);
  if (when < d.armed) {
    d.armed = when;
    timers_[kWrite].start_at(when);
  }
}

// Waits until there may be room to write. Errc::timeout when the deadline has passed, or when the peer has stalled. A
// peer that took something is no staller: the write tries again, for the interrupted wait may have used up its event.
std::error_code Descriptor::wait_for_room() {
  const Nanos timeout = stall_timeout_.load(std::memory_order_relaxed);
  if (timeout == kNever) return wait(Side::write);
  const std::optional<int> before = unacknowledged();
  set_stall_deadline(saturating_add(caller_now(), timeout));
  const std::error_code ec = wait(Side::write);
  set_stall_deadline(kNever);
  if (ec != Errc::timeout || interrupted(Side::write)) return ec;
  const std::optional<int> after = unacknowledged();
  return before && after && *after < *before ? std::error_code() : ec;
}

// --- hang-ups --------------------------------------------------------------------------------------------------------

// Returns the function that was there, for its destructor runs without the lock.
std::function<void()> Descriptor::exchange_on_hang_up(std::function<void()> fn) noexcept {
  const LockGuard lock(hang_up_mutex_);
  on_hang_up_.swap(fn);
  return fn;
}

std::error_code Descriptor::on_hang_up(std::function<void()> fn) {
  const bool watches = static_cast<bool>(fn);
  exchange_on_hang_up(std::move(fn));
  if (!watches) return {};
  // The number is held, so that it is not somebody else's when the kernel is asked.
  std::error_code ec = with_fd([this](int) { return watch_hang_up(); });
  // close() drops the function after it has set the bit. So either it drops this one, or the bit is seen here.
  if (!ec && fd_mutex_.closed()) ec = Errc::closed;
  if (ec) {
    exchange_on_hang_up({});
    return ec;
  }
  const bool already = [this] {
    const LockGuard lock(hang_up_mutex_);
    return hung_up_;
  }();
  if (already) hung_up();
  return {};
}

void Descriptor::hung_up() noexcept {
  std::function<void()> fn;
  {
    const LockGuard lock(hang_up_mutex_);
    hung_up_ = true;
    fn.swap(on_hang_up_);
  }
  if (!fn) return;
  try {
    go_without_parent(std::move(fn));
  } catch (const std::bad_alloc&) {
    // Nobody is told. Reads and writes tell it, too.
  }
}

// --- operations ------------------------------------------------------------------------------------------------------

// What is around every operation: a scheduling point, the side's lock, and a look at the flags of closing and of the
// deadline before the first try.
class Descriptor::Turn {
 public:
  Turn(Descriptor& descriptor, Side side)
      : descriptor_(descriptor), side_(side), locked_((scheduling_point(), descriptor.fd_mutex_.lock(side))) {
    refusal_ = locked_ ? descriptor.interrupted(side) : make_error_code(Errc::closed);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (locked_ && descriptor_.fd_mutex_.unlock(side_)) descriptor_.close_number();
  }
  // Why the operation may not begin, or none.
  const std::error_code& refusal() const noexcept { return refusal_; }

 private:
  Descriptor& descriptor_;
  const Side side_;
  const bool locked_;
  std::error_code refusal_;
};

IoResult Descriptor::read(std::span<char> buffer) {
  const Turn turn(*this, Side::read);
  if (turn.refusal()) return {0, turn.refusal()};
  if (buffer.empty()) return {};
  return do_read(buffer);
}

IoResult Descriptor::do_read(std::span<char> buffer) {
  if (drained_) {
    drained_ = false;  // also when the wait is interrupted, which may have used up the event
    if (const std::error_code ec = wait(Side::read)) return {0, ec};
  }
  return note_read(operate([&] { return Attempt::of(receive_some(buffer)); }, [&] { return wait(Side::read); }),
                   buffer.size());
}

IoResult Descriptor::try_read(std::span<char> buffer) {
  const Turn turn(*this, Side::read);
  if (turn.refusal()) return {0, turn.refusal()};
  if (buffer.empty()) return {};
  return do_try_read(buffer);
}

IoResult Descriptor::do_try_read(std::span<char> buffer) {
  const IoResult got = note_read(
      operate([&] { return Attempt::of(receive_some(buffer)); }, [] { return system_error(EAGAIN); }), buffer.size());
  drained_ = drained_ || got.ec == std::errc::operation_would_block;
  return got;
}

// For a read into `size` bytes.
IoResult Descriptor::note_read(const Outcome& got, std::size_t size) noexcept {
  const IoResult result = read_result(got);
  // A short read has emptied a TCP connection: the next one would find nothing, so it waits first.
  drained_ = !result.ec && fd_kind_ == FdKind::tcp && result.n < size && !must_try();
  return result;
}

ssize_t Descriptor::receive_some(std::span<char> buffer) const noexcept {
  if (fd_kind_ == FdKind::file) return ::read(fd_, buffer.data(), buffer.size());
  return socket_receive(fd_, buffer.data(), buffer.size(), 0);
}

std::error_code Descriptor::wait_readable() {
  const Turn turn(*this, Side::read);
  return turn.refusal() ? turn.refusal() : do_wait_readable();
}

std::error_code Descriptor::do_wait_readable() {
  if (drained_) {
    drained_ = false;  // as in do_read()
    return wait(Side::read);
  }
  bool waited = false;
  const auto look = [&] {
    // After a wait it is left to the read to look, which saves a system call.
    if (waited) return Attempt::done(1);
    pollfd now{fd_, POLLIN, 0};
    const Attempt found = Attempt::of(::poll(&now, 1, 0));
    return found.n == 0 ? Attempt::must_wait() : readable_unless_blocked(found);
  };
  return operate(look,
                 [&] {
                   waited = true;
                   return wait(Side::read);
                 })
      .ec;
}

std::error_code Descriptor::wait_ready(Side side) {
  const Turn turn(*this, side);
  if (turn.refusal()) return turn.refusal();
  const auto look = [&] {
    pollfd now{fd_, static_cast<short>(side == Side::read ? POLLIN | POLLRDHUP : POLLOUT), 0};
    const Attempt found = Attempt::of(::poll(&now, 1, 0));
    if (found.n == 0) return Attempt::must_wait();
    return found.n > 0 && (now.revents & POLLNVAL) != 0 ? Attempt::failed(EBADF) : found;
  };
  return operate(look, [&] { return wait(side); }).ec;
}

Attempt readable_unless_blocked(Attempt attempt) noexcept {
  return attempt.must_be_repeated() || attempt.would_block() ? attempt : Attempt::done(1);
}

IoResult Descriptor::writev(std::span<const std::string_view> parts) {
  const Turn turn(*this, Side::write);
  IoResult total{0, turn.refusal()};
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
  return total;
}

ssize_t Descriptor::send_some(iovec* parts, std::size_t count) const noexcept {
  if (fd_kind_ == FdKind::file) return ::writev(fd_, parts, static_cast<int>(count));
  const int flags = MSG_NOSIGNAL | (end_expected_.load(std::memory_order_relaxed) ? MSG_MORE : 0);
  if (count == 1) return socket_send(fd_, parts->iov_base, parts->iov_len, flags);
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  return socket_send_message(fd_, message, flags);
}

IoResult Descriptor::do_writev(iovec* parts, std::size_t count) {
  std::size_t done = 0;
  while (count > 0) {
    if (parts->iov_len == 0) {
      ++parts;
      --count;
      continue;
    }
    const Outcome sent = operate([&] { return Attempt::of(send_some(parts, count)); }, [&] { return wait_for_room(); });
    if (sent.ec) return {done, sent.ec};
    done += static_cast<std::size_t>(sent.n);
    for (auto left = static_cast<std::size_t>(sent.n); left > 0;) {
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

IoResult Descriptor::send_file(int file, std::uint64_t offset, std::size_t count) {
  const Turn turn(*this, Side::write);
  return turn.refusal() ? IoResult{0, turn.refusal()} : do_send_file(file, offset, count);
}

IoResult Descriptor::do_send_file(int file, std::uint64_t offset, std::size_t count) {
  std::size_t done = 0;
  while (done < count) {
    const Outcome sent = operate(
        [&] { return Attempt::of(socket_send_file(fd_, file, static_cast<off_t>(offset + done), count - done)); },
        [&] { return wait_for_room(); });
    if (sent.ec) return {done, sent.ec};
    if (sent.n == 0) return {done, Errc::eof};
    done += static_cast<std::size_t>(sent.n);
    if (done == count) break;
    // A peer that reads fast never lets the socket become full, so no call would ever wait. Others get their turn here,
    // among them the timer of the deadline. The side's lock is held meanwhile, as it is in a wait: a goroutine that
    // wants the lock parks.
    yield_local();
    if (const std::error_code ec = interrupted(Side::write)) return {done, ec};
  }
  return {done, {}};
}

AcceptResult Descriptor::accept(sockaddr* peer, socklen_t room) {
  const Turn turn(*this, Side::read);
  return turn.refusal() ? AcceptResult{-1, turn.refusal()} : do_accept(peer, room);
}

AcceptResult Descriptor::do_accept(sockaddr* peer, socklen_t room) {
  socklen_t peer_size = 0;
  const Outcome accepted =
      operate([&] { return try_accept(fd_, peer, room, peer_size); }, [&] { return wait(Side::read); });
  return {static_cast<int>(accepted.n), accepted.ec, peer_size};
}

AcceptResult Descriptor::accept_now(sockaddr* peer, socklen_t room) {
  const Turn turn(*this, Side::read);
  return turn.refusal() == Errc::closed ? AcceptResult{-1, turn.refusal()} : do_accept_now(peer, room);
}

AcceptResult Descriptor::do_accept_now(sockaddr* peer, socklen_t room) {
  socklen_t peer_size = 0;
  const Outcome accepted =
      operate([&] { return try_accept(fd_, peer, room, peer_size); }, [] { return system_error(EAGAIN); });
  return {static_cast<int>(accepted.n), accepted.ec, peer_size};
}

Attempt try_accept(int fd, sockaddr* peer, socklen_t room, socklen_t& peer_size) noexcept {
  peer_size = room;
  Attempt attempt = Attempt::of(::accept4(fd, peer, &peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (attempt.error == ECONNABORTED) attempt.error = EINTR;  // that peer is gone; the next one may be there
  return attempt;
}

std::error_code Descriptor::connect(const sockaddr* address, socklen_t length) {
  const Turn turn(*this, Side::write);
  return turn.refusal() ? turn.refusal() : do_connect(address, length);
}

// The first attempt begins to connect. When that takes time, or is interrupted by a signal, it goes on in the
// background, and the further attempts ask how it went.
std::error_code Descriptor::do_connect(const sockaddr* address, socklen_t length) {
  bool begun = false;
  int failure = 0;  // EAGAIN is one, too: a socket that connects says EINPROGRESS when it needs time
  const auto attempt = [&] {
    int error = 0;
    if (!begun) {
      begun = true;
      if (::connect(fd_, address, length) != 0) error = last_errno();
    } else {
      socklen_t size = sizeof(error);
      if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = last_errno();
      sockaddr_storage peer;
      socklen_t peer_size = sizeof(peer);
      // Woken too early, it has neither failed nor connected.
      if (error == 0 && ::getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) error = EINPROGRESS;
    }
    if (error == EINPROGRESS || error == EALREADY || error == EINTR) return Attempt::must_wait();
    failure = error == EISCONN ? 0 : error;
    return Attempt::done(0);
  };
  const Outcome outcome = operate(attempt, [&] { return wait(Side::write); });
  return failure != 0 ? system_error(failure) : outcome.ec;
}

}  // namespace weft::rt
