#include "weft/net/dial.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "net/src/resolve.h"
#include "net/src/sockaddr.h"
#include "net/src/socket.h"
#include "runtime/src/base/errno.h"
#include "runtime/src/context/hook.h"
#include "runtime/src/sched/scheduling_point.h"
#include "weft/time_point.h"

namespace weft::net {
namespace {

// A deadline that has always passed.
constexpr rt::Nanos kPast = 0;

// How often a dial tries once more because of its local port: Go's number.
constexpr int kFurtherTries = 2;

// The kernel chooses no local port below this one: its range (ip_local_port_range) may not reach into the privileged
// ports.
constexpr std::uint16_t kLeastChosenPort = 1024;

rt::Nanos dial_deadline(const Context& ctx, const DialOptions& options) {
  constexpr std::chrono::nanoseconds kNone{0};
  if (options.timeout < kNone) return kPast;
  rt::Nanos deadline = rt::kNever;
  if (options.timeout > kNone) deadline = rt::saturating_add(rt::to_nanos(now()), options.timeout.count());
  if (const auto limit = ctx.deadline()) deadline = std::min(deadline, rt::to_nanos(*limit));
  return deadline;
}

// A context that ends wakes the connect: it sets a deadline in the past.
void abort_connect(void* descriptor) noexcept {
  static_cast<rt::Descriptor*>(descriptor)->set_deadline(rt::Side::write, kPast);
}

// Returns the peer's address after a connect to `address`, or none when only the kernel knows it: a connect to the
// unspecified address goes to this machine, and a scope is dropped where the address needs none.
Address peer_of(const Address& address) {
  if (address.ip().is_unspecified() || address.ip().scope() != 0) return {};
  return {address.ip().unmapped(), address.port()};
}

// One try. Errors name the system call.
Result<Conn> connect_once(const Context& ctx, std::string_view network, const Address& address, rt::Nanos deadline) {
  const SocketAddress socket_address(address);
  const int fd = open_tcp_socket(socket_address.family());
  if (fd < 0) return Unexpected(Error(rt::last_system_error(), "socket"));
  set_tcp_defaults(fd);
  DescriptorHandle descriptor = make_descriptor_handle(fd, rt::FdKind::tcp);
  if (deadline != rt::kNever) descriptor->set_deadline(rt::Side::write, deadline);

  rt::DoneHook hook(&abort_connect, descriptor.get());
  if (!hook.attach(ctx)) return Unexpected(ctx.err());
  const std::error_code ec = descriptor->connect(socket_address.data(), socket_address.size());
  hook.detach();
  if (ec == Condition::deadline_exceeded) {
    if (const Error done = ctx.err()) return Unexpected(done);
    return Unexpected(Error(ec));
  }
  if (ec) return Unexpected(Error(ec, "connect"));
  descriptor->set_deadline(rt::Side::write, rt::kNever);
  return make_tcp_conn(std::move(descriptor), network, peer_of(address));
}

// The kernel chooses the local port without a look at the remote one. When it hits on a remote port of this machine
// that nobody listens on, the socket connects to itself, by TCP's simultaneous open. And it may hit on a port that is
// in use, and then refuses to connect from there. Either says nothing of the peer.
bool has_bad_local_port(const Result<Conn>& conn, const Address& address) {
  if (!conn) return conn.error() == std::errc::address_not_available;
  return address.port() >= kLeastChosenPort && conn->local_address() == conn->remote_address();
}

Result<Conn> connect_to(const Context& ctx, std::string_view network, const Address& address, rt::Nanos deadline) {
  Result<Conn> conn = connect_once(ctx, network, address, deadline);
  for (int i = 0; i < kFurtherTries && has_bad_local_port(conn, address); ++i) {
    if (conn) static_cast<void>(conn->close());
    conn = connect_once(ctx, network, address, deadline);
  }
  return conn;
}

// Tries the addresses one after the other. `target` is what the caller gave, for errors.
Result<Conn> dial_in_turn(const Context& ctx, std::string_view network, std::span<const Address> addresses,
                          std::string_view target, const DialOptions& options) {
  const std::string what = "dial " + std::string(network) + " ";
  const rt::Nanos deadline = dial_deadline(ctx, options);
  Error first;
  for (const Address& address : addresses) {
    if (const Error done = ctx.err()) return Unexpected(done.wrap(what + std::string(target)));
    Result<Conn> conn = connect_to(ctx, network_name(network), address, deadline);
    if (conn) return conn;
    if (!first) first = conn.error().wrap(what + to_string(address));
    if (first == Condition::deadline_exceeded || first == Condition::canceled) break;
  }
  return Unexpected(first);
}

}  // namespace

Result<Conn> dial(const Context& ctx, std::string_view network, std::string_view address, DialOptions options) {
  rt::scheduling_point();
  const Result<std::vector<Address>> candidates = resolve(network, address, Purpose::dial);
  if (!candidates) return Unexpected(candidates.error().wrap("dial " + std::string(network)));
  return dial_in_turn(ctx, network, *candidates, address, options);
}

Result<Conn> dial(const Context& ctx, std::string_view network, const Address& address, DialOptions options) {
  rt::scheduling_point();
  if (const Error error = unsuitable(network, address)) {
    return Unexpected(error.wrap("dial " + std::string(network)));
  }
  return dial_in_turn(ctx, network, {&address, 1}, to_string(address), options);
}

}  // namespace weft::net
