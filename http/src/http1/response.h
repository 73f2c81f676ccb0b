// Response: the server's ResponseWriter, which frames what a handler writes (RFC 9112 section 6, Go's response and
// chunkWriter).
//
//   open       nothing is fixed; header() counts
//   begun      write_header() was called: status line and handler's fields stand in the output buffer, unsealed; body
//              gathers in pending_
//   committed  the body's framing and the server's own fields stand after them; body follows
//   hijacked   the connection belongs to the handler; nothing is written here any more
//
// The commit waits until the handler ends, flushes, or has written more than kPending bytes, because only the end tells
// a short body's length. Between begun and committed nothing else is appended to the output buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "http/src/http1/byte_buffer.h"
#include "http/src/http1/output_buffer.h"
#include "http/src/http1/request_body.h"
#include "http/src/http1/response_host.h"
#include "http/src/message/date.h"
#include "http/src/parser/request_parser.h"
#include "weft/http/detail/request_head.h"
#include "weft/http/response_writer.h"

namespace weft::http::detail::http1 {

// Used again for each request. Thread safety: none. The goroutine that serves the connection owns it and lends it to
// the handler.
class Response final : public ResponseWriter {
 public:
  // A body that ends within this many bytes gets a Content-Length.
  static constexpr std::size_t kPending = 2048;

  Response(OutputBuffer& out, RequestBody& body, Request& request) : out_(out), body_(body), request_(request) {}

  void attach(ResponseHost& host) noexcept { host_ = &host; }
  void begin(const RequestHead& head, const RequestControl& control);

  Header& header() override { return header_; }
  void write_header(int code) override;
  IoResult write(std::string_view data) override;
  std::error_code flush() override;

  int status() const noexcept override { return state_ == State::open ? 0 : status_; }
  std::uint64_t bytes_written() const noexcept override { return written_; }
  std::error_code set_read_deadline(TimePoint deadline) override;
  std::error_code set_write_deadline(TimePoint deadline) override;
  std::error_code enable_full_duplex() override;
  Result<Hijacked> hijack() override;

  // The handler has failed. Takes back what it has written and begins a 500 instead, after which the connection ends.
  // False when a part of its response is out already, or the connection is no longer the server's.
  bool replace_by_error();

  // The handler has returned: completes the response and seals it in the output buffer.
  void finish();

  // After finish(): the connection must end.
  bool closes() const noexcept { return close_; }

 private:
  enum class State : std::uint8_t { open, begun, committed, hijacked };
  enum class Framing : std::uint8_t { none, length, chunked, until_close };
  // What becomes of a handler's field: the framing took it in, or it is sent like any other.
  enum class Use : std::uint8_t { consumed, sent };
  enum class Last : bool { no, yes };

  void start_over() noexcept;
  void append_status_line();
  void append_handler_fields();
  Use note_field(std::string_view name, std::string_view value);
  void note_length(std::string_view value);
  void append_field(std::string_view name, std::string_view value);
  void append_valid_name(std::string_view name, std::string_view value);
  void write_interim();
  void commit(Last last, std::string_view sample);
  void choose_framing(Last last);
  bool has_prefixed_trailer() const noexcept;
  void append_framing();
  void append_connection();
  void append_last_chunk();
  std::string_view gather_sample(std::string_view data, std::string& scratch) const;
  std::error_code emit(std::string_view a, std::string_view b);
  std::error_code sent(std::error_code ec);

  OutputBuffer& out_;
  RequestBody& body_;
  Request& request_;  // its context ends when the client can't be reached
  ResponseHost* host_ = nullptr;
  Header header_;
  DateLine date_;
  ByteBuffer pending_;
  std::string connection_;         // the handler's Connection field, when it is neither close nor keep-alive
  std::string declared_trailers_;  // the values of the handler's Trailer fields, each with a comma after it

  State state_ = State::open;
  Framing framing_ = Framing::none;
  int status_ = 0;
  bool is_head_ = false;
  bool http10_ = false;
  bool keep_alive_10_ = false;
  bool close_ = false;
  bool full_duplex_ = false;
  bool has_date_ = false;
  bool has_type_ = false;
  bool has_encoding_ = false;
  bool has_trailers_ = false;  // the handler has said that there will be trailer fields
  bool transfer_encoding_ = false;
  bool identity_ = false;
  std::int64_t declared_ = -1;  // Content-Length by the handler, or of a body that ended early enough
  std::uint64_t written_ = 0;
};

}  // namespace weft::http::detail::http1
