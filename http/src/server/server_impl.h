// Server::Impl: what the handles of a server, its accept loops and its connections share.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <vector>

#include "http/src/server/response.h"
#include "http/src/server/workspace.h"
#include "runtime/src/base/clock.h"
#include "weft/context.h"
#include "weft/http/server.h"
#include "weft/mutex.h"
#include "weft/wait_group.h"

namespace weft::http {

namespace detail {
class Connection;
enum class ConnectionState : std::uint8_t;
}  // namespace detail

// Thread safety: any goroutine. mutex_ guards the lists.
class Server::Impl final : public detail::ResponseHost, public std::enable_shared_from_this<Server::Impl> {
 public:
  explicit Impl(ServerOptions options);

  Error listen_and_serve();
  Error serve(net::Listener listener);
  Error shutdown(const Context& ctx);
  void close();
  // Serves one connection in the calling goroutine until it ends.
  void serve_connection(net::Conn conn);
  void on_shutdown(std::function<void()> fn);
  ServerStats stats() const;

  // For the connections.
  const ServerOptions& options() const noexcept { return options_; }
  const Context& context() const noexcept { return context_; }
  detail::WorkspacePool& pool() noexcept { return pool_; }

  bool shutting_down() const noexcept override { return shutting_down_.load(std::memory_order_seq_cst); }
  void log(std::string_view line) const override;

 private:
  Error accept_until_closed(net::Listener& listener);
  void start_connection(net::Conn conn);
  detail::Connection* enter(net::Conn conn);
  void run(detail::Connection* connection);
  void leave(detail::Connection* connection);
  void begin_shutdown();
  void close_listeners_locked();
  void end_connections(detail::ConnectionState state);
  bool wait_drained(const Context& ctx);

  const ServerOptions options_;
  Context context_;
  CancelFunc cancel_;
  detail::WorkspacePool pool_;
  WaitGroup goroutines_;  // of connections

  std::atomic<bool> shutting_down_{false};  // written under mutex_
  mutable Mutex mutex_;
  std::list<net::Listener> listeners_;
  std::list<detail::Connection*> connections_;
  std::vector<std::function<void()>> shutdown_functions_;
  std::vector<CancelFunc> drain_waiters_;  // called when the last connection leaves
  std::uint64_t accepted_ = 0;
  std::uint64_t past_requests_ = 0;  // of connections that have left
};

}  // namespace weft::http
