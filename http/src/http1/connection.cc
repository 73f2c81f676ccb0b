#include "http/src/http1/connection.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "http/src/message/quoted.h"
#include "http/src/message/request_access.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/crash/throw_watch.h"
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

// How long the server reads a body that the handler has left, for the sake of the next request.
constexpr std::chrono::seconds kDrainTime{2};

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

// Nothing, or empty lines, which a client may send after a request.
bool only_line_ends(std::string_view text) { return text.find_first_not_of("\r\n") == std::string_view::npos; }

// "1.5s"
std::string seconds_text(nanoseconds duration) {
  return fmt::format("{}s", std::chrono::duration<double>(duration).count());
}

// A traceback on one line, the innermost frame first: "goroutine 7: f() a.cc:12 < main() b.cc:3".
std::string on_one_line(std::string_view traceback) {
  std::string line(traceback.substr(0, traceback.find(" [")));
  std::string_view rest = traceback.substr(std::min(traceback.find('\n'), traceback.size()));
  for (std::string_view separator = ": "; rest.size() > 1;) {
    rest.remove_prefix(1);
    const std::string_view text = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(text.size());
    const bool is_place = text.starts_with('\t');
    line.append(is_place ? " " : separator).append(is_place ? text.substr(1) : text);
    separator = " < ";
  }
  return line;
}

// The call of a handler, for a ThrowWatch.
struct HandlerCall {
  const Handler& handler;
  ResponseWriter& w;
  Request& r;
  static void run(void* self) {
    const HandlerCall& call = *static_cast<HandlerCall*>(self);
    call.handler(call.w, call.r);
  }
};

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
    host().log(LogLevel::error, "http: error serving " + peer() + ": " + quoted(rt::current_exception_text()));
  }
  if (!hijacked_) close();
}

void Connection::serve_bursts() {
  set_write_stall_timeout();
  arm_head_deadline();
  mind_shutdown(head_start_);
  ConnectionState wait = ConnectionState::fresh;
  // A new client has often sent its request by now, and then there is nothing to wait for.
  Next next = serve_burst(wait, Look::at_once);
  while (next != Next::close) {
    if (next == Next::wait) {
      arm_idle_deadline();
      wait = ConnectionState::idle;
      begin_wait(wait);
      mind_shutdown({});
    }
    // Parks without a buffer until the client sends something.
    if (conn_.wait_readable()) {
      // The connection ended between two requests, by a timeout or a shutdown. A request that is on its way finds the
      // end of the stream, not a reset.
      return linger();
    }
    next = serve_burst(wait, Look::wait);
  }
}

// Called when the wait's state and deadline are set. `since`: when the wait began; TimePoint(): now.
void Connection::mind_shutdown(TimePoint since) {
  if (host().shutting_down()) set_read_deadline(host().wait_limit(since != TimePoint() ? since : now()));
}

// Serves what the client sends until it pauses between two requests.
Connection::Next Connection::serve_burst(ConnectionState wait, Look look) {
  WorkspacePool::Loan loan(workspaces_);
  Workspace& ws = *loan;
  workspace_ = &ws;
  ws.out.attach(conn_);
  ws.body.attach(conn_);
  ws.response.attach(*this);
  RequestAccess::attach(ws.request, *this, host().context());
  Next next = look == Look::at_once ? Next::wait_still : Next::close;
  if (receive(ws, wait, look)) next = serve_requests(ws);
  if (next == Next::close && !hijacked_) note_stall(ws);
  workspace_ = nullptr;
  loan.give_back();
  return next;
}

Connection::Next Connection::serve_requests(Workspace& ws) {
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
        begin_wait(ConnectionState::partial);
        mind_shutdown(head_start_);
        if (!receive(ws, ConnectionState::partial, Look::wait)) return Next::close;
        break;
    }
  }
}

// Reads once. False when nothing came; a look at once then leaves it to the wait to find out why. A stream whose
// wait_readable() returns at once waits here for its client, so the state stays what it was until then.
bool Connection::receive(Workspace& ws, ConnectionState wait, Look look) {
  const std::size_t n = look == Look::wait ? ws.in.fill(conn_).n : ws.in.try_fill(conn_).n;
  if (n > 0 || look == Look::wait) become_active(wait);
  return n > 0;
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
  ws.body.begin(head, control.expectation, options.max_body_bytes,
                options.read_timeout == nanoseconds::zero() ? options.stall_timeout : nanoseconds::zero());
  ws.response.begin(head, control);
  ws.request.set_body(ws.body);  // the handler of the last request may have put another one in place
  bool answered = false;
  {
    const ContextEnd end{ws.request};
    answered = answer(ws, control.expectation);
    end_watch();
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
  if (ws.response.closes() || !drain_body(ws)) {
    end_after(ws, ws.body.finished() && ws.in.unread().empty());
    return false;
  }
  if (handler_set_write_deadline_) {
    // The response leaves under the handler's deadline, and the next one has the server's.
    handler_set_write_deadline_ = false;
    const std::error_code ec = ws.out.flush();
    conn_.set_write_deadline(kNoDeadline);
    set_write_stall_timeout();
    return !ec;
  }
  return ws.out.size() < kFlushAt ? !ws.out.error() : !ws.out.flush();
}

// Reads what the handler left of the body, so that the next request can follow. The response goes out before that
// waits for the client, who may want to see it before it sends the rest, or instead. False when the client has more to
// send, or takes longer, than another request is worth.
bool Connection::drain_body(Workspace& ws) {
  if (!ws.body.is_drainable()) return false;
  if (ws.body.skip_buffered()) return true;
  if (host().shutting_down()) return false;
  set_read_deadline(deadline_after(now(), kDrainTime));
  return ws.body.drain();
}

// Only handlers that ask for their context pay for it. A client that has ended its side is taken for one that went
// away, as Go does, and so is one that reset the connection. Streams that can't tell, and a kernel without memory,
// leave the context as it is; then a write that fails ends it.
void Connection::on_context(const CancelFunc& cancel) { watched_ = !hijacked_ && !conn_.on_hang_up(cancel); }

void Connection::end_watch() noexcept {
  if (!watched_) return;
  watched_ = false;
  static_cast<void>(conn_.on_hang_up({}));
}

// False when the handler threw, and its response can't be replaced.
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
  rt::ThrowWatch watch;
  HandlerCall call{handler, ws.response, ws.request};
  try {
    watch.call(&HandlerCall::run, &call);
    return true;
  } catch (const AbortHandler&) {
    return false;
  } catch (const weft::detail::GoroutineExit&) {
    throw;
  } catch (...) {
    log_panic(ws.request, watch);
    return ws.response.replace_by_error();
  }
}

// A server that shuts down says so in the response to the last request that is here: the requests of a pipeline came
// before anybody could know. For one that goes on and on, that ends when waiting for requests does.
bool Connection::last_response() {
  if (!host().shutting_down()) return false;
  InputBuffer& in = workspace_->in;
  if (workspace_->body.finished() && in.unread().empty()) static_cast<void>(in.try_fill(conn_));
  const bool another_is_here = workspace_->body.finished() && !only_line_ends(in.unread());
  return !another_is_here || now() >= host().wait_limit({});
}

// In the handler of the exception. The stack's text may take long, because debug information is loaded for it.
[[gnu::noinline]] void Connection::log_panic(const Request& request, const rt::ThrowWatch& watch) const {
  std::string line =
      "http: panic serving " + peer() + ": " + std::string(request.method()) + " " + quoted(request.target());
  if (!request.pattern().empty()) line += " (" + quoted(request.pattern()) + ")";
  line += ": " + quoted(rt::current_exception_text());
  const std::string stack = blocking([&watch] { return watch.stack(); });
  if (!stack.empty()) line += ", thrown in " + on_one_line(stack);
  host().log(LogLevel::error, line);
}

// The write deadline that a handler sets replaces it.
void Connection::set_write_stall_timeout() {
  const ServerOptions& options = host().options();
  if (options.write_timeout != nanoseconds::zero() || options.stall_timeout <= nanoseconds::zero()) return;
  static_cast<void>(conn_.set_write_stall_timeout(options.stall_timeout));
}

// The connection is to be closed. Tells if the reason is that the client has stopped.
void Connection::note_stall(const Workspace& ws) {
  const ServerOptions& options = host().options();
  const bool took_nothing = ws.out.error() == Condition::deadline_exceeded && !handler_set_write_deadline_ &&
                            options.write_timeout == nanoseconds::zero();
  if (!took_nothing && !ws.body.stalled()) return;
  host().count_stall();
  host().log(LogLevel::info,
             "http: client " + peer() + " has " +
                 (took_nothing ? "taken nothing of its response" : "sent nothing of its request's body") + " for " +
                 seconds_text(options.stall_timeout));
}

void Connection::set_handlers_read_deadline(TimePoint deadline) {
  workspace_->body.drop_stall_timeout();
  set_read_deadline(deadline);
}

// The earlier responses of the burst leave first, under the server's deadline.
std::error_code Connection::set_handlers_write_deadline(TimePoint deadline) {
  const std::error_code ec = workspace_->out.flush_sealed();
  handler_set_write_deadline_ = true;
  static_cast<void>(conn_.set_write_stall_timeout(nanoseconds::zero()));
  conn_.set_write_deadline(deadline);
  return ec;
}

// From here on nothing in this class reads from the connection, writes to it or closes it.
Hijacked Connection::hijack() {
  Workspace& ws = *workspace_;
  end_watch();
  Hijacked hijacked{.conn = conn_, .buffered = std::string(ws.in.unread())};
  conn_.set_deadline(kNoDeadline);
  static_cast<void>(conn_.set_write_stall_timeout(nanoseconds::zero()));
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
  ws.body.begin(head, Expectation::none, 0, nanoseconds::zero());
  ws.response.begin(head, {.close = true});
  ws.response.header().set("Content-Type", "text/plain; charset=utf-8");
  ws.response.write_header(error.status);
  std::string text = std::to_string(error.status) + " " + std::string(status_text(error.status));
  if (!error.detail.empty()) text.append(": ").append(error.detail);
  static_cast<void>(ws.response.write(text));
  ws.response.finish();
  end_after(ws, false);
}

// Sends what is left, and the end of the stream with it. `heard_out`: the client has nothing more to send, as far as
// the buffers tell. Bytes that the kernel still has would make a close() reset the connection.
void Connection::end_after(Workspace& ws, bool heard_out) {
  conn_.expect_end();
  if (ws.out.flush()) return;
  if (heard_out && ws.in.try_fill(conn_).n == 0) {
    static_cast<void>(conn_.close_write());
  } else {
    linger();
  }
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
