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
// So long a shutdown lets connections without a request wait for one. It is longer than the pause between two requests
// of a busy client, and than the way of a request that was sent before the client could know.
constexpr std::chrono::milliseconds kStopGrace{500};
// At least so long, also when the shutdown's context leaves less: the poller finds out within this time what has come.
constexpr std::chrono::milliseconds kLeastStopGrace{20};
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
    if (closed_.load(std::memory_order_relaxed)) {
      static_cast<void>(listener.close());
      return make_error_code(Errc::server_closed);
    }
    place = listeners_.insert(listeners_.end(), listener);
    left_.fetch_add(1, std::memory_order_relaxed);
    // A shutdown was faster than this call. Who has connected meanwhile is served all the same.
    if (shutting_down()) static_cast<void>(listener.drain());
  }
  Error error = accept_until_closed(listener);
  static_cast<void>(listener.close());
  {
    const LockGuard lock(mutex_);
    listeners_.erase(place);
  }
  one_less();
  if (!shutting_down()) return error;
  wait_drained(background());
  return make_error_code(Errc::server_closed);
}

Error Server::Impl::accept_until_closed(net::Listener& listener) {
  auto backoff = kFirstBackoff;
  while (true) {
    Result<net::Conn> conn = listener.accept();
    if (conn) {
      backoff = kFirstBackoff;
      start_connection(*std::move(conn));
    } else if (is_temporary(conn.error())) {
      log(LogLevel::warning,
          "http: Accept error: " + conn.error().message() + "; retrying in " + std::to_string(backoff.count()) + "ms");
      wait_to_accept(backoff);
      backoff = std::min(2 * backoff, kLastBackoff);
    } else {
      return conn.error();
    }
  }
}

// A shutdown or a close ends the wait soon: clients who have connected wait, too. It needs no memory, which may be what
// is missing.
void Server::Impl::wait_to_accept(std::chrono::milliseconds time) const {
  constexpr std::chrono::milliseconds kLook{20};
  const bool was_shutting_down = shutting_down();
  while (time.count() > 0 && shutting_down() == was_shutting_down && !closed_.load(std::memory_order_relaxed)) {
    sleep(std::min(time, kLook));
    time -= kLook;
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
  if (closed_.load(std::memory_order_relaxed)) {
    connection->close();
    return nullptr;
  }
  connection->place = connections_.insert(connections_.end(), connection.get());
  connection->listed = true;
  left_.fetch_add(1, std::memory_order_relaxed);
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
      if (was_listed) server.one_less();
    }
  };
  const LeaveAtEnd end{*this, connection};  // also when the handler calls exit_goroutine()
  connection->serve();
}

void Server::Impl::forget(Connection& connection) {
  if (unlist(connection)) one_less();
}

// True when the connection was on the list; then the caller counts it off left_.
bool Server::Impl::unlist(Connection& connection) {
  const LockGuard lock(mutex_);
  if (!connection.listed) return false;
  connection.listed = false;
  past_requests_ += connection.requests();
  connections_.erase(connection.place);
  return true;
}

// The last one takes mutex_ after it has counted. So it finds whoever waits, or that one sees zero in wait_drained().
// While a listener is accepted from, nobody is the last.
void Server::Impl::one_less() {
  if (left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  std::vector<CancelFunc> waiters;
  {
    const LockGuard lock(mutex_);
    waiters.swap(drain_waiters_);
  }
  for (const CancelFunc& drained : waiters) drained();
}

void Server::Impl::on_shutdown(std::function<void()> fn) {
  const LockGuard lock(mutex_);
  shutdown_functions_.push_back(std::move(fn));
}

void Server::Impl::begin_shutdown(const Context& ctx) {
  std::vector<std::function<void()>> functions;
  {
    const LockGuard lock(mutex_);
    if (!shutting_down()) {
      std::chrono::nanoseconds grace = kStopGrace;
      if (const auto end = ctx.deadline()) grace = std::min(grace, (*end - now()) / 2);
      // The other half is what follows Connection::begin_wait(); see connection.h.
      set_shutting_down(now(), std::max<std::chrono::nanoseconds>(grace, kLeastStopGrace));
    }
    for (net::Listener& listener : listeners_) static_cast<void>(listener.drain());
    functions.swap(shutdown_functions_);
  }
  for (auto& fn : functions) go(std::move(fn));
  const LockGuard lock(mutex_);
  for (Connection* const connection : connections_) connection->begin_shutdown();
}

void Server::Impl::close_listeners_locked() {
  for (net::Listener& listener : listeners_) static_cast<void>(listener.close());
}

// True once nothing is left, false when `ctx` is done before. It lists itself, and then looks whether something is
// left, both under mutex_; the other half is one_less().
bool Server::Impl::wait_drained(const Context& ctx) {
  while (true) {
    const auto [drained, cancel] = with_cancel(ctx);
    {
      const LockGuard lock(mutex_);
      if (left_.load(std::memory_order_acquire) == 0) return true;
      drain_waiters_.push_back(cancel);
    }
    static_cast<void>(drained.done().recv());
    if (ctx.err()) return left_.load(std::memory_order_acquire) == 0;
  }
}

// The graceful end:
//   1. begin_shutdown() sets the flag, drains the listeners and starts the on_shutdown functions. Listeners let nobody
//      new connect, but the accept loops go on until they have who is connected or connecting.
//   2. It tells every connection. One that has no request, or a part of a request's head, waits for kStopGrace: from
//      the begin of the shutdown or, where that is later, from the accept, from the end of a response that did not say
//      "Connection: close", or from the first bytes of the head. What comes in time is served. When the time is up, the
//      connection's goroutine ends the stream to its client, hears out what is under way, and closes. Half a head is
//      closed without a word.
//   3. One with a whole head finishes its request. Responses whose head is written from here on say "Connection:
//      close", except for those after which the client's next request is here already.
//   4. The last listener or connection to go wakes who waits in wait_drained(): shutdown() and serve() return.
// When ctx is done first, the listeners are closed, shutdown() returns, and steps 2 and 3 go on without it.
Error Server::Impl::shutdown(const Context& ctx) {
  begin_shutdown(ctx);
  if (wait_drained(ctx)) return {};
  const LockGuard lock(mutex_);
  close_listeners_locked();
  return ctx.err();
}

void Server::Impl::close() {
  {
    const LockGuard lock(mutex_);
    if (!shutting_down()) set_shutting_down(now(), kLeastStopGrace);
    closed_.store(true, std::memory_order_relaxed);
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
  stats.stalled = stalled();
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
