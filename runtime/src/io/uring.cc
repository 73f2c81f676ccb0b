#include "runtime/src/io/uring.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/src/base/errno.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/io/socket_calls.h"
#include "runtime/src/sched/constants.h"
#include "runtime/src/sched/machine.h"

namespace weft::rt {
namespace {

// One connection that is not read must not take every buffer. When so many arrivals lie unread, the descriptor's
// request is cancelled. The rest stays in the kernel, where TCP's window slows the peer.
constexpr std::size_t kMaxArrivals = kPerturb ? 4 : 16;

}  // namespace

// --- RingDescriptor: waiting by one-shot polls -----------------------------------------------------------------------

RingDescriptor::PollRequest::PollRequest(RingDescriptor& d, Side s) noexcept
    : Request(&RingDescriptor::poll_done), descriptor(d), side(s), waiter(current_waiter()) {}

std::error_code RingDescriptor::wait(Side side) {
  if (const std::error_code ec = ended_with_its_runtime()) return ec;
  PollRequest request(*this, side);
  park_with_processor(&start_poll, &request, WaitReason::io_wait);
  if (const std::error_code ec = interrupted(side)) return ec;
  // ECANCELED: the cancel was meant for an earlier wait at this address. The operation tries again and finds nothing.
  if (request.result < 0 && request.result != -ECANCELED) return system_error(-request.result);
  return {};
}

// This is the commit of wait()'s park. Who interrupts stores a flag, and then looks at polls_ under the lock. This
// function looks at the flags under the lock, and then fills polls_. So this function refuses, or interrupt() finds the
// request.
bool RingDescriptor::start_poll(void* arg) noexcept {
  auto& request = *static_cast<PollRequest*>(arg);
  RingDescriptor& d = request.descriptor;
  const LockGuard lock(d.polls_mutex_);
  if (d.interrupted(request.side)) return false;
  request.ring = ring_of(*current_machine()->processor());
  d.polls_[static_cast<unsigned>(request.side)] = &request;
  const unsigned events = request.side == Side::read ? POLLIN | POLLRDHUP : POLLOUT;
  request.ring->start(request, [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, d.fd(), events); });
  return true;
}

void RingDescriptor::poll_done(Request& request, Ring& ring, const io_uring_cqe& cqe) noexcept {
  auto& r = static_cast<PollRequest&>(request);
  {
    const LockGuard lock(r.descriptor.polls_mutex_);
    r.descriptor.polls_[static_cast<unsigned>(r.side)] = nullptr;
    ring.forget_cancel(r);
  }
  r.result = cqe.res;
  const Waiter waiter = r.waiter;
  ready(waiter);  // from here on the request may be gone
}

void RingDescriptor::interrupt(Side side) noexcept {
  const LockGuard lock(polls_mutex_);
  if (PollRequest* const request = polls_[static_cast<unsigned>(side)]) request->ring->cancel(*request);
}

// --- RingDescriptor: the watch for a hang-up -------------------------------------------------------------------------

void RingDescriptor::HangUpPoll::start() noexcept {
  ring->start(*this, [this](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, descriptor.fd(), POLLRDHUP); });
}

// Who closes sets the closed bit, and then looks at `armed` under the lock. This function holds the number, which fails
// when the bit is set, and sets `armed`, under the same lock. So either nothing is armed here, or cancel_requests()
// finds it.
std::error_code RingDescriptor::watch_hang_up() {
  if (const std::error_code ec = ended_with_its_runtime()) return ec;
  {
    const LockGuard lock(polls_mutex_);
    if (hang_up_poll_ != nullptr && hang_up_poll_->armed) return {};
  }
  auto made = std::make_unique<HangUpPoll>(*this);
  const Pin pin{Pin::WithProcessor()};
  const LockGuard lock(polls_mutex_);
  if (hang_up_poll_ == nullptr) hang_up_poll_ = std::move(made);
  if (hang_up_poll_->armed) return {};
  if (!hold_number()) return Errc::closed;
  add_owner();
  hang_up_poll_->armed = true;
  hang_up_poll_->cancelling = false;
  hang_up_poll_->ring = ring_of(*pin.processor());
  hang_up_poll_->start();
  return {};
}

void RingDescriptor::hang_up_polled(Request& request, Ring& ring, const io_uring_cqe& cqe) noexcept {
  auto& poll = static_cast<HangUpPoll&>(request);
  RingDescriptor& d = poll.descriptor;
  {
    const LockGuard lock(d.polls_mutex_);
    // The thread that asked has ended, and the kernel has cancelled what that thread asked for.
    if (cqe.res == -ECANCELED && !poll.cancelling && !ring.draining()) return poll.start();
    poll.armed = false;
    ring.forget_cancel(poll);
  }
  if (cqe.res > 0 && !ring.draining()) d.hung_up();  // when the runtime is over there is nobody to tell
  d.release_number();
  d.drop_owner();  // from here on the descriptor may be gone
}

void RingDescriptor::cancel_requests() noexcept {
  const Pin pin;  // the ring's machine reaps what it has cancelled
  std::shared_ptr<Ring> ring;
  {
    const LockGuard lock(polls_mutex_);
    if (hang_up_poll_ == nullptr || !hang_up_poll_->armed || hang_up_poll_->cancelling) return;
    hang_up_poll_->cancelling = true;
    ring = hang_up_poll_->ring;
    ring->cancel(*hang_up_poll_);
  }
  ring->reap_here();
}

// --- StreamDescriptor: multishot requests ----------------------------------------------------------------------------

StreamDescriptor::StreamDescriptor(int fd, FdKind kind, const IoBackend& backend)
    : RingDescriptor(fd, kind, backend), request_(&StreamDescriptor::delivered, *this) {}

StreamDescriptor::~StreamDescriptor() { discard_arrivals(); }

// Nobody reads any more. Buffers go back to the ring, and sockets that were never accepted are closed.
void StreamDescriptor::discard_arrivals() noexcept {
  const LockGuard lock(mutex_);
  for (; first_ < arrived_.size(); ++first_) {
    const Arrival& arrival = arrived_[first_];
    if (kind_ == Kind::receive) {
      ring_->recycle(static_cast<std::uint16_t>(arrival.id));
    } else {
      ::close(arrival.id);
    }
  }
}

void StreamDescriptor::delivered(Request& request, Ring& ring, const io_uring_cqe& cqe) noexcept {
  StreamDescriptor& d = static_cast<Multishot&>(request).descriptor;
  bool must_cancel = false;
  const bool last = (cqe.flags & IORING_CQE_F_MORE) == 0;
  {
    const LockGuard lock(d.mutex_);
    must_cancel = d.deliver_locked(ring, cqe);
    if (last) {
      d.armed_ = false;
      ring.forget_cancel(request);
    }
    if (must_cancel) d.cancelling_ = true;
  }
  if (must_cancel) ring.cancel(request);
  d.arrivals_.notify();
  if (last) {
    d.release_number();
    d.drop_owner();  // from here on the descriptor may be gone
  }
}

// Returns true when the request must be cancelled: too much lies unread, or the request belongs to another thread.
bool StreamDescriptor::deliver_locked(Ring& ring, const io_uring_cqe& cqe) {
  const bool has_buffer = (cqe.flags & IORING_CQE_F_BUFFER) != 0;
  const auto id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  if (cqe.res > 0 && kind_ == Kind::receive) {
    arrived_.push_back({static_cast<std::uint32_t>(cqe.res), 0, id});
  } else if (cqe.res >= 0 && kind_ == Kind::accept) {
    arrived_.push_back({0, 0, cqe.res});
  } else if (cqe.res == 0) {
    ended_ = true;
    if (has_buffer) ring.recycle(id);
  } else if (cqe.res == -ENOBUFS && kind_ == Kind::receive) {
    starved_ = true;
  } else if (cqe.res != -ECANCELED) {
    failure_ = -cqe.res;
  }
  if ((cqe.flags & IORING_CQE_F_MORE) == 0 || cancelling_) return false;
  return arrived_.size() - first_ >= kMaxArrivals || armed_by_ != current_machine();
}

// For a goroutine that holds the read lock, while nothing is in flight. Returns false when the descriptor is closed.
bool StreamDescriptor::arm(Kind kind) {
  if (!hold_number()) return false;
  add_owner();
  const Pin pin{Pin::WithProcessor()};
  const std::shared_ptr<Ring>& ring = ring_of(*pin.processor());
  {
    const LockGuard lock(mutex_);
    WEFT_CHECK(first_ == arrived_.size(), "a receive request was armed over unread bytes");
    kind_ = kind;
    armed_ = true;
    cancelling_ = false;
    ring_ = ring;
    armed_by_ = pin.machine();
  }
  ring->start(request_, [&](io_uring_sqe* sqe) {
    if (kind == Kind::accept) {
      io_uring_prep_multishot_accept(sqe, fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      return;
    }
    io_uring_prep_recv_multishot(sqe, fd(), nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    // The kernel waits for data first, and then takes a buffer. Else a ring without a free buffer would refuse at once,
    // and the reader, who finds no data either, would ask again and again.
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->buf_group = kBufferGroup;
  });
  // A close() that came between hold_number() and here did not see the request.
  if (interrupted(Side::read) == Errc::closed) ring->cancel(request_);
  return true;
}

std::error_code StreamDescriptor::wait_for_arrival(Kind kind) {
  if constexpr (kPerturb) yield_local();
  bool armed = false;
  {
    const LockGuard lock(mutex_);
    armed = armed_;
    // The request may have delivered and ended, or found no buffer, after the caller looked.
    if (!armed && (first_ < arrived_.size() || failure_ != 0 || ended_ || starved_)) return {};
  }
  if (!armed) {
    if (const std::error_code ec = ended_with_its_runtime()) return ec;
    if (!arm(kind)) return Errc::closed;
  }
  arrivals_.wait([&] { return static_cast<bool>(interrupted(Side::read)); });
  return interrupted(Side::read);
}

void StreamDescriptor::forget_taken_locked() noexcept {
  if (first_ < arrived_.size() && first_ < kMaxArrivals) return;
  arrived_.erase(arrived_.begin(), arrived_.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
}

std::size_t StreamDescriptor::take_bytes_locked(std::span<char> buffer) noexcept {
  std::size_t n = 0;
  while (n < buffer.size() && first_ < arrived_.size()) {
    Arrival& arrival = arrived_[first_];
    const auto id = static_cast<std::uint16_t>(arrival.id);
    const std::size_t step = std::min<std::size_t>(buffer.size() - n, arrival.length);
    std::memcpy(buffer.data() + n, ring_->buffer(id, arrival.offset + step).data() + arrival.offset, step);
    n += step;
    arrival.offset += static_cast<std::uint32_t>(step);
    arrival.length -= static_cast<std::uint32_t>(step);
    if (arrival.length > 0) break;
    ring_->recycle(id);
    ++first_;
  }
  forget_taken_locked();
  return n;
}

Attempt StreamDescriptor::attempt_read(std::span<char> buffer) noexcept {
  {
    const LockGuard lock(mutex_);
    if (const std::size_t n = take_bytes_locked(buffer); n > 0) return Attempt::done(n);
    if (failure_ != 0) return Attempt::failed(std::exchange(failure_, 0));
    if (ended_) return Attempt::done(0);
    if (armed_) return Attempt::must_wait();
    starved_ = false;
  }
  // Before the first wait, and when the ring had no buffer left: the data may be there for the taking.
  return Attempt::of(socket_receive(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT));
}

IoResult StreamDescriptor::do_read(std::span<char> buffer) {
  return read_result(operate([&] { return attempt_read(buffer); }, [&] { return wait_for_arrival(Kind::receive); }));
}

IoResult StreamDescriptor::do_try_read(std::span<char> buffer) {
  return read_result(operate([&] { return attempt_read(buffer); }, [] { return system_error(EAGAIN); }));
}

std::error_code StreamDescriptor::do_wait_readable() {
  const auto attempt = [&]() noexcept {
    {
      const LockGuard lock(mutex_);
      if (first_ < arrived_.size() || failure_ != 0 || ended_) return Attempt::done(1);
      if (armed_ || !std::exchange(starved_, false)) return Attempt::must_wait();
    }
    // The bytes that found no buffer are still in the socket.
    char byte = 0;
    return readable_unless_blocked(Attempt::of(::recv(fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT)));
  };
  return operate(attempt, [&] { return wait_for_arrival(Kind::receive); }).ec;
}

int StreamDescriptor::take_socket_locked() noexcept {
  const int accepted = arrived_[first_++].id;
  forget_taken_locked();
  return accepted;
}

AcceptResult StreamDescriptor::do_accept(sockaddr* peer, socklen_t room) {
  socklen_t peer_size = 0;
  const auto attempt = [&]() noexcept {
    {
      const LockGuard lock(mutex_);
      if (first_ < arrived_.size()) {
        peer_size = 0;
        return Attempt{take_socket_locked(), 0};
      }
      const int failure = std::exchange(failure_, 0);
      if (failure != 0 && failure != ECONNABORTED) return Attempt::failed(failure);
      if (armed_) return Attempt::must_wait();
    }
    // A request that ended for want of descriptors is not armed again blindly: the call says what the matter is.
    return try_accept(fd(), peer, room, peer_size);
  };
  const Outcome accepted = operate(attempt, [&] { return wait_for_arrival(Kind::accept); });
  return {static_cast<int>(accepted.n), accepted.ec, peer_size};
}

// The request's last completion comes after all that it has accepted. So while the request is not armed, what it took
// is in arrived_, and the rest is in the kernel's queue.
AcceptResult StreamDescriptor::do_accept_now(sockaddr* peer, socklen_t room) {
  bool armed = false;
  {
    const LockGuard lock(mutex_);
    if (first_ < arrived_.size()) return {take_socket_locked(), {}};
    failure_ = 0;  // the call below says what the matter is
    armed = armed_;
  }
  if (!armed) return Descriptor::do_accept_now(peer, room);
  cancel_requests();
  return {-1, system_error(EINPROGRESS)};
}

void StreamDescriptor::interrupt(Side side) noexcept {
  if (side == Side::read) arrivals_.interrupt();
  RingDescriptor::interrupt(side);
}

void StreamDescriptor::cancel_requests() noexcept {
  RingDescriptor::cancel_requests();
  const Pin pin;  // the ring's machine reaps what it has cancelled
  std::shared_ptr<Ring> ring;
  {
    const LockGuard lock(mutex_);
    if (!armed_ || cancelling_) return;
    cancelling_ = true;
    ring = ring_;
    ring->cancel(request_);
  }
  ring->reap_here();
}

}  // namespace weft::rt
