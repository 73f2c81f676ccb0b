#include "weft/http/server.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "http/src/server/connection.h"
#include "http/src/server/server_impl.h"
#include "weft/go.h"
#include "weft/http/errc.h"
#include "weft/http/http.h"
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

ServerOptions complete(ServerOptions options) {
  if (options.address.empty()) options.address = ":80";
  if (!options.handler) options.handler = not_found;
  if (options.max_header_bytes == 0) options.max_header_bytes = kDefaultMaxHeaderBytes;
  // The parser counts in 32 bits.
  options.max_header_bytes = std::min<std::size_t>(options.max_header_bytes, std::numeric_limits<std::int32_t>::max());
  return options;
}

// Errors of accept that go away by themselves.
bool is_temporary(const Error& error) {
  constexpr std::errc kTemporary[] = {std::errc::too_many_files_open, std::errc::too_many_files_open_in_system,
                                      std::errc::connection_aborted,  std::errc::connection_reset,
                                      std::errc::no_buffer_space,     std::errc::not_enough_memory};
  return std::any_of(std::begin(kTemporary), std::end(kTemporary), [&](std::errc code) { return error == code; });
}

}  // namespace

Server::Impl::Impl(ServerOptions options) : options_(complete(std::move(options))), pool_(options_.max_header_bytes) {
  auto [context, cancel] = with_cancel(options_.base_context);
  context_ = std::move(context);
  cancel_ = std::move(cancel);
}

void Server::Impl::log(std::string_view line) const {
  if (options_.error_log) return options_.error_log(line);
  const std::string text = std::string(line) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

Error Server::Impl::listen_and_serve() {
  if (shutting_down()) return make_error_code(Errc::server_closed);
  Result<net::Listener> listener = net::listen("tcp", options_.address);
  return listener ? serve(*std::move(listener)) : listener.error();
}

Error Server::Impl::serve(net::Listener listener) {
  std::list<net::Listener>::iterator place;
  {
    const std::lock_guard lock(mutex_);
    if (shutting_down()) {
      (void)listener.close();
      return make_error_code(Errc::server_closed);
    }
    place = listeners_.insert(listeners_.end(), listener);
  }
  Error error = accept_until_closed(listener);
  (void)listener.close();
  {
    const std::lock_guard lock(mutex_);
    listeners_.erase(place);
  }
  if (!shutting_down()) return error;
  goroutines_.wait();
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
      log("http: Accept error: " + conn.error().message() + "; retrying in " + std::to_string(backoff.count()) + "ms");
      sleep(backoff);
      backoff = std::min(2 * backoff, kLastBackoff);
    } else {
      return conn.error();
    }
  }
}

void Server::Impl::start_connection(net::Conn conn) {
  Connection* const connection = enter(std::move(conn));
  if (connection == nullptr) return;
  try {
    go([self = shared_from_this(), connection] { self->run(connection); });
  } catch (const std::bad_alloc&) {
    log("http: no memory for a connection's goroutine");
    connection->close();
    leave(connection);
  }
}

void Server::Impl::serve_connection(net::Conn conn) {
  if (Connection* const connection = enter(std::move(conn))) run(connection);
}

// Null, and the connection is closed, when the server takes no more.
Connection* Server::Impl::enter(net::Conn conn) {
  auto connection = std::make_unique<Connection>(shared_from_this(), std::move(conn));
  const std::lock_guard lock(mutex_);
  if (shutting_down()) {
    connection->close();
    return nullptr;
  }
  connection->place = connections_.insert(connections_.end(), connection.get());
  goroutines_.add(1);
  ++accepted_;
  return connection.release();
}

void Server::Impl::run(Connection* connection) {
  struct LeaveAtEnd {
    Impl& server;
    Connection* connection;
    ~LeaveAtEnd() { server.leave(connection); }
  };
  const LeaveAtEnd end{*this, connection};  // also when the handler calls exit_goroutine()
  connection->run();
}

void Server::Impl::leave(Connection* connection) {
  std::vector<CancelFunc> waiters;
  {
    const std::lock_guard lock(mutex_);
    past_requests_ += connection->requests();
    connections_.erase(connection->place);
    if (connections_.empty() && shutting_down()) waiters.swap(drain_waiters_);
  }
  for (const CancelFunc& drained : waiters) drained();
  // Its reference to this server goes with it; the caller has another.
  delete connection;
  goroutines_.done();
}

void Server::Impl::on_shutdown(std::function<void()> fn) {
  const std::lock_guard lock(mutex_);
  shutdown_functions_.push_back(std::move(fn));
}

void Server::Impl::begin_shutdown() {
  std::vector<std::function<void()>> functions;
  {
    const std::lock_guard lock(mutex_);
    // The other half is Connection::become_idle(); see connection.h.
    shutting_down_.store(true, std::memory_order_seq_cst);
    close_listeners_locked();
    functions.swap(shutdown_functions_);
  }
  for (auto& fn : functions) go(std::move(fn));
}

void Server::Impl::close_listeners_locked() {
  for (net::Listener& listener : listeners_) (void)listener.close();
}

void Server::Impl::end_connections(ConnectionState state) {
  const std::lock_guard lock(mutex_);
  for (Connection* const connection : connections_) connection->end_if(state);
}

// True once no connection is left, false when `ctx` is done before.
bool Server::Impl::wait_drained(const Context& ctx) {
  const auto [drained, cancel] = with_cancel(ctx);
  {
    const std::lock_guard lock(mutex_);
    if (connections_.empty()) return true;
    drain_waiters_.push_back(cancel);
  }
  (void)drained.done().recv();
  const std::lock_guard lock(mutex_);
  return connections_.empty();
}

// The graceful end:
//   1. shutting_down_ is set, the listeners are closed, the on_shutdown functions start. Responses from here on say "Connection: close".
//   2. Idle connections are ended: each one's goroutine ends the stream to its client, hears out what is under way, and closes.
//   3. Active ones finish the request they are at. A fresh one has kFreshGrace to begin; then it is ended like an idle one.
//   4. The last connection to leave the list wakes who waits in wait_drained(); serve() returns.
// When ctx is done first, 3 goes on without us.
Error Server::Impl::shutdown(const Context& ctx) {
  begin_shutdown();
  end_connections(ConnectionState::idle);
  {
    const auto [grace, cancel] = with_timeout(ctx, kFreshGrace);
    const bool drained = wait_drained(grace);
    cancel();
    if (drained) return {};
  }
  if (!ctx.err()) {
    end_connections(ConnectionState::fresh);
    if (wait_drained(ctx)) return {};
  }
  return ctx.err();
}

void Server::Impl::close() {
  {
    const std::lock_guard lock(mutex_);
    shutting_down_.store(true, std::memory_order_seq_cst);
    close_listeners_locked();
    for (Connection* const connection : connections_) connection->close();
  }
  cancel_();
}

ServerStats Server::Impl::stats() const {
  ServerStats stats;
  const std::lock_guard lock(mutex_);
  stats.connections = accepted_;
  stats.requests = past_requests_;
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
