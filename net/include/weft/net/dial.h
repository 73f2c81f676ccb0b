// dial(): making a connection (Go's net.Dialer).
#pragma once

#include <chrono>
#include <string_view>

#include <weft/context.h>
#include <weft/error.h>
#include <weft/net/conn.h>

namespace weft::net {

struct DialOptions {
  // The longest time that a dial may take. Zero: as long as the kernel tries. The context's deadline counts, too.
  std::chrono::nanoseconds timeout{0};
};

// Connects to `address` ("host:port", a literal host or "localhost") on "tcp", "tcp4" or "tcp6". Parks the calling
// goroutine until the connection is there or refused, time is up, or `ctx` is done; afterwards `ctx` no longer matters.
// Goroutines only.
// Errors read "dial tcp 127.0.0.1:1: connect: connection refused" and keep their cause: Condition::deadline_exceeded,
// canceled.
Result<Conn> dial(const Context& ctx, std::string_view network, std::string_view address, DialOptions options = {});

}  // namespace weft::net
