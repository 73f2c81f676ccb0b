// Conn: a byte stream between two addresses (Go's net.Conn).
//
// Thread safety: a Conn is a handle; copies name the same connection, and every method may be called from several goroutines at the
// same time. Concurrent writes are serialised whole, so are concurrent reads.
// Lifetime: close() ends the connection; the last handle to go closes one that is still open. Buffers belong to the caller and are
// in use only until the call returns.
// Blocking: read, write, writev and wait_readable park the calling goroutine, never its thread.
// Cancellation: a deadline that passes, or close(), wakes every call in flight.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include <weft/error.h>
#include <weft/net/address.h>
#include <weft/time_point.h>

namespace weft::net {

// What a Conn is made of; net's own streams implement it, and so may yours (TLS, in-memory pipes).
class Stream {
 public:
  virtual ~Stream() = default;
  virtual IoResult read(std::span<char> buffer) = 0;
  virtual IoResult writev(std::span<const std::string_view> parts) = 0;
  virtual std::error_code wait_readable() = 0;
  virtual std::error_code close() = 0;
  virtual std::error_code close_read() = 0;
  virtual std::error_code close_write() = 0;
  virtual void set_read_deadline(TimePoint deadline) = 0;
  virtual void set_write_deadline(TimePoint deadline) = 0;
  virtual Address local_address() const = 0;
  virtual Address remote_address() const = 0;
};

class Conn {
 public:
  Conn() = default;  // no connection; only assignment and operator bool may be used
  explicit Conn(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
  explicit operator bool() const { return stream_ != nullptr; }

  // Returns as soon as at least one byte is there: n > 0, or n == 0 with ec: Condition::eof when the peer finished sending,
  // closed, deadline_exceeded, or the system's own code. An empty buffer returns {0, {}} at once.
  [[nodiscard]] IoResult read(std::span<char> buffer) { return stream_->read(buffer); }

  // Reads until the buffer is full. n < buffer.size() comes with ec.
  [[nodiscard]] IoResult read_full(std::span<char> buffer);

  // Returns when all of it is handed to the kernel, or n < size with ec. A broken connection is EPIPE or ECONNRESET; no SIGPIPE.
  [[nodiscard]] IoResult write(std::string_view data) { return stream_->writev({&data, 1}); }
  // The parts one after the other, as one write.
  [[nodiscard]] IoResult writev(std::span<const std::string_view> parts) { return stream_->writev(parts); }

  // Waits until a read has something to tell (data, end of stream or an error), so that an idle connection needs no buffer. It may
  // return early; the read after it then waits.
  std::error_code wait_readable() { return stream_->wait_readable(); }

  // Wakes every call in flight with Condition::closed; a second close returns Errc::closed.
  std::error_code close() { return stream_->close(); }
  std::error_code close_read() { return stream_->close_read(); }
  // Sends the end of stream to the peer; reads go on.
  std::error_code close_write() { return stream_->close_write(); }

  // Absolute, on the monotonic clock, for calls pending and to come. One in the past fails them at once; a later one revives
  // the connection; kNoDeadline clears.
  void set_deadline(TimePoint deadline) {
    stream_->set_read_deadline(deadline);
    stream_->set_write_deadline(deadline);
  }
  void set_read_deadline(TimePoint deadline) { stream_->set_read_deadline(deadline); }
  void set_write_deadline(TimePoint deadline) { stream_->set_write_deadline(deadline); }

  Address local_address() const { return stream_->local_address(); }
  Address remote_address() const { return stream_->remote_address(); }

  // `ec` of a transfer on this connection as an Error with Go's text: "read tcp 127.0.0.1:80->127.0.0.1:4711: i/o timeout".
  Error error(std::string_view operation, std::error_code ec) const;

 private:
  std::shared_ptr<Stream> stream_;
};

}  // namespace weft::net
