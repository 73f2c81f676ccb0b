#include "weft/http/server.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

#include "http/src/server/connection.h"
#include "http/src/server/server_impl.h"
#include "weft/go.h"
#include "weft/http/errc.h"
#include "weft/http/helpers.h"
#include "weft/lock_guard.h"
#include "weft/time.h"

namespace weft::http {

using detail::Connection;
using detail::ConnectionState;

namespace {

constexpr std::chrono::milliseconds kFirstBackoff{5};
constexpr std::chrono::milliseconds kLastBackoff{1000};
// For connections that were accepted but have sent nothing when shutdown begins.
constexpr std::chrono::milliseconds kFreshGrace{500};
constexpr std::size_t kDefaultMaxHeaderBytes = 1024 * 1024;

void log_to_stderr(LogLevel, std::string_view line) {
  const std::string text = std::string(line) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

ServerOptions complete(ServerOptions options) {
  if (options.address.empty()) options.address = ":80";
  if (!options.handler) options.handler = not_found;
  if (!options.log) options.log = log_to_stderr;
  if (options.max_header_bytes == 0) options.max_header_bytes = kDefaultMaxHeaderBytes;
  // The parser counts in 32 bits.
  options.max_header_bytes = std::min<std::size_t>(options.max_header_bytes, std::numeric_limits<std::int32_t>::max());
  return options;
}

// Tells errors of accept that go away by themselves.
bool is_temporary(const Error& error) {
  constexpr std::errc kTemporary[] = {std::errc::too_many_files_open, std::errc::too_many_files_open_in_system,
                                      std::errc::connection_aborted,  std::errc::connection_reset,
                                      std::errc::no_buffer_space,     std::errc::not_enough_memory};
  return std::any_of(std::begin(kTemporary), std::end(kTemporary), [&](std::errc code) { return error == code; });
}

}  // namespace

Server::Impl::Impl(ServerOptions options)
    : ConnectionHost(complete(std::move(options))), protocol_(detail::make_protocol(options_)) {
  auto [context, cancel] = with_cancel(options_.base_context);
  context_ = std::move(context);
  cancel_ = std::move(cancel);
}

Error Server::Impl::listen_and_serve() {
  if (shutting_down()) return make_error_code(Errc::server_closed);
  Result<net::Listener> listener = net::listen("tcp", options_.address);
  return listener ? serve(*std::move(listener)) : listener.error();
}

Error Server::Impl::serve(net::Listener listener) {
  std::list<net::Listener>::iterator place;
  {
    const LockGuard lock(mutex_);
    if (shutting_down()) {
      static_cast<void>(listener.close());
      return make_error_code(Errc::server_closed);
    }
    place = listeners_.insert(listeners_.end(), listener);
  }
  Error error = accept_until_closed(listener);
  static_cast<void>(listener.close());
  {
    const LockGuard lock(mutex_);
    listeners_.erase(place);
  }
  if (!shutting_down()) return error;
  connections_left_.wait();
  return make_error_code(Errc::server_closed);
}

Error Server::Impl::accept_until_closed(net::Listener& listener) {
  auto backoff = kFirstBackoff;
  while (true) {
    Result<net::Conn> conn = listener.accept();
    if (conn) {
      backoff = kFirstBackoff;
      start_connection(*std::move(conn));
    } else if (!shutting_down() && is_temporary(conn.error())) {
      log(LogLevel::warning,
          "http: Accept error: " + conn.error().message() + "; retrying in " + std::to_string(backoff.count()) + "ms");
      sleep(backoff);
      backoff = std::min(2 * backoff, kLastBackoff);
    } else {
      return conn.error();
    }
  }
}

// Without memory this connection ends, and the server goes on.
void Server::Impl::start_connection(net::Conn conn) {
  Connection* connection = nullptr;
  try {
    connection = enter(std::move(conn));
    if (connection == nullptr) return;
    go([self = shared_from_this(), connection] { self->run(connection); });
  } catch (const std::bad_alloc&) {
    log(LogLevel::error, "http: no memory for a connection");
    if (connection == nullptr) return;  // its last handle has closed it
    connection->close();
    forget(*connection);
    delete connection;
  }
}

// Null, and the connection is closed, when the server takes no more.
Connection* Server::Impl::enter(net::Conn conn) {
  std::unique_ptr<Connection> connection = protocol_->make_connection(*this, {.conn = std::move(conn)});
  const LockGuard lock(mutex_);
  if (shutting_down()) {
    connection->close();
    return nullptr;
  }
  connection->place = connections_.insert(connections_.end(), connection.get());
  connection->listed = true;
  connections_left_.add(1);
  ++accepted_;
  return connection.release();
}

void Server::Impl::run(Connection* connection) {
  struct LeaveAtEnd {
    Impl& server;
    Connection* connection;
    ~LeaveAtEnd() {
      const bool was_listed = server.unlist(*connection);
      delete connection;
      if (was_listed) server.connections_left_.done();
    }
  };
  const LeaveAtEnd end{*this, connection};  // also when the handler calls exit_goroutine()
  connection->serve();
}

void Server::Impl::forget(Connection& connection) {
  if (unlist(connection)) connections_left_.done();
}

// True when the connection was on the list; then the caller counts it off connections_left_.
bool Server::Impl::unlist(Connection& connection) {
  std::vector<CancelFunc> waiters;
  {
    const LockGuard lock(mutex_);
    if (!connection.listed) return false;
    connection.listed = false;
    past_requests_ += connection.requests();
    connections_.erase(connection.place);
    if (connections_.empty() && shutting_down()) waiters.swap(drain_waiters_);
  }
  for (const CancelFunc& drained : waiters) drained();
  return true;
}

void Server::Impl::on_shutdown(std::function<void()> fn) {
  const LockGuard lock(mutex_);
  shutdown_functions_.push_back(std::move(fn));
}

void Server::Impl::begin_shutdown() {
  std::vector<std::function<void()>> functions;
  {
    const LockGuard lock(mutex_);
    // The other half is Connection::become_idle(), which stores its state and then loads the flag; see connection.h.
    shutting_down_.store(true, std::memory_order_seq_cst);
    close_listeners_locked();
    functions.swap(shutdown_functions_);
  }
  for (auto& fn : functions) go(std::move(fn));
  const LockGuard lock(mutex_);
  for (Connection* const connection : connections_) connection->begin_shutdown();
}

void Server::Impl::close_listeners_locked() {
  for (net::Listener& listener : listeners_) static_cast<void>(listener.close());
}

void Server::Impl::end_fresh_connections() {
  const LockGuard lock(mutex_);
  for (Connection* const connection : connections_) connection->end_if(ConnectionState::fresh);
}

// True once no connection is left, false when `ctx` is done before.
bool Server::Impl::wait_drained(const Context& ctx) {
  const auto [drained, cancel] = with_cancel(ctx);
  {
    const LockGuard lock(mutex_);
    if (connections_.empty()) return true;
    drain_waiters_.push_back(cancel);
  }
  static_cast<void>(drained.done().recv());
  const LockGuard lock(mutex_);
  return connections_.empty();
}

// The graceful end:
//   1. begin_shutdown() sets shutting_down_, closes the listeners and starts the on_shutdown functions. Responses from
//      here on say "Connection: close".
//   2. It tells every connection. An idle one ends: its goroutine ends the stream to its client, hears out what is
//      under way, and closes.
//   3. An active one finishes the request that it is at. A fresh one has kFreshGrace to begin; then it is ended like an
//      idle one.
//   4. The last connection to leave the list wakes who waits in wait_drained(), and serve() returns.
// When ctx is done first, shutdown() returns, and step 3 goes on without it.
Error Server::Impl::shutdown(const Context& ctx) {
  begin_shutdown();
  {
    const auto [grace, cancel] = with_timeout(ctx, kFreshGrace);
    const bool drained = wait_drained(grace);
    cancel();
    if (drained) return {};
  }
  if (!ctx.err()) {
    end_fresh_connections();
    if (wait_drained(ctx)) return {};
  }
  return ctx.err();
}

void Server::Impl::close() {
  {
    const LockGuard lock(mutex_);
    shutting_down_.store(true, std::memory_order_seq_cst);
    close_listeners_locked();
    for (Connection* const connection : connections_) connection->close();
  }
  cancel_();
}

ServerStats Server::Impl::stats() const {
  ServerStats stats;
  const LockGuard lock(mutex_);
  stats.connections = accepted_;
  stats.requests = past_requests_;
  stats.stalled = stalled_.load(std::memory_order_relaxed);
  stats.open = connections_.size();
  for (const Connection* const connection : connections_) {
    stats.requests += connection->requests();
    if (connection->state() == ConnectionState::idle) ++stats.idle;
  }
  stats.active = stats.open - stats.idle;
  return stats;
}

Server::Server(ServerOptions options) : impl_(std::make_shared<Impl>(std::move(options))) {}

Error Server::listen_and_serve() const { return impl_->listen_and_serve(); }
Error Server::serve(net::Listener listener) const { return impl_->serve(std::move(listener)); }
Error Server::shutdown(const Context& ctx) const { return impl_->shutdown(ctx); }
void Server::close() const { impl_->close(); }
void Server::on_shutdown(std::function<void()> fn) const { impl_->on_shutdown(std::move(fn)); }
ServerStats Server::stats() const { return impl_->stats(); }

}  // namespace weft::http
