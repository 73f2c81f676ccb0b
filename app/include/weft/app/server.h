// Server: something that an App starts and stops.
#pragma once

#include <string>

#include <weft/context.h>
#include <weft/error.h>

namespace weft::app {

// The App calls listen() once, then serve() once in a goroutine of its own, then stop() once, which may find that
// serve() has returned, then close() if time is up or stop() failed. A start that fails before serve() leads to close()
// alone, also for a Server whose listen() failed or was never called.
// Thread safety: stop(), close() and busy() are called while serve() runs, close() and busy() also while stop() does.
// Lifetime: shared with the App, and with goroutines that may outlive App::run() when a server doesn't end.
class Server {
 public:
  virtual ~Server() = default;

  // One word for log lines: "http".
  virtual std::string name() const = 0;

  // Binds and listens, so that from here on clients may connect and address() is known. Must not wait for clients.
  virtual Error listen() = 0;

  // Where it can be reached, after listen(): "127.0.0.1:8080".
  virtual std::string address() const = 0;

  // Serves until stop() or close(), and returns once everything begun is done: no error after either of them. An
  // earlier return ends the App, with its error if there is one.
  virtual Error serve() = 0;

  // Takes in nothing new, and returns when what is in flight is done. When `ctx` is done first, returns its error and
  // leaves the rest to close().
  virtual Error stop(const Context& ctx) = 0;

  // Drops what is left, so that serve() returns soon; doesn't wait.
  virtual void close() = 0;

  // What it is still at, for the log when time is up: "active=2". Empty: nothing to say.
  virtual std::string busy() const { return {}; }
};

}  // namespace weft::app
