// RequestParser: the head of an HTTP/1.1 request, strict and in place (RFC 9112 sections 2 to 6).
//
// The parser is told of the same growing text again and again: every byte of one request received so far. It keeps
// offsets, never pointers, so the text may move between calls. Its state, all of it offsets into that text:
//
//   phase_    what the next whole line is: start line, field line (or the blank line), or nothing (done, failed)
//   line_     first byte of that line; everything before it is parsed and never looked at again
//   scanned_  everything in [line_, scanned_) is known to hold no LF
//
// A line is judged only when its LF is there, so that the verdict depends on the bytes alone and not on where reads
// split them; and a byte is looked at a bounded number of times, however slowly the text grows: once for its LF, at
// most twice for its meaning. Text past the limit is never looked at, so that an oversized head gets the same answer
// whole and in pieces.
//
// What it refuses although some servers let it pass: a bare LF or CR as line end, folded lines, space before the colon,
// an empty Content-Length, control characters anywhere, bytes above 0x7f in the target. What it forgives: up to four CR
// or LF before the start line (RFC 9112 section 2.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "weft/http/detail/request_head.h"
#include "weft/http/header.h"

namespace weft::http::detail {

enum class ParseStatus : std::uint8_t { need_more, complete, failed };

// The status line and body of the reply to a request that can't be served; `detail` may be empty.
struct ParseError {
  int status = 0;
  std::string_view detail;
};

// Header fields of one request; more are refused like too many bytes.
inline constexpr std::size_t kMaxHeaderFields = 1024;

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
  std::size_t head_size() const noexcept { return line_; }
  // After `complete`: fills `head` and adds the fields to `header` as views of `input`, which is the text that parse()
  // saw, wherever it is now.
  void resolve(std::string_view input, RequestHead& head, Header& header) const;

  // After `failed`.
  const ParseError& error() const noexcept { return error_; }

 private:
  enum class Phase : std::uint8_t { start_line, fields, done };
  enum class Line : std::uint8_t { good, blank, incomplete, bad };

  struct Slice {
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
  };
  struct FieldSlices {
    Slice name;
    Slice value;
  };

  Line parse_start_line(const char* base, const char* end);
  Line parse_target(const char* base);
  Line parse_absolute_target(const char* base);
  void split_path(const char* base);
  Line parse_field_line(const char* base, const char* end);
  bool note_field(const char* base, const FieldSlices& field);
  ParseStatus finish(const char* base);
  ParseStatus frame(const char* base);
  ParseStatus refuse(int status, std::string_view detail = {});
  Line bad(std::string_view detail = {}, int status = 400);

  static std::string_view text(const char* base, Slice slice) { return {base + slice.offset, slice.size}; }

  std::size_t limit_;
  std::size_t line_ = 0;
  std::size_t scanned_ = 0;
  Phase phase_ = Phase::start_line;

  // What finish() judges, gathered line by line.
  std::uint8_t hosts_ = 0;
  std::uint8_t transfer_encodings_ = 0;
  bool has_content_length_ = false;
  bool bad_content_length_ = false;
  bool absolute_ = false;
  bool says_close_ = false;
  bool says_keep_alive_ = false;
  bool close_ = false;
  bool empty_path_ = false;
  bool plain_path_ = false;
  Expectation expectation_ = Expectation::none;
  int minor_ = 1;
  std::int64_t content_length_ = 0;
  Slice method_, target_, path_, query_, host_, transfer_encoding_, first_length_;
  std::vector<FieldSlices> fields_;
  ParseError error_;
};

}  // namespace weft::http::detail
