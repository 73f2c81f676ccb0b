#include "weft/net/listener.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "net/src/handshakes.h"
#include "net/src/resolve.h"
#include "net/src/sockaddr.h"
#include "net/src/socket.h"
#include "runtime/src/base/clock.h"
#include "runtime/src/base/errno.h"
#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/sched/scheduling_point.h"
#include "weft/go.h"
#include "weft/time.h"

namespace weft::net {
namespace {

// The kernel takes down the io_uring of a process that died some milliseconds after the process, and its listener with
// it. So a service that is restarted at once waits that long for its address.
constexpr std::chrono::milliseconds kAddressGrace{50};
constexpr std::chrono::milliseconds kAddressRetry{5};

void set_flag(int fd, int level, int option, bool on) noexcept {
  const int value = on ? 1 : 0;
  ::setsockopt(fd, level, option, &value, sizeof(value));
}

// Returns a listening socket. The error names the system call.
Result<int> open_listener(const Address& address, bool dual_stack, const ListenOptions& options) {
  const SocketAddress socket_address(address);
  const int fd = open_tcp_socket(socket_address.family());
  if (fd < 0) return Unexpected(Error(rt::last_system_error(), "socket"));
  set_flag(fd, SOL_SOCKET, SO_REUSEADDR, true);
  if (options.reuse_port) set_flag(fd, SOL_SOCKET, SO_REUSEPORT, true);
  if (address.ip().is_v6()) set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual_stack);
  set_tcp_defaults(fd);
  const char* step = "bind";
  int rc = ::bind(fd, socket_address.data(), socket_address.size());
  if (rc == 0) {
    step = "listen";
    // The kernel cuts the backlog down to net.core.somaxconn.
    rc = ::listen(fd, options.backlog > 0 ? options.backlog : 1 << 20);
  }
  if (rc != 0) {
    const std::error_code ec = rt::last_system_error();
    ::close(fd);
    return Unexpected(Error(ec, step));
  }
  return fd;
}

Result<int> open_listener_patiently(const Address& address, bool dual_stack, const ListenOptions& options) {
  for (std::chrono::milliseconds waited{0};; waited += kAddressRetry) {
    Result<int> fd = open_listener(address, dual_stack, options);
    if (fd || fd.error() != std::errc::address_in_use || waited >= kAddressGrace) return fd;
    sleep(kAddressRetry);
  }
}

// What drain() goes by; the listener's header promises the numbers.
constexpr std::chrono::milliseconds kDrainStep{10};
constexpr std::chrono::milliseconds kHandshakeGrace{1500};
constexpr std::chrono::milliseconds kBlindGrace{250};

// A deadline that has always passed.
constexpr rt::Nanos kPast = 0;

// drain() and accept(). drain() bars new handshakes, stores draining_ under mutex_, and then lets the descriptor's
// deadline pass, which ends the accepts in flight and to come. An accept that ends by the deadline looks at draining_
// under mutex_, and if it is set goes on by accept_rest(). While draining_ is set, nobody moves the descriptor's
// deadline, and the caller's own is in deadline_ alone.
class TcpAcceptor final : public Acceptor {
 public:
  TcpAcceptor(DescriptorHandle descriptor, std::string_view network, const Address& local)
      : descriptor_(std::move(descriptor)), network_(network), local_(local) {}

  Result<Conn> accept() override {
    SocketAddress peer;
    rt::AcceptResult accepted = descriptor_->accept(peer.data(), SocketAddress::capacity());
    if (accepted.ec == Errc::timeout && draining()) accepted = accept_rest(peer);
    if (accepted.ec) {
      return Unexpected(Error(accepted.ec, "accept " + std::string(network_) + " " + to_string(local_)));
    }
    DescriptorHandle descriptor = make_descriptor_handle(accepted.fd, rt::FdKind::tcp);
    peer.resize(accepted.peer_size);
    return make_tcp_conn(std::move(descriptor), network_, peer.address());
  }

  std::error_code close() override { return descriptor_->close(); }

  void set_deadline(TimePoint deadline) override {
    const LockGuard lock(mutex_);
    deadline_ = deadline;
    if (!draining_) descriptor_->set_deadline(rt::Side::read, rt::to_nanos(deadline));
  }

  std::error_code drain() override {
    bool barred = false;
    const std::error_code closed = descriptor_->with_fd([&](int fd) {
      barred = bar_new_handshakes(fd);
      return std::error_code();
    });
    if (closed) return closed;
    const LockGuard lock(mutex_);
    if (draining_) return {};
    draining_ = true;
    drain_ = {now(), barred};
    descriptor_->set_deadline(rt::Side::read, kPast);
    return {};
  }

  Address address() const override { return local_; }
  std::string_view network() const override { return network_; }

 private:
  struct Drain {
    TimePoint start{};
    bool barred = false;  // new handshakes are
  };

  bool draining() {
    const LockGuard lock(mutex_);
    return draining_;
  }

  // Returns one of those who are left, or closes the listener. Where new handshakes are not barred, others follow for
  // ever: then the listener is closed as soon as nobody is there, and in kBlindGrace at the latest.
  rt::AcceptResult accept_rest(SocketAddress& peer) {
    const Drain drain = drain_state();
    bool all_have_come = !drain.barred;
    while (true) {
      if (deadline_has_passed()) return {-1, Errc::timeout};
      if (!drain.barred && now() - drain.start >= kBlindGrace) {
        static_cast<void>(descriptor_->close());
        return {-1, Errc::closed};
      }
      const rt::AcceptResult accepted = descriptor_->accept_now(peer.data(), SocketAddress::capacity());
      const bool none = accepted.ec == std::errc::resource_unavailable_try_again;
      if (!none && accepted.ec != std::errc::operation_in_progress) {
        if (drain.barred && !accepted.ec) drop_inherited_bar(accepted.fd);
        return accepted;
      }
      if (none && all_have_come) {
        static_cast<void>(descriptor_->close());
        return {-1, Errc::closed};
      }
      // Also lets the kernel finish with a segment that passed before the filter was there.
      sleep(kDrainStep);
      // It is asked before the next look into the queue, which therefore finds what has come until now.
      all_have_come = !drain.barred || !handshakes_may_end(drain.start);
    }
  }

  bool deadline_has_passed() {
    const LockGuard lock(mutex_);
    return deadline_ <= now();
  }

  Drain drain_state() {
    const LockGuard lock(mutex_);
    return drain_;
  }

  // Whether a handshake may be under way that is worth waiting for. The drain began at `start`.
  bool handshakes_may_end(TimePoint start) const {
    const auto waited = now() - start;
    if (waited >= kHandshakeGrace) return false;
    const std::optional<bool> told =
        blocking([this] { return handshakes_under_way(local_.port(), local_.ip().is_v6()); });
    return told.value_or(waited < kBlindGrace);
  }

  const DescriptorHandle descriptor_;
  const std::string_view network_;
  const Address local_;
  rt::SpinMutex mutex_;
  TimePoint deadline_ WEFT_GUARDED_BY(mutex_) = kNoDeadline;
  bool draining_ WEFT_GUARDED_BY(mutex_) = false;
  Drain drain_ WEFT_GUARDED_BY(mutex_);
};

}  // namespace

std::error_code Acceptor::drain() { return close(); }
Address Acceptor::address() const { return {}; }
std::string_view Acceptor::network() const { return {}; }

Result<Listener> listen(std::string_view network, std::string_view address, ListenOptions options) {
  rt::scheduling_point();
  const std::string what = "listen " + std::string(network);
  const Result<std::vector<Address>> candidates = resolve(network, address, Purpose::listen);
  if (!candidates) return Unexpected(candidates.error().wrap(what));
  Result<int> fd = Unexpected(Error());
  for (const Address& candidate : *candidates) {
    const bool dual_stack = candidate.ip().is_unspecified() && network == "tcp";
    fd = open_listener_patiently(candidate, dual_stack, options);
    if (fd) break;
    // The next candidate is tried only where this one can't exist: a machine without IPv6.
    if (fd.error().code() != std::errc::address_family_not_supported &&
        fd.error().code() != std::errc::address_not_available)
      break;
  }
  if (!fd) return Unexpected(fd.error().wrap(what + " " + std::string(address)));
  DescriptorHandle descriptor = make_descriptor_handle(*fd, rt::FdKind::stream);
  const Address local = local_address_of(*fd);
  return Listener(std::make_shared<TcpAcceptor>(std::move(descriptor), network_name(network), local));
}

}  // namespace weft::net
