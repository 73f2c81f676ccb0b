// Connection: one client that speaks HTTP/1, and the goroutine that serves it. Requests are served one after the other.
//
// A connection that waits for its next request holds no buffers: a Workspace is borrowed for each burst of requests.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <system_error>

#include "http/src/http1/response_host.h"
#include "http/src/http1/workspace.h"
#include "http/src/server/connection.h"
#include "http/src/server/protocol.h"
#include "weft/http/detail/request_host.h"
#include "weft/net/conn.h"
#include "weft/time_point.h"

namespace weft::rt {
class ThrowWatch;
}

namespace weft::http::detail::http1 {

// Thread safety: see the base class. All members belong to the goroutine that serves.
class Connection final : public detail::Connection, private RequestHost, private ResponseHost {
 public:
  Connection(ConnectionHost& host, Transport transport, WorkspacePool& workspaces);

  void serve() override;
  void close() override { static_cast<void>(conn_.close()); }

 private:
  // wait_still: nothing has come, so the wait goes on.
  enum class Next : std::uint8_t { wait, wait_still, close };
  enum class Look : std::uint8_t { wait, at_once };

  // For the server.
  void limit_wait(TimePoint limit) override { conn_.set_read_deadline(limit); }

  // For the request.
  void on_context(const CancelFunc& cancel) override;
  net::Address local_address() const override { return conn_.local_address(); }
  net::Address remote_address() const override { return conn_.remote_address(); }
  std::string_view scheme() const noexcept override { return encrypted_ ? "https" : "http"; }

  // For the response.
  bool last_response() override;
  void log(std::string_view line) const override { host().log(LogLevel::warning, line); }
  void set_handlers_read_deadline(TimePoint deadline) override;
  std::error_code set_handlers_write_deadline(TimePoint deadline) override;
  Hijacked hijack() override;

  void serve_bursts();
  void mind_shutdown(TimePoint since);
  Next serve_burst(ConnectionState wait, Look look);
  Next serve_requests(Workspace& ws);
  bool receive(Workspace& ws, ConnectionState wait, Look look);
  bool serve_request(Workspace& ws);
  bool end_request(Workspace& ws);
  bool drain_body(Workspace& ws);
  bool answer(Workspace& ws, Expectation expectation);
  bool call_handler(Workspace& ws);
  void end_watch() noexcept;
  void log_panic(const Request& request, const rt::ThrowWatch& watch) const;
  void set_write_stall_timeout();
  void note_stall(const Workspace& ws);
  void set_read_deadline(TimePoint deadline);
  void arm_idle_deadline();
  void arm_head_deadline();
  void arm_request_deadlines(std::int64_t length, std::size_t buffered);
  void refuse(Workspace& ws, const ParseError& error, std::string_view method);
  void end_after(Workspace& ws, bool heard_out);
  void linger();
  std::string peer() const;

  const bool encrypted_;
  bool handler_set_write_deadline_ = false;  // in the present request
  bool watched_ = false;                     // the request's context ends when the client hangs up
  bool hijacked_ = false;
  WorkspacePool& workspaces_;
  net::Conn conn_;
  Workspace* workspace_ = nullptr;  // the burst's
  std::time_t idle_armed_at_ = 0;   // when the read deadline was last set to the idle timeout; 0: it is something else
  TimePoint head_start_{};          // since when a head is awaited under a deadline; TimePoint(): none is
};

}  // namespace weft::http::detail::http1
