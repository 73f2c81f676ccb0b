// ResponseWriter: how a handler answers (Go's http.ResponseWriter and http.ResponseController).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <system_error>

#include <weft/error.h>
#include <weft/http/errc.h>
#include <weft/http/header.h>
#include <weft/panic.h>
#include <weft/time_point.h>

namespace weft::http {

class Request;
struct Hijacked;  // <weft/http/hijacked.h>

// A field whose name begins with this is a trailer field: it is sent after the body, without the prefix, and needs no
// announcement (Go's http.TrailerPrefix).
//
//   w.header().set("Trailer:Checksum", sum);
inline constexpr std::string_view kTrailerPrefix = "Trailer:";

// An interface, so that middleware can stand between a handler and the server's own writer. Middleware implements the
// four functions that have no default, and unwrap(); what it doesn't care about then goes to the writer below it.
//
// Trailer fields (RFC 9110 section 6.5): a handler announces them by a "Trailer" field before the body begins and sets
// their values in header() before it returns; or it uses kTrailerPrefix. They are sent after a chunked body, and either
// makes an HTTP/1.1 body chunked that has no Content-Length of the handler's. They are dropped elsewhere: after a body
// with a Content-Length, in HTTP/1.0, for HEAD. Fields that must be known before the body are dropped, too: those that
// frame the message, route it, authenticate, or describe the content (every Content- field but Content-Digest).
//
// Thread safety: none; one goroutine at a time.
// Lifetime: until the handler returns.
// Blocking: write, flush, set_write_deadline and hijack park the calling goroutine while the client takes data slower
// than it comes.
// Cancellation: the connection's write deadline and Server::close() end a write that waits.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;

  // The fields to send. Changes after write_header() or the first write have no effect, but for trailer fields. The
  // server adds Date, Content-Type (guessed from the first bytes), Content-Length or Transfer-Encoding, and Connection
  // where they are missing; an empty Date or Content-Type keeps the server from adding one.
  virtual Header& header() = 0;

  // Fixes the status and the fields. 1xx codes except 101 are sent at once and may be followed by another call;
  // otherwise a second call is ignored and logged. Throws Panic for a code outside 100..999.
  virtual void write_header(int code) = 0;

  // Sends a piece of the body, after write_header(200) if there was none. A response that ends within 2048 bytes goes
  // out with its Content-Length; a larger or flushed one goes out chunked, or until the end of the connection for
  // HTTP/1.0. The body of a reply to HEAD is counted and dropped. n < size comes with ec: Errc::body_not_allowed (1xx,
  // 204, 205, 304), Errc::content_length (more than was declared), Errc::hijacked, or the connection's error, after
  // which the connection ends with the handler.
  virtual IoResult write(std::string_view data) = 0;

  // Sends what is there, and the fields if they weren't sent. Errors: as write()'s.
  virtual std::error_code flush() = 0;

  // The writer that this one stands in front of; null for one that stands in front of none.
  virtual ResponseWriter* unwrap() const noexcept { return nullptr; }

  // The functions below ask the writer that unwrap() returns. Where there is none they return 0 or
  // Errc::not_supported.

  // The code that write_header() or the first write fixed; of the 1xx codes only 101. 0 before that. So after the
  // handler has returned, 0 means that it wrote nothing: the server sends a 200, unless the connection was hijacked.
  virtual int status() const noexcept;

  // Bytes of the body that write() took: the sum of the n that it returned, for HEAD too. A piece whose write() failed
  // doesn't count; one that was taken counts, also where a later flush loses it.
  virtual std::uint64_t bytes_written() const noexcept;

  // Deadlines for reads of the present request's body, and for writes of its response. They replace the server's own,
  // which are restored for the next request. kNoDeadline clears one; after one in the past reads or writes fail at
  // once with Condition::deadline_exceeded. Earlier responses of a pipelined burst don't come under the deadline for
  // writes: set_write_deadline() sends them first, and may park. Errors: Errc::not_supported, Errc::hijacked; and from
  // set_write_deadline() the connection's error.
  virtual std::error_code set_read_deadline(TimePoint deadline);
  virtual std::error_code set_write_deadline(TimePoint deadline);

  // Says that the handler reads the request's body while it writes the response. The server lets every handler do so:
  // the response never waits for the body, and what the handler leaves of the body is read after the response, up to
  // 256 KiB and for 2 s, so that the connection can be used again. What this call changes is an announcement: without
  // it, a response that begins while more than 256 KiB of the body are missing says "Connection: close". So call it
  // before the first flush, and before you write more than 2048 bytes of the response's body. Mind clients that send
  // their whole request before they read: a handler that writes much and doesn't read leaves both sides waiting, until
  // ServerOptions::stall_timeout. Errors: Errc::not_supported, Errc::hijacked.
  virtual std::error_code enable_full_duplex();

  // Takes the connection over from the server, to speak another protocol on it. What was written before goes out
  // first. Afterwards the server doesn't read from the connection, write to it or close it; Server::shutdown(),
  // Server::serve() and Server::close() leave it alone, and ServerStats doesn't count it as open. Both deadlines are
  // cleared. The response can't be written to any more, and the request's body can't be read: what is left of it comes
  // in Hijacked::buffered, or stays on the connection. The request itself lives until the handler returns. Its context
  // ends then, or earlier at Server::close(). The connection lives on as long as its handles. Errors:
  // Errc::not_supported, Errc::hijacked for a second call, or the connection's error, after which the server has the
  // connection still.
  virtual Result<Hijacked> hijack();
};

// Answers one request. May be called for many requests at the same time. An exception that leaves it is logged, with
// the client, the request, the pattern, and the stack of where it was thrown, and ends its connection. If nothing of
// the response was sent, the client gets a 500 in its place. Otherwise the response is cut off, so that the client
// doesn't take it for a whole one. AbortHandler cuts off in any case, and silently.
using Handler = std::function<void(ResponseWriter&, Request&)>;

// Thrown by a handler to drop the connection and say nothing, neither to the client nor to the log (Go's
// http.ErrAbortHandler).
struct AbortHandler {};

}  // namespace weft::http
