#include "http/src/http1/connection.h"

#include <cxxabi.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

#include "http/src/message/request_access.h"
#include "weft/go.h"
#include "weft/http/status.h"
#include "weft/net/address.h"

namespace weft::http::detail::http1 {
namespace {

using std::chrono::nanoseconds;

// How long a client may go on sending after the server has ended its side, before the connection is closed under it.
// Closing over bytes that were not read resets the connection, and the client could lose a reply that it has not read
// yet.
constexpr std::chrono::milliseconds kLinger{500};

// A deadline that has always passed.
constexpr TimePoint kPast{};

// Timeouts from here on may be up to a second early.
constexpr std::chrono::seconds kLongTimeout{30};

TimePoint deadline_after(TimePoint start, nanoseconds timeout) {
  return timeout < TimePoint::max() - start ? start + timeout : kNoDeadline;
}

// Zero stands for `fallback`; what is still not positive never expires.
nanoseconds effective(nanoseconds timeout, nanoseconds fallback) {
  if (timeout == nanoseconds::zero()) timeout = fallback;
  return timeout > nanoseconds::zero() ? timeout : nanoseconds::max();
}

std::string current_exception_text() {
  try {
    throw;
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    return std::string("an exception of type ") + (type != nullptr ? type->name() : "unknown");
  }
}

// Ends the request's context with the scope, also when the handler calls exit_goroutine().
struct ContextEnd {
  Request& request;
  ~ContextEnd() { RequestAccess::cancel(request); }
};

}  // namespace

Connection::Connection(ConnectionHost& host, Transport transport, WorkspacePool& workspaces)
    : detail::Connection(host),
      encrypted_(transport.encrypted),
      workspaces_(workspaces),
      conn_(std::move(transport.conn)) {}

void Connection::serve() {
  try {
    serve_bursts();
  } catch (const weft::detail::GoroutineExit&) {
    if (!hijacked_) close();
    throw;
  } catch (...) {
    host().log(LogLevel::error, "http: error serving " + peer() + ": " + current_exception_text());
  }
  if (!hijacked_) close();
}

// The goroutine waits for its client, or is about to.
void Connection::wake() { conn_.set_read_deadline(kPast); }

void Connection::serve_bursts() {
  arm_head_deadline();
  if (await_request(ConnectionState::fresh)) {
    do {
      if (serve_burst() == Next::close) return;
      arm_idle_deadline();
    } while (become_idle() && await_request(ConnectionState::idle));
  }
  // The connection ended between two requests, by a timeout or a shutdown. A request that is on its way finds the end
  // of the stream, not a reset.
  linger();
}

// Parks without a buffer until the client sends something. False when the connection is to be closed instead. The
// deadline was armed before this looks at the state. end_if() sets the state and then, in wake(), a deadline in the
// past. So either the deadline in the past stands, or the state is seen here.
bool Connection::await_request(ConnectionState from) {
  return state() == from && !conn_.wait_readable() && become_active(from);
}

// Serves what the client sends until it pauses between two requests.
Connection::Next Connection::serve_burst() {
  WorkspacePool::Loan loan(workspaces_);
  Workspace& ws = *loan;
  workspace_ = &ws;
  ws.out.attach(conn_);
  ws.body.attach(conn_);
  ws.watch.attach(conn_);
  ws.response.attach(*this);
  RequestAccess::attach(ws.request, *this, host().context());
  const Next next = serve_requests(ws);
  workspace_ = nullptr;
  loan.give_back();
  return next;
}

Connection::Next Connection::serve_requests(Workspace& ws) {
  if (ws.in.fill(conn_).n == 0) return Next::close;
  while (true) {
    const std::string_view unread = ws.in.unread();
    switch (ws.parser.parse(unread)) {
      case ParseStatus::complete:
        if (!serve_request(ws)) return Next::close;
        break;
      case ParseStatus::failed:
        refuse(ws, ws.parser.error(), ws.parser.method(unread));
        return Next::close;
      case ParseStatus::need_more:
        // A read that waits would keep whole responses from the client.
        if (ws.out.flush()) return Next::close;
        if (unread.empty()) return Next::wait;
        arm_head_deadline();
        if (ws.in.fill(conn_).n == 0) return Next::close;
        break;
    }
  }
}

// Serves the request whose head was parsed. False when the connection is to be closed.
bool Connection::serve_request(Workspace& ws) {
  RequestHead& head = RequestAccess::head(ws.request);
  ws.parser.resolve(ws.in.unread(), head, ws.request.header());
  const RequestControl control = ws.parser.control();
  ws.in.consume_pinned(ws.parser.head_size());
  ws.parser.reset();
  count_request();

  const ServerOptions& options = host().options();
  if (options.max_body_bytes != 0 && head.content_length > 0 &&
      static_cast<std::uint64_t>(head.content_length) > options.max_body_bytes) {
    refuse(ws, {kStatusRequestEntityTooLarge, {}}, head.method);
    return false;
  }
  arm_request_deadlines(head.content_length, ws.in.unread().size());
  ws.body.begin(head, control.expectation, options.max_body_bytes);
  ws.response.begin(head, control);
  ws.request.set_body(ws.body);  // the handler of the last request may have put another one in place
  bool answered = false;
  {
    const ContextEnd end{ws.request};
    answered = answer(ws, control.expectation);
    if (ws.watch.running()) stop_watch(ws);
  }
  RequestAccess::clear(ws.request);
  if (hijacked_) return false;
  if (!answered) {
    ws.out.drop_unsealed();
    static_cast<void>(ws.out.flush());
    return false;
  }
  return end_request(ws);
}

// The response is whole, and may wait in the output buffer. False when the connection is to be closed.
bool Connection::end_request(Workspace& ws) {
  ws.in.unpin();
  head_start_ = {};
  if (ws.response.closes()) {
    const bool heard_out = ws.body.finished() && ws.in.unread().empty();
    if (!ws.out.flush() && !heard_out) linger();
    return false;
  }
  if (handler_set_write_deadline_) {
    // The response leaves under the handler's deadline, and the next one has the server's.
    handler_set_write_deadline_ = false;
    const std::error_code ec = ws.out.flush();
    conn_.set_write_deadline(kNoDeadline);
    return !ec;
  }
  return ws.out.size() < kFlushAt ? !ws.out.error() : !ws.out.flush();
}

// A byte that the watch caught belongs to the next request. Whoever reads next sets a deadline of its own.
void Connection::stop_watch(Workspace& ws) {
  if (const std::optional<char> byte = ws.watch.stop()) ws.in.push(*byte);
  idle_armed_at_ = 0;
}

// False when the handler threw.
bool Connection::answer(Workspace& ws, Expectation expectation) {
  const RequestHead& head = RequestAccess::head(ws.request);
  if (expectation == Expectation::unknown) {
    ws.response.header().set("Connection", "close");
    ws.response.write_header(kStatusExpectationFailed);
  } else if (head.target == "*" && head.method == "OPTIONS") {
    ws.response.header().set("Content-Length", "0");
    ws.response.write_header(kStatusOk);
  } else if (!call_handler(ws)) {
    return false;
  }
  ws.response.finish();
  return true;
}

bool Connection::call_handler(Workspace& ws) {
  const Handler& handler = host().options().handler;
  try {
    handler(ws.response, ws.request);
    return true;
  } catch (const AbortHandler&) {
    return false;
  } catch (const weft::detail::GoroutineExit&) {
    throw;
  } catch (...) {
    host().log(LogLevel::error, "http: panic serving " + peer() + ": " + current_exception_text());
    return false;
  }
}

// While a watch reads, the request's body has ended, and there is nothing left that a read deadline could rule.
void Connection::set_handlers_read_deadline(TimePoint deadline) {
  if (!workspace_->watch.running()) set_read_deadline(deadline);
}

// The earlier responses of the burst leave first, under the server's deadline.
std::error_code Connection::set_handlers_write_deadline(TimePoint deadline) {
  const std::error_code ec = workspace_->out.flush_sealed();
  handler_set_write_deadline_ = true;
  conn_.set_write_deadline(deadline);
  return ec;
}

// From here on nothing in this class reads from the connection, writes to it or closes it.
Hijacked Connection::hijack() {
  Workspace& ws = *workspace_;
  if (ws.watch.running()) stop_watch(ws);
  ws.watch.begin();  // and no other starts in this request
  Hijacked hijacked{.conn = conn_, .buffered = std::string(ws.in.unread())};
  conn_.set_deadline(kNoDeadline);
  hijacked_ = true;
  host().forget(*this);
  return hijacked;
}

void Connection::set_read_deadline(TimePoint deadline) {
  idle_armed_at_ = 0;
  conn_.set_read_deadline(deadline);
}

// The time runs from the first bytes of a head that isn't whole yet. Does nothing when the head has its deadline.
void Connection::arm_head_deadline() {
  if (head_start_ != TimePoint()) return;
  const ServerOptions& options = host().options();
  head_start_ = now();
  const nanoseconds timeout = std::min(effective(options.read_header_timeout, options.read_timeout),
                                       effective(options.read_timeout, nanoseconds::zero()));
  set_read_deadline(deadline_after(head_start_, timeout));
}

// For a long timeout the present second's deadline is near enough, and most requests find it set.
void Connection::arm_idle_deadline() {
  head_start_ = {};
  const ServerOptions& options = host().options();
  const nanoseconds timeout = effective(options.idle_timeout, options.read_timeout);
  const std::time_t second = timeout >= kLongTimeout ? std::time(nullptr) : 0;
  if (second != 0 && second == idle_armed_at_) return;
  idle_armed_at_ = second;
  conn_.set_read_deadline(deadline_after(now(), timeout));
}

// For a body of `length` bytes, -1 for a chunked one, of which so many are here. A request that came whole needs no
// clock.
void Connection::arm_request_deadlines(std::int64_t length, std::size_t buffered) {
  const ServerOptions& options = host().options();
  const bool body_to_come = length < 0 || static_cast<std::uint64_t>(length) > buffered;
  if (body_to_come) {
    const TimePoint start = head_start_ != TimePoint() ? head_start_ : now();
    set_read_deadline(deadline_after(start, effective(options.read_timeout, nanoseconds::zero())));
  }
  if (options.write_timeout > nanoseconds::zero()) {
    conn_.set_write_deadline(deadline_after(now(), options.write_timeout));
  }
}

// Answers a request that no handler is asked about, after the responses of the burst. It is answered in HTTP/1.1,
// because its version may be what is wrong with it.
void Connection::refuse(Workspace& ws, const ParseError& error, std::string_view method) {
  RequestHead head;
  head.method = method;
  ws.body.begin(head, Expectation::none, 0);
  ws.response.begin(head, {.close = true});
  ws.response.header().set("Content-Type", "text/plain; charset=utf-8");
  ws.response.write_header(error.status);
  std::string text = std::to_string(error.status) + " " + std::string(status_text(error.status));
  if (!error.detail.empty()) text.append(": ").append(error.detail);
  static_cast<void>(ws.response.write(text));
  ws.response.finish();
  if (!ws.out.flush()) linger();
}

// Ends the stream to the client and reads what the client still sends, for a while. Not inlined: its buffer would grow
// the frames in which an idle connection parks.
[[gnu::noinline]] void Connection::linger() {
  if (conn_.close_write()) return;
  set_read_deadline(deadline_after(now(), kLinger));
  char scratch[512];
  while (!conn_.read(scratch).ec) {
  }
}

std::string Connection::peer() const {
  const net::Address address = conn_.remote_address();
  return address.is_none() ? "a client whose address is not known" : net::to_string(address);
}

}  // namespace weft::http::detail::http1
