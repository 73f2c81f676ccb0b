// Connection: one client, as the server knows it. A protocol (http1/ is one) derives from it.
//
// state_ says who may end a connection that serves no request:
//
//   state       meaning                             set by
//   fresh       accepted, nothing heard             constructor
//   active      a request is coming or served       its goroutine, from fresh or idle, by compare-exchange
//   idle        waits for the next request          its goroutine, from active
//   closing     shutdown took it                    Server::shutdown, from fresh or idle, by compare-exchange
//
// So a request whose first bytes the goroutine has noticed is never cut off by shutdown.
//
// Shutdown and a connection that becomes idle meet in a sleep/wake pair. become_idle() stores idle and then loads the
// host's shutting_down flag; Server::Impl::begin_shutdown() stores the flag and then loads the states, by end_if().
// That is a compare-exchange, and when it fails it is such a load, too. All four are seq_cst, because with acquire and
// release each side could miss the other's store, and the connection would wait out its idle timeout.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <string_view>

#include "weft/context.h"
#include "weft/http/server.h"
#include "weft/log.h"
#include "weft/net/conn.h"

namespace weft::http::detail {

class Connection;

// What a connection asks of the server that it belongs to. The host outlives its connections.
// Thread safety: any goroutine.
class ConnectionHost {
 public:
  const ServerOptions& options() const noexcept { return options_; }
  // What the contexts of requests are made from.
  const Context& context() const noexcept { return context_; }
  bool shutting_down() const noexcept { return shutting_down_.load(std::memory_order_seq_cst); }
  void log(LogLevel level, std::string_view line) const { options_.log(level, line); }
  void count_stall() noexcept { stalled_.fetch_add(1, std::memory_order_relaxed); }

  // The server no longer lists, counts or waits for `connection`, whose client is now somebody else's.
  virtual void forget(Connection& connection) = 0;

 protected:
  explicit ConnectionHost(ServerOptions options) : options_(std::move(options)) {}
  ~ConnectionHost() = default;

  const ServerOptions options_;  // complete: the handler and the log are never empty
  Context context_;
  std::atomic<bool> shutting_down_{false};
  std::atomic<std::uint64_t> stalled_{0};  // connections that were ended because their clients had stopped
};

enum class ConnectionState : std::uint8_t { fresh, active, idle, closing };

// Thread safety: the server's part is for any goroutine, the rest for the goroutine that serves.
// Locks: the server calls begin_shutdown(), end_if(), wake() and close() with its mutex held. So they may neither call
// the host, nor park until the client or the goroutine that serves does something. A protocol that has to tell its
// client that the server shuts down sets a flag there and wakes its own goroutine, which then writes.
// Lifetime: owned by the goroutine that serves it, which takes it off the server's list before it goes.
class Connection {
 public:
  explicit Connection(ConnectionHost& host) noexcept : host_(host) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() = default;

  // Serves the client until the connection ends, and closes it unless it was hijacked. Parks. Throws nothing but what
  // exit_goroutine() throws.
  virtual void serve() = 0;

  // The server's part.
  ConnectionState state() const noexcept { return state_.load(std::memory_order_seq_cst); }
  std::uint64_t requests() const noexcept { return requests_.load(std::memory_order_relaxed); }
  // The server has begun to shut down. An idle connection ends now. An active one ends after what it serves, because
  // it asks its host; a protocol that has to tell its client earlier overrides this.
  virtual void begin_shutdown() { end_if(ConnectionState::idle); }
  // Ends the connection if it is `expected`, which is fresh or idle.
  void end_if(ConnectionState expected);
  // The hard end: every read and write in flight fails. It may wait until those have let go of the connection, as
  // net::Conn::close() does.
  virtual void close() = 0;

  // Whether it stands in the server's list, and where. Guarded by the server's mutex.
  bool listed = false;
  std::list<Connection*>::iterator place;

 protected:
  ConnectionHost& host() const noexcept { return host_; }

  // The client was heard of: from fresh or idle to active. False when shutdown was faster.
  bool become_active(ConnectionState from) noexcept {
    return state_.compare_exchange_strong(from, ConnectionState::active, std::memory_order_acq_rel,
                                          std::memory_order_relaxed);
  }
  // From active to idle. False when the server shuts down, and the connection is to end.
  bool become_idle() noexcept;
  void count_request() noexcept {
    requests_.store(requests_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

 private:
  // The state became closing: the goroutine, which waits for its client or is about to, shall say goodbye and close.
  virtual void wake() = 0;

  ConnectionHost& host_;
  std::atomic<std::uint64_t> requests_{0};  // written by the goroutine alone
  std::atomic<ConnectionState> state_{ConnectionState::fresh};
};

}  // namespace weft::http::detail
