#include "weft/net/dial.h"

#include <algorithm>
#include <string>
#include <utility>

#include "net/src/resolve.h"
#include "net/src/sockaddr.h"
#include "net/src/socket.h"
#include "runtime/src/base/errno.h"
#include "runtime/src/context/hook.h"
#include "weft/time_point.h"

namespace weft::net {
namespace {

// A deadline that has always passed.
constexpr rt::Nanos kPast = 0;

rt::Nanos dial_deadline(const Context& ctx, const DialOptions& options) {
  rt::Nanos deadline = rt::kNever;
  if (options.timeout > std::chrono::nanoseconds::zero())
    deadline = rt::saturating_add(rt::to_nanos(now()), options.timeout.count());
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

Result<Conn> connect_to(const Context& ctx, std::string_view network, const Address& address, rt::Nanos deadline) {
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

}  // namespace

Result<Conn> dial(const Context& ctx, std::string_view network, std::string_view address, DialOptions options) {
  const std::string what = "dial " + std::string(network);
  const Result<std::vector<Address>> candidates = resolve(network, address, Purpose::dial);
  if (!candidates) return Unexpected(candidates.error().wrap(what));
  const rt::Nanos deadline = dial_deadline(ctx, options);
  Error first;
  for (const Address& candidate : *candidates) {
    if (const Error done = ctx.err()) return Unexpected(done.wrap(what + " " + std::string(address)));
    Result<Conn> conn = connect_to(ctx, network_name(network), candidate, deadline);
    if (conn) return conn;
    if (!first) first = conn.error().wrap(what + " " + to_string(candidate));
    if (first == Condition::deadline_exceeded || first == Condition::canceled) break;
  }
  return Unexpected(first);
}

}  // namespace weft::net
