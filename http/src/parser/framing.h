// Framing: what Content-Length, Transfer-Encoding and Connection say of a message's body and of its connection
// (RFC 9112 sections 6.1, 6.3 and 9.3), for requests and responses alike.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/src/message/chars.h"
#include "http/src/parser/field_line.h"
#include "weft/http/header.h"

namespace weft::http::detail {

struct MessageFraming {
  // What makes the length unknowable: a Content-Length that is no number or differs from another one; a coding that
  // isn't exactly "chunked".
  enum class Fault : std::uint8_t { none, content_length, transfer_encoding };

  Fault fault = Fault::none;
  // The body is chunked. A Content-Length beside that says nothing.
  bool chunked = false;
  // There was a Content-Length, which counts unless the body is chunked.
  bool has_content_length = false;
  std::int64_t content_length = 0;
  // The connection ends after this exchange: the peer says so, it speaks HTTP/1.0 and doesn't ask to keep the
  // connection, or the framing may be used once only (section 6.1).
  bool close = false;
  // An HTTP/1.0 peer that asks to keep the connection.
  bool keep_alive_10 = false;
};

// Gathers the fields of one head, line by line. Thread safety: none.
class FramingFields {
 public:
  // Takes in a field if it is one of the three. Returns whether the message shows the field: Transfer-Encoding is
  // used up, and of several equal Content-Lengths one stays.
  bool note(const char* base, const FieldSlices& field);

  // After the last line. `minor` is that of the message's version 1.<minor>.
  MessageFraming judge(const char* base, int minor) const;

 private:
  // Digits alone, and no more than an int64 holds.
  static bool parse_content_length(std::string_view text, std::int64_t& length);

  std::uint8_t transfer_encodings_ = 0;  // 2 stands for more, too
  bool has_content_length_ = false;
  bool bad_content_length_ = false;
  bool says_close_ = false;
  bool says_keep_alive_ = false;
  std::int64_t content_length_ = 0;
  Slice transfer_encoding_;  // the last one
  Slice first_length_;
};

[[gnu::always_inline]] inline bool FramingFields::note(const char* base, const FieldSlices& field) {
  const std::string_view name = text_of(base, field.name);
  switch (name.size()) {
    case 10:
      if (token_is(name, "connection")) {
        const std::string_view value = text_of(base, field.value);
        says_close_ = says_close_ || has_token(value, "close");
        says_keep_alive_ = says_keep_alive_ || has_token(value, "keep-alive");
      }
      break;
    case 14:
      if (token_is(name, "content-length")) {
        const std::string_view value = text_of(base, field.value);
        if (has_content_length_) {
          if (value != text_of(base, first_length_)) bad_content_length_ = true;
          return false;
        }
        has_content_length_ = true;
        first_length_ = field.value;
        bad_content_length_ = !parse_content_length(value, content_length_);
      }
      break;
    case 17:
      if (token_is(name, "transfer-encoding")) {
        if (transfer_encodings_ < 2) ++transfer_encodings_;
        transfer_encoding_ = field.value;
        return false;
      }
      break;
    default:
      break;
  }
  return true;
}

}  // namespace weft::http::detail
