// Listener and listen(): waiting for connections (Go's net.Listen).
//
// Thread safety: a Listener is a handle; copies name the same socket, and every method may be called from several goroutines.
// Lifetime: close() ends it; the last handle to go closes one that is still open.
// Blocking: accept parks the calling goroutine. Cancellation: close() or a deadline wakes it.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include <weft/error.h>
#include <weft/net/conn.h>

namespace weft::net {

struct ListenOptions {
  // Connections the kernel keeps for accept(). 0: the system's maximum (net.core.somaxconn).
  int backlog = 0;
  // Lets several sockets listen on one address (SO_REUSEPORT).
  bool reuse_port = false;
};

class Listener {
 public:
  Listener() = default;
  explicit operator bool() const { return impl_ != nullptr; }

  // The next connection, with TCP_NODELAY set. Errors: Condition::closed after close(), deadline_exceeded, or the system's
  // (EMFILE and the like are temporary: the caller waits a moment and tries again).
  Result<Conn> accept();

  // Wakes every accept in flight; a second close returns Errc::closed.
  std::error_code close();
  void set_deadline(TimePoint deadline);

  // Where it listens; after ":0" the port that the kernel chose.
  Address address() const;

  class Impl;
  explicit Listener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<Impl> impl_;
};

// `network` is "tcp", "tcp4" or "tcp6"; `address` is "host:port" with a literal host ("127.0.0.1:80", "[::1]:80", "localhost:80"), or
// ":port" for every address (dual-stack on "tcp"). Port 0 lets the kernel choose. Goroutines only; parks for up to 50 ms when the address is
// in use, for a process that has just died may hold it a little longer.
// Errors read "listen tcp 127.0.0.1:80: bind: address already in use".
Result<Listener> listen(std::string_view network, std::string_view address, ListenOptions options = {});

}  // namespace weft::net
