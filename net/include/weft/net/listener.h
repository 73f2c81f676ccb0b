// Listener and listen(): waiting for connections (Go's net.Listen), and Acceptor: what a Listener is made of.
//
// Thread safety: a Listener is a handle, so its methods are const. Copies name the same socket, and several goroutines
// may call any method at the same time.
// Lifetime: close() ends it, and drain() with the accepts that follow; the last handle that goes closes one that is
// still open, and so does the end of weft::run().
// Blocking: accept parks the calling goroutine. Cancellation: close() or a deadline wakes it.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include <weft/error.h>
#include <weft/net/conn.h>
#include <weft/time_point.h>

namespace weft::net {

struct ListenOptions {
  // How many connections the kernel keeps for accept(). 0: the system's maximum (net.core.somaxconn).
  int backlog = 0;
  // Lets several sockets listen on one address (SO_REUSEPORT).
  bool reuse_port = false;
};

// What a Listener is made of. net's own listeners implement it, and so may yours: TLS, connections in memory, sockets
// that a supervisor opened. Listener says what each function promises; an implementation keeps the promises of
// Listener's header, and its destructor closes what is still open. What has a default is optional.
class Acceptor {
 public:
  virtual ~Acceptor() = default;

  virtual Result<Conn> accept() = 0;
  virtual std::error_code close() = 0;
  virtual void set_deadline(TimePoint deadline) = 0;

  // close() by default. An acceptor that wraps another one passes it on.
  virtual std::error_code drain();
  // None by default.
  virtual Address address() const;
  // The name of the network for the texts of errors. Empty by default. The text lives as long as the acceptor.
  virtual std::string_view network() const;
};

class Listener {
 public:
  Listener() = default;  // no listener; only assignment and operator bool may be used
  explicit Listener(std::shared_ptr<Acceptor> acceptor) : acceptor_(std::move(acceptor)) {}
  explicit operator bool() const { return acceptor_ != nullptr; }

  // Returns the next connection, a TCP one with TCP_NODELAY set. Errors: Condition::closed after close(),
  // deadline_exceeded, or the system's. EMFILE and the like are temporary: the caller waits a moment and tries again.
  Result<Conn> accept() const { return acceptor_->accept(); }

  // Wakes every accept in flight. A second close returns Errc::closed. Clients that were not accepted yet are reset.
  std::error_code close() const { return acceptor_->close(); }

  // Ends listening without losing a client: lets nobody new connect, and returns at once. accept() goes on to return
  // connections, and closes the listener when the last one is out: Condition::closed. So whoever accepts in a loop goes
  // on until that error. If nobody accepts, the listener stays open until close(). A second call does nothing; after
  // close() it returns Errc::closed.
  //
  // net's listeners of TCP drop the first segment of every further handshake, by a filter on the socket, and wait for
  // the handshakes that are under way: for 1.5 s at the most, which is enough for a slow client whose packets are lost
  // once. A client whose first segment was dropped sends it again, on Linux a second later. By then the connection is
  // refused, or reaches another listener of the address (ListenOptions::reuse_port, or the next process). Where the
  // kernel takes no filter (some sandboxes), accept() returns what is there, for 250 ms at the most, and who connects
  // just before the close is reset. Where the kernel doesn't tell of handshakes, accept() waits for them for 250 ms.
  // A handshake that the kernel keeps no record of, because its queue was full and it sent a SYN cookie, is not waited
  // for.
  std::error_code drain() const { return acceptor_->drain(); }
  // The deadline is absolute, on the monotonic clock, and holds for accepts in flight and to come; kNoDeadline clears
  // it.
  void set_deadline(TimePoint deadline) const { acceptor_->set_deadline(deadline); }

  // Where it listens; after ":0" with the port that the kernel chose.
  Address address() const { return acceptor_->address(); }
  // "tcp", "tcp4" or "tcp6", as listen() was told; an acceptor of your own says its own name. It lives as long as the
  // listener.
  std::string_view network() const { return acceptor_->network(); }

  // What this listener is made of, to wrap it or to ask for more than Listener offers.
  const std::shared_ptr<Acceptor>& acceptor() const { return acceptor_; }

 private:
  std::shared_ptr<Acceptor> acceptor_;
};

// `network` is "tcp", "tcp4" or "tcp6". `address` is "host:port" with a literal host ("127.0.0.1:80", "[::1]:80",
// "localhost:80"), or ":port" for every address of this machine (of both families on "tcp"). Port 0 lets the kernel
// choose. Goroutines only. Parks for up to 50 ms when the address is in use, for a process that has just died may hold
// the address a little longer.
// Errors read "listen tcp 127.0.0.1:80: bind: address already in use".
Result<Listener> listen(std::string_view network, std::string_view address, ListenOptions options = {});

}  // namespace weft::net
