// RequestBody: the content of a request, out of the connection's buffer and then out of the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "http/src/http1/disconnect_watch.h"
#include "http/src/http1/input_buffer.h"
#include "http/src/http1/output_buffer.h"
#include "http/src/parser/chunked.h"
#include "http/src/parser/request_parser.h"
#include "weft/http/header.h"
#include "weft/http/request.h"
#include "weft/net/conn.h"

namespace weft::http::detail::http1 {

// So much of an unread body is read, so that the connection can be used again.
inline constexpr std::uint64_t kMaxDrain = 256 * 1024;

// State: left_ bytes are to come, or for a chunked body what decoder_ says. finished_ is set once the end was seen,
// error_ once it can't be any more. Before the body waits for the client, it sends the responses that are whole, so
// that pipelined clients which wait for them go on. Thread safety: none.
class RequestBody final : public Body {
 public:
  // Fills `trailer` at the end of a chunked body.
  RequestBody(InputBuffer& in, OutputBuffer& out, DisconnectWatch& watch, Header& trailer)
      : in_(in), out_(out), watch_(watch), trailer_(trailer) {}

  void attach(net::Conn& conn) noexcept { conn_ = &conn; }

  // `max_bytes` 0: no limit. Declared lengths are the caller's to check.
  void begin(const RequestHead& head, Expectation expectation, std::uint64_t max_bytes);

  IoResult read(std::span<char> buffer) override;

  // The response begins: a client that waits for "100 Continue" isn't sent one any more.
  void forbid_continue() noexcept;

  bool finished() const noexcept { return finished_; }

  // Reads what the handler left, up to kMaxDrain bytes; later reads by the handler fail. True: the next request can
  // follow.
  bool drain();

  // Later reads by the handler fail; what is left stays in the connection.
  void close() noexcept { closed_ = true; }

 private:
  enum class Continue : std::uint8_t { unasked, wanted, refused };

  IoResult read_sized(std::span<char> buffer);
  IoResult read_chunked(std::span<char> buffer);
  IoResult take_buffered(std::span<char> buffer);
  std::error_code fill();
  void finish();
  void keep_trailer();
  std::error_code receive_error(std::error_code ec);
  IoResult fail(std::error_code ec);

  InputBuffer& in_;
  OutputBuffer& out_;
  DisconnectWatch& watch_;  // may read once the body has ended
  Header& trailer_;
  net::Conn* conn_ = nullptr;
  bool chunked_ = false;
  bool finished_ = true;
  bool closed_ = false;
  Continue continue_ = Continue::unasked;
  std::uint64_t left_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t max_bytes_ = 0;
  std::error_code error_;
  ChunkedDecoder decoder_;
};

}  // namespace weft::http::detail::http1
