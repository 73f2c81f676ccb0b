#include "http/src/server/connection.h"

#include <cxxabi.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

#include "http/src/message/request_access.h"
#include "runtime/src/sched/caller_clock.h"
#include "weft/http/http.h"
#include "weft/http/status.h"
#include "weft/net/address.h"

namespace weft::http::detail {
namespace {

using std::chrono::nanoseconds;

// How long a client may go on sending after the server has ended its side, before the connection is closed under it. Closing over bytes
// that were not read resets the connection, and the client could lose a reply that it has not read yet.
constexpr std::chrono::milliseconds kLinger{500};

// A deadline that has always passed.
constexpr TimePoint kPast{};

// Timeouts from here on may be up to a second early.
constexpr std::chrono::seconds kLongTimeout{30};

TimePoint after(rt::Nanos start, nanoseconds timeout) {
  const rt::Nanos deadline = rt::saturating_add(start, timeout.count());
  return deadline == rt::kNever ? kNoDeadline : TimePoint(nanoseconds(deadline));
}

// Zero stands for `fallback`; what is still not positive never expires.
nanoseconds effective(nanoseconds timeout, nanoseconds fallback) {
  if (timeout == nanoseconds::zero()) timeout = fallback;
  return timeout > nanoseconds::zero() ? timeout : nanoseconds::max();
}

// Nothing, or the line ends that may stand before a request.
bool only_line_ends(std::string_view text) { return text.find_first_not_of("\r\n") == std::string_view::npos; }

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

}  // namespace

Connection::Connection(std::shared_ptr<Server::Impl> server, net::Conn conn)
    : server_(std::move(server)), conn_(std::move(conn)) {}

void Connection::run() {
  try {
    serve();
  } catch (const weft::detail::GoroutineExit&) {
    (void)conn_.close();
    throw;
  } catch (...) {
    server_->log("http: error serving " + peer() + ": " + current_exception_text());
  }
  (void)conn_.close();
}

void Connection::end_if(ConnectionState expected) {
  if (state_.compare_exchange_strong(expected, ConnectionState::closing, std::memory_order_seq_cst,
                                     std::memory_order_relaxed)) {
    conn_.set_read_deadline(kPast);
  }
}

void Connection::serve() {
  arm_head_deadline();
  if (await_request(ConnectionState::fresh)) {
    do {
      if (serve_burst() == Next::close) return;
    } while (become_idle() && await_request(ConnectionState::idle));
  }
  // Ended between two requests, by a timeout or a shutdown. A request that is on its way finds the end of the stream, not a reset.
  linger();
}

// Parks without a buffer until the client sends something. False when the connection is to be closed instead. The state is looked at after
// the deadline was armed, and end_if() does both in the same order: its deadline in the past stands, or its state is seen here.
bool Connection::await_request(ConnectionState from) {
  return state_.load(std::memory_order_acquire) == from && !conn_.wait_readable() &&
         state_.compare_exchange_strong(from, ConnectionState::active, std::memory_order_acq_rel,
                                        std::memory_order_relaxed);
}

bool Connection::become_idle() {
  arm_idle_deadline();
  // The other half is Server::Impl::shutdown(); see the opening comment of the header.
  state_.store(ConnectionState::idle, std::memory_order_seq_cst);
  return !server_->shutting_down();
}

// Serves what the client sends until it pauses between two requests.
Connection::Next Connection::serve_burst() {
  std::unique_ptr<Workspace> ws = server_->pool().acquire();
  ws->out.attach(conn_);
  ws->body.attach(conn_);
  ws->watch.attach(conn_);
  ws->response.attach(*server_);
  RequestAccess::attach(ws->request, ws->body, conn_, server_->context(), ws->watch);
  const Next next = serve_requests(*ws);
  ws->reset();
  server_->pool().release(std::move(ws));
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
        refuse(ws, ws.parser.error());
        return Next::close;
      case ParseStatus::need_more:
        // A read that waits would keep whole responses from the client.
        if (ws.out.flush()) return Next::close;
        if (only_line_ends(unread)) return Next::wait;
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
  ws.in.consume_pinned(ws.parser.head_size());
  ws.parser.reset();
  requests_.store(requests_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);

  const ServerOptions& options = server_->options();
  if (options.max_body_bytes != 0 && head.content_length > 0 &&
      static_cast<std::uint64_t>(head.content_length) > options.max_body_bytes) {
    refuse(ws, {kStatusRequestEntityTooLarge, {}});
    return false;
  }
  arm_request_deadlines(head.content_length, ws.in.unread().size());
  ws.body.begin(head, options.max_body_bytes);
  ws.response.begin(head);
  const bool answered = answer(ws);
  if (ws.watch.running()) stop_watch(ws);
  RequestAccess::cancel(ws.request);
  RequestAccess::clear(ws.request);
  if (!answered) {
    ws.out.drop_unsealed();
    (void)ws.out.flush();
    return false;
  }
  ws.in.unpin();
  head_start_ = 0;
  if (ws.response.closes()) {
    const bool heard_out = ws.body.finished() && ws.in.unread().empty();
    if (!ws.out.flush() && !heard_out) linger();
    return false;
  }
  return ws.out.size() < kFlushAt ? !ws.out.error() : !ws.out.flush();
}

// A byte that the watch caught belongs to the next request. Whoever reads next sets a deadline of his own.
void Connection::stop_watch(Workspace& ws) {
  if (const std::optional<char> byte = ws.watch.stop()) ws.in.push(*byte);
  idle_armed_at_ = 0;
}

// False when the handler threw.
bool Connection::answer(Workspace& ws) {
  const RequestHead& head = RequestAccess::head(ws.request);
  if (head.expectation == Expectation::unknown) {
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
  const Handler& handler = server_->options().handler;
  try {
    handler(ws.response, ws.request);
    return true;
  } catch (const AbortHandler&) {
    return false;
  } catch (const weft::detail::GoroutineExit&) {
    throw;
  } catch (...) {
    server_->log("http: panic serving " + peer() + ": " + current_exception_text());
    return false;
  }
}

void Connection::set_read_deadline(TimePoint deadline) {
  idle_armed_at_ = 0;
  conn_.set_read_deadline(deadline);
}

// From the first bytes of a head that isn't whole yet; does nothing when it has its deadline already.
void Connection::arm_head_deadline() {
  if (head_start_ != 0) return;
  const ServerOptions& options = server_->options();
  head_start_ = rt::caller_now();
  const nanoseconds timeout = std::min(effective(options.read_header_timeout, options.read_timeout),
                                       effective(options.read_timeout, nanoseconds::zero()));
  set_read_deadline(after(head_start_, timeout));
}

// Of a long timeout, the present second's deadline is near enough, and most requests find it set.
void Connection::arm_idle_deadline() {
  head_start_ = 0;
  const nanoseconds timeout = effective(server_->options().idle_timeout, server_->options().read_timeout);
  const std::time_t second = timeout >= kLongTimeout ? std::time(nullptr) : 0;
  if (second != 0 && second == idle_armed_at_) return;
  idle_armed_at_ = second;
  conn_.set_read_deadline(after(rt::caller_now(), timeout));
}

// For a body of `length` bytes, -1 for a chunked one, of which so many are here. A request that came whole needs no
// clock.
void Connection::arm_request_deadlines(std::int64_t length, std::size_t buffered) {
  const ServerOptions& options = server_->options();
  const bool body_to_come = length < 0 || static_cast<std::uint64_t>(length) > buffered;
  if (body_to_come) {
    const rt::Nanos start = head_start_ != 0 ? head_start_ : rt::caller_now();
    set_read_deadline(after(start, effective(options.read_timeout, nanoseconds::zero())));
  }
  if (options.write_timeout > nanoseconds::zero())
    conn_.set_write_deadline(after(rt::caller_now(), options.write_timeout));
}

void Connection::refuse(Workspace& ws, const ParseError& error) {
  std::string reply = std::to_string(error.status) + " " + std::string(status_text(error.status));
  ByteBuffer& out = ws.out.text();
  out.append("HTTP/1.1 ");
  out.append(reply);
  out.append("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n");
  if (!error.detail.empty()) reply.append(": ").append(error.detail);
  out.append(reply);
  if (!ws.out.flush()) linger();
}

// Ends the stream to the client and reads what it still sends, for a while.
[[gnu::noinline]] void Connection::linger() {  // its buffer is not for the frames that an idle connection parks in
  if (conn_.close_write()) return;
  set_read_deadline(after(rt::caller_now(), kLinger));
  char scratch[512];
  while (!conn_.read(scratch).ec) {
  }
}

std::string Connection::peer() const { return net::to_string(conn_.remote_address()); }

}  // namespace weft::http::detail
