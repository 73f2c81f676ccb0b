// OutputBuffer: the bytes that a connection will send, so that a burst of responses leaves in one write.
//
//   [0, sealed_) whole responses     [sealed_, size) the response in progress
//
// Only whole responses are sent without the handler's asking (flush_sealed); the response in progress can still be
// taken back.
#pragma once

#include <cstddef>
#include <string_view>
#include <system_error>

#include "http/src/http1/byte_buffer.h"
#include "weft/net/conn.h"

namespace weft::http::detail::http1 {

// A buffer that holds this much is sent instead of grown.
inline constexpr std::size_t kFlushAt = 32 * 1024;

// Errors stay: after one, nothing is sent. Thread safety: none. The goroutine that serves the connection owns it.
class OutputBuffer {
 public:
  void attach(net::Conn& conn) noexcept { conn_ = &conn; }

  // Append to it.
  ByteBuffer& text() noexcept { return text_; }
  std::size_t size() const noexcept { return text_.size(); }
  std::error_code error() const noexcept { return error_; }

  // All responses that are there are whole.
  void seal() noexcept {
    sealed_ = text_.size();
    in_progress_sent_ = false;
  }
  // A part of the response in progress is out, and can't be taken back.
  bool in_progress_sent() const noexcept { return in_progress_sent_; }
  void drop_unsealed() noexcept { text_.truncate(sealed_); }

  std::error_code flush() { return text_.empty() ? error_ : send({}, {}); }
  // Sends the whole responses and then `tail`, and keeps the rest.
  std::error_code flush_sealed(std::string_view tail = {});
  // Sends everything, and then `a`, `b` and `c`, which are not copied.
  std::error_code send(std::string_view a, std::string_view b, std::string_view c = {});

  void reset() noexcept;

 private:
  net::Conn* conn_ = nullptr;
  ByteBuffer text_;
  std::size_t sealed_ = 0;
  bool in_progress_sent_ = false;
  std::error_code error_;
};

}  // namespace weft::http::detail::http1
