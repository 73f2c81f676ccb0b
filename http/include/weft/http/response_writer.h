// ResponseWriter: how a handler answers (Go's http.ResponseWriter).
#pragma once

#include <functional>
#include <string_view>
#include <system_error>

#include <weft/error.h>
#include <weft/http/header.h>

namespace weft::http {

class Request;

// An interface, so that middleware can stand between a handler and the server's own writer.
// Thread safety: none; one goroutine at a time.
// Lifetime: until the handler returns.
// Blocking: write and flush park the calling goroutine when the client takes data slower than it comes.
// Cancellation: the connection's write deadline and Server::close() end a write that waits.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;

  // The fields to send; changes after write_header() or the first write have no effect. The server adds Date,
  // Content-Type (guessed from the first bytes), Content-Length or Transfer-Encoding, and Connection where they are
  // missing; an empty Date or Content-Type keeps the server from adding one.
  virtual Header& header() = 0;

  // Fixes the status and the fields. 1xx codes except 101 are sent at once and may be followed by another call;
  // otherwise a second call is ignored and logged. Throws Panic for a code outside 100..999.
  virtual void write_header(int code) = 0;

  // Sends a piece of the body, after write_header(200) if there was none. A response that ends within 2048 bytes goes
  // out with its Content-Length, a larger or flushed one chunked, or until the end of the connection for HTTP/1.0. The
  // body of a reply to HEAD is counted and dropped. n < size comes with ec: Errc::body_not_allowed (1xx, 204, 304),
  // Errc::content_length (more than was declared), or the connection's error, after which the connection ends with the
  // handler.
  virtual IoResult write(std::string_view data) = 0;

  // Sends what is there, and the fields if they weren't sent.
  virtual std::error_code flush() = 0;
};

// Answers one request. May be called for many requests at the same time. An exception that leaves it is logged, and
// ends its connection without a reply that the client could take for a whole one; AbortHandler does so silently.
using Handler = std::function<void(ResponseWriter&, Request&)>;

// Thrown by a handler to drop the connection and say nothing (Go's http.ErrAbortHandler).
struct AbortHandler {};

}  // namespace weft::http
