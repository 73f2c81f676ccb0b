#include "http/src/parser/chunked.h"

#include <algorithm>

#include "http/src/message/chars.h"
#include "weft/http/errc.h"

namespace weft::http::detail {
namespace {

// A chunk may cost 16 bytes of framing and twice its data. What goes beyond that adds up to at most so many bytes.
constexpr std::int64_t kMaxOverhead = 16 * 1024;
constexpr std::uint64_t kFreeFraming = 16;
constexpr std::uint8_t kMaxSizeDigits = 15;

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_text(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); }

}  // namespace

ChunkedDecoder::Step ChunkedDecoder::decode(std::string_view input, std::size_t max_data) {
  Step step;
  while (!error_ && state_ != State::done && step.consumed < input.size()) {
    if (state_ == State::data) {
      const std::size_t size =
          static_cast<std::size_t>(std::min<std::uint64_t>({left_, input.size() - step.consumed, max_data}));
      step.data = input.substr(step.consumed, size);
      step.consumed += size;
      skip_data(size);
      return step;
    }
    if (!take(input[step.consumed])) return step;
    ++step.consumed;
  }
  return step;
}

void ChunkedDecoder::skip_data(std::uint64_t size) noexcept {
  left_ -= size;
  if (left_ == 0) state_ = State::data_cr;
}

bool ChunkedDecoder::take(char c) {
  if (state_ < State::data) return take_size(c);
  if (state_ >= State::trailer_start) return take_trailer(c);
  if (state_ == State::data_cr) {
    state_ = State::data_lf;
    return c == '\r' || fail(Errc::malformed_chunk);
  }
  state_ = State::size;
  digits_ = 0;
  line_ = 0;
  return c == '\n' || fail(Errc::malformed_chunk);
}

bool ChunkedDecoder::take_size(char c) {
  if (++line_ > kMaxChunkLine) return fail(Errc::chunk_line_too_long);
  switch (state_) {
    case State::size:
      if (has_class(c, kHexDigit)) {
        // Fifteen digits are all that an int64 holds for sure.
        if (++digits_ > kMaxSizeDigits) return fail(Errc::malformed_chunk);
        left_ = left_ << 4 | static_cast<unsigned>(hex_value(c));
        return true;
      }
      return (digits_ > 0 && end_part(c, State::blank)) || fail(Errc::malformed_chunk);
    case State::size_lf:
      return c == '\n' ? begin_data() : fail(Errc::malformed_chunk);
    default:
      return take_extension(c) || fail(Errc::malformed_chunk);
  }
}

// False when `c` may not stand here.
bool ChunkedDecoder::take_extension(char c) {
  switch (state_) {
    case State::ext_start:
      if (is_blank(c)) return true;
      state_ = State::ext_name;
      return has_class(c, kToken);
    case State::ext_name:
      if (has_class(c, kToken)) return true;
      [[fallthrough]];
    case State::ext_name_blank:
      if (c != '=') return end_part(c, State::ext_name_blank);
      state_ = State::ext_value_start;
      return true;
    case State::ext_value_start:
      if (is_blank(c)) return true;
      state_ = c == '"' ? State::quoted : State::ext_value;
      return c == '"' || has_class(c, kToken);
    case State::quoted:
      if (c == '"') state_ = State::quoted_end;
      if (c == '\\') state_ = State::quoted_pair;
      return is_text(c);
    case State::quoted_pair:
      state_ = State::quoted;
      return is_text(c);
    case State::ext_value:
      if (has_class(c, kToken)) return true;
      [[fallthrough]];
    default:
      return end_part(c, State::blank);
  }
}

// Takes what ends a size, a name or a value: a blank, which leads to `after_blank`, the next extension, or the end of
// the line, which no blank may precede. False when `c` is none of these.
bool ChunkedDecoder::end_part(char c, State after_blank) {
  if (is_blank(c)) {
    state_ = after_blank;
  } else if (c == ';') {
    state_ = State::ext_start;
  } else if (c == '\r' && state_ != after_blank) {
    state_ = State::size_lf;
  } else {
    return false;
  }
  return true;
}

bool ChunkedDecoder::begin_data() {
  const std::uint64_t allowed = kFreeFraming + 2 * std::min<std::uint64_t>(left_, 1U << 20);
  overhead_ =
      std::max<std::int64_t>(0, overhead_ + static_cast<std::int64_t>(line_ + 2) - static_cast<std::int64_t>(allowed));
  if (overhead_ > kMaxOverhead) return fail(Errc::chunk_line_too_long);
  state_ = left_ == 0 ? State::trailer_start : State::data;
  line_ = 0;
  return true;
}

bool ChunkedDecoder::take_trailer(char c) {
  if (++line_ > kMaxTrailerBytes) return fail(Errc::trailer_too_long);
  const bool blank_line = state_ == State::end_lf || (state_ == State::trailer_start && c == '\r');
  if (!blank_line) trailer_ += c;
  switch (state_) {
    case State::trailer_start:
      state_ = c == '\r' ? State::end_lf : State::trailer_name;
      return c == '\r' || has_class(c, kToken) || fail(Errc::malformed_trailer);
    case State::trailer_name:
      if (c == ':') state_ = State::trailer_value;
      return c == ':' || has_class(c, kToken) || fail(Errc::malformed_trailer);
    case State::trailer_value:
      if (c == '\r') state_ = State::trailer_lf;
      return c == '\r' || is_text(c) || fail(Errc::malformed_trailer);
    case State::trailer_lf:
      state_ = State::trailer_start;
      return c == '\n' || fail(Errc::malformed_trailer);
    default:
      state_ = State::done;
      return c == '\n' || fail(Errc::malformed_trailer);
  }
}

bool ChunkedDecoder::fail(std::error_code error) {
  error_ = error;
  state_ = State::end_lf;
  return false;
}

}  // namespace weft::http::detail
