// Connection: one client, as the server knows it. A protocol (http1/ is one) derives from it.
//
// state_ says who may set the deadline of a connection's reads:
//
//   state     meaning                                  set by
//   fresh     accepted, nothing heard                  constructor
//   active    a request is coming or served            its goroutine, from fresh, partial or idle, by compare-exchange
//   partial   waits for the rest of a request's head   its goroutine, from active
//   idle      waits for the next request               its goroutine, from active
//   held      shutdown sets the limit of its wait      Server::shutdown, from fresh, partial or idle, by
//                                                      compare-exchange; it puts back at once what was there
//
// So shutdown never sets a deadline that meets the body of a request. What a client sends in time is served, whatever
// shutdown does.
//
// Shutdown and a connection that begins to wait meet in a sleep/wake pair. The goroutine arms its own deadline, stores
// the state in begin_wait(), and then loads the host's shutting_down flag; if it is set, the goroutine limits its wait
// by itself. Server::Impl::begin_shutdown() stores the flag and then loads the states, in Connection::begin_shutdown().
// All four are seq_cst, because with acquire and release each side could miss the other's store, and the connection
// would wait out its idle timeout.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string_view>

#include "weft/context.h"
#include "weft/http/server.h"
#include "weft/log.h"
#include "weft/net/conn.h"
#include "weft/time_point.h"

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
  // While the server shuts down: until when a connection may wait for a request, or for the rest of its head, if it has
  // waited since `start`.
  TimePoint wait_limit(TimePoint start) const noexcept { return std::max(start, stop_start_) + stop_grace_; }
  void log(LogLevel level, std::string_view line) const { options_.log(level, line); }
  void count_stall() noexcept { stalled_.fetch_add(1, std::memory_order_relaxed); }

  // The server no longer lists, counts or waits for `connection`, whose client is now somebody else's.
  virtual void forget(Connection& connection) = 0;

 protected:
  explicit ConnectionHost(ServerOptions options) : options_(std::move(options)) {}
  ~ConnectionHost() = default;

  std::uint64_t stalled() const noexcept { return stalled_.load(std::memory_order_relaxed); }

  // Called once. Each connection without a request has `grace` to send one.
  void set_shutting_down(TimePoint start, std::chrono::nanoseconds grace) noexcept {
    stop_start_ = start;
    stop_grace_ = grace;
    shutting_down_.store(true, std::memory_order_seq_cst);
  }

  const ServerOptions options_;  // complete: the handler and the log are never empty
  Context context_;

 private:
  std::atomic<bool> shutting_down_{false};
  // Written before the flag is set, and read after it was seen.
  TimePoint stop_start_{};
  std::chrono::nanoseconds stop_grace_{0};
  std::atomic<std::uint64_t> stalled_{0};  // connections that were ended because their clients had stopped
};

enum class ConnectionState : std::uint8_t { fresh, active, partial, idle, held };

// Thread safety: the server's part is for any goroutine, the rest for the goroutine that serves.
// Locks: the server calls begin_shutdown(), limit_wait() and close() with its mutex held. So they may neither call the
// server, nor park until the client or the goroutine that serves does something. A protocol that has to tell its client
// that the server shuts down sets a flag there and wakes its own goroutine, which then writes.
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
  // The server has begun to shut down. A connection that waits for a request, or for the rest of a head, waits no
  // longer than the host's wait_limit(), and ends when nothing has come. An active one ends after what it serves,
  // because it asks its host; a protocol that has to tell its client earlier overrides this.
  virtual void begin_shutdown();
  // The hard end: every read and write in flight fails. It may wait until those have let go of the connection, as
  // net::Conn::close() does.
  virtual void close() = 0;

  // Whether it stands in the server's list, and where. Guarded by the server's mutex.
  bool listed = false;
  std::list<Connection*>::iterator place;

 protected:
  ConnectionHost& host() const noexcept { return host_; }

  // From active to partial or idle; the deadline is armed already. Then the goroutine looks whether the host shuts
  // down.
  void begin_wait(ConnectionState wait) noexcept { state_.store(wait, std::memory_order_seq_cst); }
  // The client was heard of: from fresh, partial or idle to active.
  void become_active(ConnectionState wait) {
    ConnectionState expected = wait;
    if (!state_.compare_exchange_strong(expected, ConnectionState::active, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
      become_active_late(wait);
    }
  }
  void count_request() noexcept {
    requests_.store(requests_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

 private:
  // Sets the deadline of the wait that the goroutine is in, or is about to begin.
  virtual void limit_wait(TimePoint limit) = 0;

  void become_active_late(ConnectionState wait);

  ConnectionHost& host_;
  std::atomic<std::uint64_t> requests_{0};  // written by the goroutine alone
  std::atomic<ConnectionState> state_{ConnectionState::fresh};
};

}  // namespace weft::http::detail
