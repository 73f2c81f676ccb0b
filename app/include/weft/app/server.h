// Server: something that an App starts and stops.
#pragma once

#include <string>

#include <weft/context.h>
#include <weft/error.h>

namespace weft::app {

// The App calls listen() once, then serve() once in a goroutine of its own, then stop() once. serve() may have returned
// before stop() is called. The App calls close() last, if time is up or stop() failed. After a start that fails before
// serve(), the App calls only close(), also on a Server whose listen() failed or was never called.
//
// Thread safety: stop(), close() and busy() are called while serve() runs; close() and busy() also while stop() runs.
// Lifetime: shared with the App, and with goroutines that may outlive App::run() when a server doesn't end.
class Server {
 public:
  virtual ~Server() = default;

  // The server's name in log lines, in one word: "http".
  virtual std::string name() const = 0;

  // Binds and listens: when listen() has returned, clients may connect and address() is known. Must not wait for
  // clients.
  virtual Error listen() = 0;

  // The address at which clients reach the server, known after listen(): "127.0.0.1:8080".
  virtual std::string address() const = 0;

  // Serves until stop() or close() is called, and returns once everything that was begun is done. Returns no error
  // after stop() or close(). An earlier return ends the App, with the returned error if there is one.
  virtual Error serve() = 0;

  // Accepts no new work, and returns when the work in flight is done. When `ctx` is done first, returns the context's
  // error and leaves the rest to close().
  virtual Error stop(const Context& ctx) = 0;

  // Drops what is left, so that serve() returns soon. Does not wait.
  virtual void close() = 0;

  // What keeps the server busy, for the log when time is up: "active=2". Empty: nothing to say.
  virtual std::string busy() const { return {}; }
};

}  // namespace weft::app
