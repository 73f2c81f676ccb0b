#include "http/src/parser/framing.h"

#include <charconv>
#include <system_error>

namespace weft::http::detail {

bool FramingFields::parse_content_length(std::string_view text, std::int64_t& length) {
  if (text.empty() || !all_of_class(text, kDigit)) return false;
  return std::from_chars(text.data(), text.data() + text.size(), length).ec == std::errc();
}

// Transfer-Encoding rules out Content-Length. A message that has both, or that has Transfer-Encoding on HTTP/1.0, is
// understood, and then the connection ends. On HTTP/1.0 Transfer-Encoding says nothing else.
MessageFraming FramingFields::judge(const char* base, int minor) const {
  MessageFraming framing;
  framing.has_content_length = has_content_length_;
  framing.close = says_close_ || (minor == 0 && !says_keep_alive_);
  framing.keep_alive_10 = minor == 0 && says_keep_alive_ && !says_close_;
  if (transfer_encodings_ > 0) framing.close = framing.close || minor == 0 || has_content_length_;
  if (transfer_encodings_ > 0 && minor >= 1) {
    framing.chunked = transfer_encodings_ == 1 && iequals(text_of(base, transfer_encoding_), "chunked");
    if (!framing.chunked) framing.fault = MessageFraming::Fault::transfer_encoding;
    return framing;
  }
  framing.content_length = content_length_;
  if (bad_content_length_) framing.fault = MessageFraming::Fault::content_length;
  return framing;
}

}  // namespace weft::http::detail
