// RequestBody: the content of a request, out of the connection's buffer and then out of the connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "http/src/http1/input_buffer.h"
#include "http/src/http1/output_buffer.h"
#include "http/src/parser/chunked.h"
#include "http/src/parser/request_parser.h"
#include "weft/http/header.h"
#include "weft/http/request.h"
#include "weft/net/conn.h"

namespace weft::http::detail::http1 {

// So much of an unread body is read after the response, so that the connection can be used again.
inline constexpr std::uint64_t kMaxDrain = 256 * 1024;

// State: left_ bytes are to come, or for a chunked body what decoder_ says. finished_ is set once the end was seen,
// error_ once it can't be any more. Before the body waits for the client, it sends the responses that are whole, so
// that pipelined clients which wait for them go on. Thread safety: none.
class RequestBody final : public Body {
 public:
  // Fills `trailer` at the end of a chunked body.
  RequestBody(InputBuffer& in, OutputBuffer& out, Header& trailer) : in_(in), out_(out), trailer_(trailer) {}

  void attach(net::Conn& conn) noexcept { conn_ = &conn; }

  // `max_bytes` 0: no limit. Declared lengths are the caller's to check. `stall_timeout` is how long a read may wait
  // for the client; where it is not positive, the connection's read deadline alone counts.
  void begin(const RequestHead& head, Expectation expectation, std::uint64_t max_bytes,
             std::chrono::nanoseconds stall_timeout);

  // The handler has set a read deadline of its own, which holds instead.
  void drop_stall_timeout() noexcept { stall_timeout_ = std::chrono::nanoseconds::zero(); }
  // A read has failed because the client sent nothing for too long.
  bool stalled() const noexcept { return stalled_; }

  IoResult read(std::span<char> buffer) override;

  // The response begins: a client that waits for "100 Continue" isn't sent one any more.
  void forbid_continue() noexcept;

  bool finished() const noexcept { return finished_; }

  // The handler has returned. Each of these reads what it left, and returns true when the next request can follow: the
  // first one what is here, the second one up to kMaxDrain bytes, for which it may wait.
  bool skip_buffered() { return finished_ || skip_unfinished(); }
  bool drain();
  // False when the end of the body can't come within kMaxDrain bytes, or can't be told from the next request.
  bool is_drainable() const noexcept {
    return finished_ || (!error_ && continue_ == Continue::unasked && (chunked_ || left_ <= kMaxDrain));
  }

  // Later reads by the handler fail; what is left stays in the connection.
  void close() noexcept { closed_ = true; }

 private:
  enum class Continue : std::uint8_t { unasked, wanted, refused };

  enum class Wait : bool { no, yes };

  IoResult read_more(std::span<char> buffer, Wait wait);
  IoResult read_sized(std::span<char> buffer);
  IoResult read_chunked(std::span<char> buffer, Wait wait);
  IoResult take_buffered(std::span<char> buffer);
  std::error_code fill();
  IoResult receive(std::span<char> buffer);
  bool skip_unfinished();
  void arm_stall_timeout() const;
  void note_stall(std::error_code ec) noexcept;
  void keep_trailer();
  std::error_code receive_error(std::error_code ec);
  IoResult fail(std::error_code ec);

  InputBuffer& in_;
  OutputBuffer& out_;
  Header& trailer_;
  net::Conn* conn_ = nullptr;
  bool chunked_ = false;
  bool finished_ = true;
  bool closed_ = false;
  Continue continue_ = Continue::unasked;
  std::uint64_t left_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t max_bytes_ = 0;
  std::chrono::nanoseconds stall_timeout_{0};
  bool stalled_ = false;
  std::error_code error_;
  ChunkedDecoder decoder_;
};

}  // namespace weft::http::detail::http1
