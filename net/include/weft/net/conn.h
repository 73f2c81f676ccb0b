// Conn: a stream of bytes between two addresses (Go's net.Conn), and Stream: what a Conn is made of.
//
// Thread safety: a Conn is a handle, so its methods are const. Copies name the same connection, and several goroutines
// may call any method at the same time. Concurrent reads take turns, whole call by whole call, and so do concurrent
// writes.
// Lifetime: close() ends the connection; the last handle that goes closes a connection that is still open, and so does
// the end of weft::run(). In a goroutine both may park, because close() lets the calls in flight leave. A buffer
// belongs to the caller and is in use only until the call returns.
// Blocking: read, write, writev, send_file and wait_readable park the calling goroutine, never its thread. Only
// goroutines may call them, and try_read.
// Cancellation: a deadline that passes, or close(), wakes every call in flight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include <weft/error.h>
#include <weft/net/address.h>
#include <weft/time_point.h>

namespace weft::net {

// What a Conn is made of. net's own connections implement it, and so may yours: TLS, compression, pipes in memory.
// Conn says what each function promises; an implementation keeps the promises of Conn's header, and its destructor
// closes what is still open. What has a default is optional.
class Stream {
 public:
  virtual ~Stream() = default;

  virtual IoResult read(std::span<char> buffer) = 0;
  virtual IoResult writev(std::span<const std::string_view> parts) = 0;
  virtual std::error_code close() = 0;
  virtual void set_read_deadline(TimePoint deadline) = 0;
  virtual void set_write_deadline(TimePoint deadline) = 0;

  // Returns at once by default: the read that follows waits.
  virtual std::error_code wait_readable();
  // Does nothing by default: it is only a hint.
  virtual void expect_end();
  // Each returns std::errc::operation_not_supported by default, and the stream is as before.
  virtual std::error_code close_read();
  virtual std::error_code close_write();
  virtual IoResult try_read(std::span<char> buffer);
  virtual std::error_code on_hang_up(std::function<void()> fn);
  virtual std::error_code set_write_stall_timeout(std::chrono::nanoseconds timeout);
  // Reads the file into a buffer and writes the buffer, piece by piece, by default. Another goroutine's write may come
  // between two pieces.
  virtual IoResult send_file(int file, std::uint64_t offset, std::size_t count);
  // Each is none by default.
  virtual Address local_address() const;
  virtual Address remote_address() const;
  // The name of the network for the texts of errors: "tcp", "unix". Empty by default. The text lives as long as the
  // stream.
  virtual std::string_view network() const;
};

class Conn {
 public:
  Conn() = default;  // no connection; only assignment and operator bool may be used
  explicit Conn(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
  explicit operator bool() const { return stream_ != nullptr; }

  // Returns as soon as at least one byte has come: n > 0, or n == 0 with ec. ec is Condition::eof when the peer has
  // finished sending, closed, deadline_exceeded, or the system's own code. An empty buffer returns {0, {}} at once.
  [[nodiscard]] IoResult read(std::span<char> buffer) const { return stream_->read(buffer); }

  // Reads until the buffer is full. When n is less than the buffer's size, ec says why.
  [[nodiscard]] IoResult read_full(std::span<char> buffer) const;

  // Reads what has come already: as read(), but ec is std::errc::operation_would_block when nothing has come. It does
  // not wait for the peer; while another goroutine reads, it takes its turn after that one. On io_uring, bytes that
  // came just now may show a moment later. ec is std::errc::operation_not_supported from a stream that can't tell.
  [[nodiscard]] IoResult try_read(std::span<char> buffer) const { return stream_->try_read(buffer); }

  // Returns when the kernel has taken all of it; when n is less than the size, ec says why. On a broken connection ec
  // is EPIPE or ECONNRESET, and no SIGPIPE is raised.
  [[nodiscard]] IoResult write(std::string_view data) const { return stream_->writev({&data, 1}); }
  // Writes the parts one after the other, as one write.
  [[nodiscard]] IoResult writev(std::span<const std::string_view> parts) const { return stream_->writev(parts); }

  // Writes `count` bytes of the open file `file`, from `offset` on. The caller keeps the file open until the call
  // returns; the file's own position stays as it is. When n is less than count, ec says why: Condition::eof when the
  // file is shorter, the file's error, or an error of write(). On TCP the kernel copies the bytes (sendfile(2)), up to
  // 1 MiB at a time. After each time other goroutines get their turn, and a deadline that has passed or close() ends
  // the call. The whole is one write, so no other goroutine's write comes in between. Only a file that the kernel can't
  // copy from is read and written piece by piece, and other writes may come between two pieces. A file whose bytes are
  // not in memory holds up the thread until the disk has read them.
  [[nodiscard]] IoResult send_file(int file, std::uint64_t offset, std::size_t count) const {
    return stream_->send_file(file, offset, count);
  }

  // Waits until a read has something to tell (data, end of stream or an error), so that an idle connection needs no
  // buffer. It may return early; the read that follows then waits.
  std::error_code wait_readable() const { return stream_->wait_readable(); }

  // Calls fn() once, in a goroutine of its own, when the peer has finished sending, or the connection was reset; soon
  // when that has happened already. The goroutine has no parent, and inherits no labels and no bubble. Nothing is read
  // for it, so it is noticed whatever lies unread, and reads go on beside it. The next call replaces the function; an
  // empty one takes it back. A function that has begun meanwhile runs on. close() drops the function, and so does the
  // last handle, so don't let it hold one. Errors: Errc::closed; std::errc::operation_not_supported from a stream that
  // can't tell; ENOMEM and its like from the kernel. Throws std::bad_alloc.
  std::error_code on_hang_up(std::function<void()> fn) const { return stream_->on_hang_up(std::move(fn)); }

  // A write that has to wait, and whose peer takes nothing for this long, ends with Condition::deadline_exceeded. It is
  // for peers that have stopped reading: the time starts anew whenever the peer's kernel acknowledges bytes, so a slow
  // peer is not cut off. It costs nothing until a write has to wait, and the write deadline holds beside it. Zero or
  // negative: none, as at the beginning. It holds from the next wait on. Errors: std::errc::operation_not_supported
  // from a stream that has no such timeout.
  std::error_code set_write_stall_timeout(std::chrono::nanoseconds timeout) const {
    return stream_->set_write_stall_timeout(timeout);
  }

  // Says that close_write() follows soon after the writes to come. On TCP, what does not fill a segment may then wait
  // for it, as a rule for 200 ms at most. So the last bytes and the end of the stream leave in one segment: one packet
  // less, and the peer is woken once. Don't call close() in its place: where something lies unread, that resets the
  // connection, and what waits is lost. Other streams may ignore it.
  void expect_end() const { stream_->expect_end(); }

  // Wakes every call in flight with Condition::closed. A second close returns Errc::closed.
  std::error_code close() const { return stream_->close(); }
  // Ends reading, and lets writes go on.
  std::error_code close_read() const { return stream_->close_read(); }
  // Sends the end of stream to the peer, and lets reads go on.
  std::error_code close_write() const { return stream_->close_write(); }

  // A deadline is absolute, on the monotonic clock, and holds for calls in flight and to come. A deadline in the past
  // fails them at once; a later one revives the connection; kNoDeadline clears it.
  void set_deadline(TimePoint deadline) const {
    stream_->set_read_deadline(deadline);
    stream_->set_write_deadline(deadline);
  }
  void set_read_deadline(TimePoint deadline) const { stream_->set_read_deadline(deadline); }
  void set_write_deadline(TimePoint deadline) const { stream_->set_write_deadline(deadline); }

  // An address of a TCP connection is asked from the kernel when somebody wants it for the first time, and kept. It is
  // none when the connection is closed before that. A peer that has reset the connection, even before it was accepted,
  // is still known. dial() knows the remote address beforehand, and so does accept() on the epoll poller.
  Address local_address() const { return stream_->local_address(); }
  Address remote_address() const { return stream_->remote_address(); }

  // "tcp", "tcp4" or "tcp6", as listen() or dial() was told; a stream of your own says its own name. It lives as long
  // as the connection.
  std::string_view network() const { return stream_->network(); }

  // Returns `ec` of a transfer on this connection as an Error with Go's text: "read tcp 127.0.0.1:80->127.0.0.1:4711:
  // i/o timeout". A network or an address that is not known is left out. Condition::eof stays bare.
  Error error(std::string_view operation, std::error_code ec) const;

  // What this connection is made of, to wrap it (TLS) or to ask for more than Conn offers (dynamic_pointer_cast to the
  // type that you expect). The stream stays open as long as a pointer to it or a handle is left.
  const std::shared_ptr<Stream>& stream() const { return stream_; }

 private:
  std::shared_ptr<Stream> stream_;
};

}  // namespace weft::net
