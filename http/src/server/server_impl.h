// Server::Impl: what the handles of a server, its accept loops and its connections share.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "http/src/server/connection.h"
#include "http/src/server/protocol.h"
#include "weft/context.h"
#include "weft/http/server.h"
#include "weft/mutex.h"
#include "weft/net/listener.h"
#include "weft/thread_annotations.h"

namespace weft::http {

// Thread safety: any goroutine. mutex_ guards what is annotated so, and the call of set_shutting_down().
class Server::Impl final : public detail::ConnectionHost, public std::enable_shared_from_this<Server::Impl> {
 public:
  explicit Impl(ServerOptions options);

  Error listen_and_serve();
  Error serve(net::Listener listener);
  Error shutdown(const Context& ctx);
  void close();
  void on_shutdown(std::function<void()> fn);
  ServerStats stats() const;

  void forget(detail::Connection& connection) override;

 private:
  Error accept_until_closed(net::Listener& listener);
  void start_connection(net::Conn conn);
  detail::Connection* enter(net::Conn conn);
  void run(detail::Connection* connection);
  bool unlist(detail::Connection& connection);
  void wait_to_accept(std::chrono::milliseconds time) const;
  void begin_shutdown(const Context& ctx);
  void close_listeners_locked() WEFT_REQUIRES(mutex_);
  void one_less();
  bool wait_drained(const Context& ctx);

  const std::unique_ptr<detail::Protocol> protocol_;
  CancelFunc cancel_;
  std::atomic<bool> closed_{false};
  // Listeners that are being accepted from, and connections: each that is listed, and each that was and is neither
  // destroyed nor hijacked yet. Who waits for zero does so in wait_drained().
  std::atomic<std::size_t> left_{0};

  mutable Mutex mutex_;
  std::list<net::Listener> listeners_ WEFT_GUARDED_BY(mutex_);
  std::list<detail::Connection*> connections_ WEFT_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> shutdown_functions_ WEFT_GUARDED_BY(mutex_);
  std::vector<CancelFunc> drain_waiters_ WEFT_GUARDED_BY(mutex_);  // called when nothing is left
  std::uint64_t accepted_ WEFT_GUARDED_BY(mutex_) = 0;
  std::uint64_t past_requests_ WEFT_GUARDED_BY(mutex_) = 0;  // of connections that have left the list
};

}  // namespace weft::http
