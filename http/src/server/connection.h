// Connection: one client, and the goroutine that serves it.
//
// state_ says who may end it between two requests:
//
//   state       meaning                             set by
//   fresh       accepted, nothing heard             constructor
//   active      a request is coming or served       its goroutine, from fresh or idle, by compare-exchange
//   idle        waits for the next request          its goroutine, from active
//   closing     shutdown took it                    Server::shutdown, from fresh or idle, by compare-exchange
//
// So a request whose first bytes the goroutine has noticed is never cut off by shutdown. The sleep/wake pair: the
// goroutine stores idle and then loads the server's shutting_down flag; shutdown stores the flag and then loads the
// states. Both are seq_cst, because with acquire and release each could miss the other's store, and the connection
// would wait out its idle timeout.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>
#include <list>
#include <memory>
#include <string>

#include "http/src/server/server_impl.h"
#include "http/src/server/workspace.h"
#include "weft/net/conn.h"

namespace weft::http::detail {

enum class ConnectionState : std::uint8_t { fresh, active, idle, closing };

// Owned by its goroutine (Server::Impl::run) and known to the server's list. The members below the atomics belong to
// the goroutine.
class Connection {
 public:
  Connection(std::shared_ptr<Server::Impl> server, net::Conn conn);

  // Serves until the connection ends, and closes it. Throws nothing.
  void run();

  // For the server, any goroutine.
  ConnectionState state() const noexcept { return state_.load(std::memory_order_seq_cst); }
  // Ends the connection if it is `expected`, fresh or idle: its goroutine says goodbye to the client and closes.
  void end_if(ConnectionState expected);
  void close() { (void)conn_.close(); }
  std::uint64_t requests() const noexcept { return requests_.load(std::memory_order_relaxed); }

  std::list<Connection*>::iterator place;  // in the server's list; guarded by its mutex

 private:
  enum class Next : std::uint8_t { wait, close };

  void serve();
  bool await_request(ConnectionState from);
  bool become_idle();
  Next serve_burst();
  Next serve_requests(Workspace& ws);
  bool serve_request(Workspace& ws);
  bool answer(Workspace& ws);
  void stop_watch(Workspace& ws);
  bool call_handler(Workspace& ws);
  void set_read_deadline(TimePoint deadline);
  void arm_idle_deadline();
  void arm_head_deadline();
  void arm_request_deadlines(std::int64_t length, std::size_t buffered);
  void refuse(Workspace& ws, const ParseError& error);
  void linger();
  std::string peer() const;

  const std::shared_ptr<Server::Impl> server_;
  net::Conn conn_;
  std::atomic<ConnectionState> state_{ConnectionState::fresh};
  std::atomic<std::uint64_t> requests_{0};  // written by the goroutine alone
  std::time_t idle_armed_at_ = 0;  // when the read deadline was last set to the idle timeout; 0: it is something else
  rt::Nanos head_start_ = 0;       // since when a head is awaited under a deadline; 0: none is
};

}  // namespace weft::http::detail
