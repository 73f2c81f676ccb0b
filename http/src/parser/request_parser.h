// RequestParser: the head of an HTTP/1.1 request, strict and in place (RFC 9112 sections 2 to 6).
//
// The parser is told of the same growing text again and again: every byte of one request received so far. Its state,
// all of it offsets into that text:
//
//   phase_    what the next whole line is: start line, field line (or the blank line), or nothing (done, failed)
//   lines_    where that line begins, and how far it was searched for its end; see head_lines.h
//
// A byte is looked at a bounded number of times, however slowly the text grows: once for its LF, at most twice for its
// meaning. Text past the limit is never looked at, so that an oversized head gets the same answer whole and in pieces.
//
// Some servers let pass what this parser refuses: a bare LF or CR as line end, folded lines, space before the colon, an
// empty Content-Length, control characters anywhere, bytes above 0x7f in the target, a Host field that is no authority.
// It forgives a few empty lines before the start line (RFC 9112 section 2.2), which end in CRLF like every other line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/src/parser/field_line.h"
#include "http/src/parser/framing.h"
#include "http/src/parser/head_lines.h"
#include "weft/http/detail/request_head.h"
#include "weft/http/header.h"

namespace weft::http::detail {

enum class ParseStatus : std::uint8_t { need_more, complete, failed };

// The status line and body of the reply to a request that can't be served; `detail` may be empty.
struct ParseError {
  int status = 0;
  std::string_view detail;
};

enum class Expectation : std::uint8_t { none, continue_100, unknown };

// What a request's head says to the connection, and not to the handler.
struct RequestControl {
  // The connection ends after the response; see MessageFraming::close.
  bool close = false;
  // An HTTP/1.0 client that asks to keep the connection.
  bool keep_alive_10 = false;
  Expectation expectation = Expectation::none;
};

// The most header fields of one request; more are refused like too many bytes.
inline constexpr std::size_t kMaxHeaderFields = 1024;

// The most empty lines before a start line. They belong to the head, in whatever pieces it comes.
inline constexpr int kMaxEmptyLines = 4;

// Thread safety: none. Allocates only while the number of fields exceeds all earlier requests'.
class RequestParser {
 public:
  explicit RequestParser(std::size_t max_head_bytes) : limit_(max_head_bytes) {}

  // Makes it ready for the next request.
  void reset() noexcept;

  // `input` begins with the request's first byte, and with all that earlier calls were shown. After `complete` and
  // `failed` the parser wants a reset().
  ParseStatus parse(std::string_view input);

  // After `complete`: bytes of the head, up to and including the blank line.
  std::size_t head_size() const noexcept { return lines_.line; }
  // After `complete`: fills `head` and adds the fields to `header` as views of `input`, which is the text that parse()
  // saw, wherever it is now.
  void resolve(std::string_view input, RequestHead& head, Header& header) const;
  // After `complete`.
  RequestControl control() const noexcept { return {framing_.close, framing_.keep_alive_10, expectation_}; }

  // After `failed`.
  const ParseError& error() const noexcept { return error_; }
  // After `failed`: the request's method in `input`, the text that parse() saw; empty when it can't be told.
  std::string_view method(std::string_view input) const noexcept;

 private:
  enum class Phase : std::uint8_t { start_line, fields, done };

  void skip_empty_lines(std::string_view input);
  Line parse_start_line(const char* base, const char* end);
  Line parse_target(const char* base);
  Line parse_absolute_target(const char* base);
  void split_path(const char* base);
  Line parse_field_line(const char* base, const char* end);
  bool note_field(const char* base, const FieldSlices& field);
  ParseStatus finish(const char* base);
  ParseStatus refuse(int status, std::string_view detail = {});
  Line bad(std::string_view detail = {}, int status = 400);

  std::size_t limit_;
  HeadLines lines_;
  Phase phase_ = Phase::start_line;
  std::size_t start_line_ = 0;  // what comes before it is empty lines
  int empty_lines_ = 0;

  // What finish() judges, gathered line by line.
  std::uint8_t hosts_ = 0;  // 2 stands for more, too
  bool empty_path_ = false;
  bool plain_path_ = false;
  Expectation expectation_ = Expectation::none;
  int minor_ = 1;
  FramingFields framing_fields_;
  Slice method_, target_, path_, query_;
  Slice authority_;   // of the target, when it has one
  Slice host_field_;  // the last one
  std::vector<FieldSlices> fields_;

  // What finish() finds.
  MessageFraming framing_;
  ParseError error_;
};

}  // namespace weft::http::detail
