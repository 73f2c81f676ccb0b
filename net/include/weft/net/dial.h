// dial(): making a connection (Go's net.Dialer).
//
// Thread safety: dials are independent of each other. Lifetime: what is passed is used only until the call returns.
#pragma once

#include <chrono>
#include <string_view>

#include <weft/context.h>
#include <weft/error.h>
#include <weft/net/address.h>
#include <weft/net/conn.h>

namespace weft::net {

struct DialOptions {
  // The longest time that a dial may take. Zero: as long as the kernel tries. Negative: time is up before it begins.
  // The context's deadline counts, too.
  std::chrono::nanoseconds timeout{0};
};

// Connects to `address` ("host:port", a literal host or "localhost") on "tcp", "tcp4" or "tcp6". Parks the calling
// goroutine until the connection is there or refused, time is up, or `ctx` is done; afterwards `ctx` no longer matters.
// A dial is a scheduling point also when it need not wait. Goroutines only.
// When the kernel chooses a local port that is of no use, the dial tries again, at most twice, as Go's does: a port
// that is in use, or the very port that is dialed, by which a socket connects to itself.
// Errors read "dial tcp 127.0.0.1:1: connect: connection refused" and keep their cause: Condition::deadline_exceeded,
// canceled.
Result<Conn> dial(const Context& ctx, std::string_view network, std::string_view address, DialOptions options = {});

// The same for an IP address that is known: nothing is parsed or looked up. Errors read "dial tcp: missing address" for
// none, and "dial tcp: address /run/x.sock: not an IP address" for a Unix one.
Result<Conn> dial(const Context& ctx, std::string_view network, const Address& address, DialOptions options = {});

}  // namespace weft::net
