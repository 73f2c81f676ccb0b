// Server: HTTP/1.1 on listeners (RFC 9112; Go's http.Server).
//
//   weft::http::ServeMux mux;
//   mux.handle("GET /hello", [](weft::http::ResponseWriter& w, weft::http::Request&) { w.write("hello\n"); });
//   weft::http::Server server({.address = ":8080", .handler = mux});
//   weft::go([server] {
//     signal.wait();
//     server.shutdown(weft::with_timeout(weft::background(), 10s).first);
//   });
//   auto error = server.listen_and_serve();                // returns once every connection is done
//
// Each connection has a goroutine, which serves its requests one after the other, also when they come pipelined. The
// responses of a burst leave in one write. A request that can't be understood gets its 4xx or 5xx and the connection
// ends; docs/http.md lists them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <weft/context.h>
#include <weft/detail/chrono.h>
#include <weft/error.h>
#include <weft/http/errc.h>
#include <weft/http/response_writer.h>
#include <weft/log.h>
#include <weft/net/listener.h>

namespace weft::http {

// A value. Timeouts: a negative one never expires. When one expires, the connection is closed without a word. The
// defaults cut off clients that have stopped, and no others: there is no limit for a large upload or download that goes
// on, and none for a handler that takes its time.
struct ServerOptions {
  // Where listen_and_serve() listens, "host:port" or ":port". Empty: ":80".
  std::string address = {};

  // Answers the requests. Empty: 404 for all.
  Handler handler = {};

  // From the accept, or the first byte of a later request, to the end of its head. An empty line before a request
  // belongs to its head. Zero: read_timeout.
  std::chrono::nanoseconds read_header_timeout = std::chrono::seconds(10);

  // From the same start to the end of the request's body. Zero: no limit but stall_timeout.
  std::chrono::nanoseconds read_timeout{0};

  // From the end of a request's head to the end of its response. Zero: no limit but stall_timeout.
  std::chrono::nanoseconds write_timeout{0};

  // How long a handler waits in a read of the body of which the client sends nothing, or in a write of which the client
  // takes nothing. Each byte that moves gives the client as much time again, and time in which the handler does
  // something else doesn't count. The read or write then fails with Condition::deadline_exceeded, and the connection
  // ends with the handler; ServerStats counts it, and the log has a line. It holds for reads where read_timeout is
  // zero, for writes where write_timeout is zero, and not for a request whose handler sets a deadline of its own. Zero
  // or negative: none.
  std::chrono::nanoseconds stall_timeout = std::chrono::seconds(30);

  // How long a connection may wait for its next request. Zero: read_timeout.
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(120);

  // Bytes of a request's start line and header fields; more get 431, and so do more than 1024 fields. Zero: 1 MiB.
  std::size_t max_header_bytes = 1024 * 1024;

  // Bytes of a request's body. A declared length beyond it gets 413 before the handler is asked; of a chunked body, the
  // read that crosses it fails with Errc::body_too_large, and the connection ends after the response. Zero: no limit.
  std::uint64_t max_body_bytes = 64 * 1024 * 1024;

  // Told of clients that stall (info), of failed accepts and misuse by handlers (warnings), and of handlers that throw
  // (errors). Text from outside is quoted, so each call is one line. Called from any goroutine, also from several at
  // the same time; must not throw. Empty: lines on stderr.
  LogSink log = {};

  // What every Request::context() is made from.
  Context base_context = {};
};

struct ServerStats {
  std::uint64_t connections = 0;  // accepted since the start
  std::uint64_t requests = 0;     // begun since the start
  std::uint64_t stalled = 0;      // connections ended by ServerOptions::stall_timeout since the start
  std::size_t open = 0;           // connections now: active + idle
  std::size_t active = 0;         // being served, or not yet heard of
  std::size_t idle = 0;           // between two requests
};

// Thread safety: a Server is a handle; copies name the same server, and every method may be called from several
// goroutines. Every method is const, as those of all handles are: it changes the server and not the handle.
// Lifetime: connections keep what they need alive. What the handler captures by reference must outlive serve(), and
// longer where the handler hijacks connections: nobody waits for those. A server serves once: after shutdown() or
// close() it stays closed. Blocking and cancellation: see the methods.
class Server {
 public:
  explicit Server(ServerOptions options);

  // Listens on options.address and serves. Errors: those of net::listen(), else those of serve().
  Error listen_and_serve() const;

  // Accepts and serves connections until shutdown() or close(), then waits until the last connection is done, and
  // returns Errc::server_closed. After a shutdown() that came before, it still serves who has connected already, and
  // after close() nobody. May run for several listeners at the same time; closes the listener at the end. When
  // accept fails for good, returns its error at once and leaves the connections alone; when it fails for want of files
  // or memory, waits 5 ms, doubling to 1 s, and tries again. Goroutines only.
  Error serve(net::Listener listener) const;

  // The graceful end: drains the listeners (Listener::drain), runs the on_shutdown functions, and lets connections
  // finish the request they are at, whose response says "Connection: close". No client that has connected and sent its
  // request goes without its response. So connections that have no request, or half of a head, wait half a second for
  // the rest; then they are ended. An idle connection therefore holds a shutdown for that long. Where `ctx` leaves less
  // than a second, they wait for half of its time, but 20 ms at the least. Returns no error when all connections are
  // done; when `ctx` is done first, closes the listeners, returns the context's error, and connections go on until they
  // end or close() is called.
  Error shutdown(const Context& ctx) const;

  // The hard end: closes listeners and connections and cancels the contexts of all requests. Doesn't wait for handlers.
  // A hijacked connection stays open, but the context of its request ends, too, where the handler still runs.
  void close() const;

  // `fn` runs in a goroutine of its own when shutdown() begins; shutdown() doesn't wait for it.
  void on_shutdown(std::function<void()> fn) const;

  // A snapshot; any thread.
  ServerStats stats() const;

  class Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace weft::http
