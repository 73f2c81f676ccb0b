#include "http/src/http1/request_body.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "http/src/message/trailers.h"
#include "http/src/parser/field_line.h"
#include "weft/http/errc.h"
#include "weft/time_point.h"

namespace weft::http::detail::http1 {
namespace {

// Reads into less room than this go through the connection's buffer.
constexpr std::size_t kDirectRead = 2048;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

void RequestBody::begin(const RequestHead& head, Expectation expectation, std::uint64_t max_bytes,
                        std::chrono::nanoseconds stall_timeout) {
  finished_ = false;
  closed_ = false;
  error_ = {};
  stall_timeout_ = stall_timeout;
  stalled_ = false;
  continue_ = Continue::unasked;
  if (head.content_length == 0) {
    finished_ = true;
    return;
  }
  chunked_ = head.content_length < 0;
  left_ = chunked_ ? 0 : static_cast<std::uint64_t>(head.content_length);
  received_ = 0;
  max_bytes_ = max_bytes;
  decoder_.reset();
  if (expectation == Expectation::continue_100 && head.version.minor >= 1) continue_ = Continue::wanted;
}

void RequestBody::forbid_continue() noexcept {
  if (continue_ == Continue::wanted) continue_ = Continue::refused;
}

// The decoder has judged the lines. Fields that may not come this late are dropped; the rest are kept, whether the
// request announced them in its Trailer field or not, as Go does.
void RequestBody::keep_trailer() {
  const std::string_view text = decoder_.trailer();
  const char* const base = text.data();
  const char* const end = base + text.size();
  for (const char* p = base; p < end;) {
    const FieldLine line = scan_field_line(base, p, end);
    if (line.verdict != Line::good) return;
    const std::string_view name = text_of(base, line.field.name);
    if (may_be_trailer(name)) trailer_.add(name, text_of(base, line.field.value));
    p = line.next;
  }
}

IoResult RequestBody::fail(std::error_code ec) {
  error_ = ec;
  return {0, ec};
}

IoResult RequestBody::read(std::span<char> buffer) {
  if (closed_) return {0, Errc::body_closed};
  if (error_) return {0, error_};
  if (finished_) return {0, weft::Errc::eof};
  if (buffer.empty()) return {};
  if (continue_ == Continue::wanted) {
    continue_ = Continue::unasked;
    if (const std::error_code ec = out_.flush_sealed(kContinue)) return fail(ec);
  }
  return read_more(buffer, Wait::yes);
}

// Wait::no is for a time when something is buffered. It may come to nothing, without an error.
IoResult RequestBody::read_more(std::span<char> buffer, Wait wait) {
  return chunked_ ? read_chunked(buffer, wait) : read_sized(buffer);
}

IoResult RequestBody::take_buffered(std::span<char> buffer) {
  const std::size_t n = in_.unread().copy(buffer.data(), buffer.size());
  in_.consume(n);
  return {n, {}};
}

std::error_code RequestBody::receive_error(std::error_code ec) {
  return ec == Condition::eof ? make_error_code(Errc::unexpected_eof) : ec;
}

// The client has this long to send the next bytes. What is in the buffer already needs no clock.
void RequestBody::arm_stall_timeout() const {
  if (stall_timeout_ > std::chrono::nanoseconds::zero()) conn_->set_read_deadline(now() + stall_timeout_);
}

void RequestBody::note_stall(std::error_code ec) noexcept {
  if (stall_timeout_ > std::chrono::nanoseconds::zero() && ec == Condition::deadline_exceeded) stalled_ = true;
}

std::error_code RequestBody::fill() {
  if (const std::error_code ec = out_.flush_sealed()) return ec;
  arm_stall_timeout();
  const IoResult got = in_.fill(*conn_);
  if (got.n > 0) return {};
  note_stall(got.ec);
  return receive_error(got.ec);
}

// Straight into the caller's buffer.
IoResult RequestBody::receive(std::span<char> buffer) {
  if (const std::error_code ec = out_.flush_sealed()) return fail(ec);
  arm_stall_timeout();
  const IoResult got = conn_->read(buffer);
  if (got.n > 0) return {got.n, {}};
  note_stall(got.ec);
  return fail(receive_error(got.ec));
}

IoResult RequestBody::read_sized(std::span<char> buffer) {
  buffer = buffer.first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), left_)));
  IoResult got;
  if (in_.unread().empty() && (buffer.size() >= kDirectRead || buffer.size() == left_)) {
    got = receive(buffer);
    if (got.ec) return got;
  } else {
    if (in_.unread().empty()) {
      if (const std::error_code ec = fill()) return fail(ec);
    }
    got = take_buffered(buffer);
  }
  left_ -= got.n;
  if (left_ == 0) finished_ = true;
  return got;
}

IoResult RequestBody::read_chunked(std::span<char> buffer, Wait wait) {
  while (true) {
    const std::string_view unread = in_.unread();
    if (unread.empty()) {
      if (wait == Wait::no) return {};
      // Long chunks are read straight into the caller's buffer.
      if (const std::uint64_t ahead = decoder_.data_left(); ahead >= kDirectRead && buffer.size() >= kDirectRead) {
        const IoResult got =
            receive(buffer.first(static_cast<std::size_t>(std::min<std::uint64_t>(ahead, buffer.size()))));
        if (got.ec) return got;
        decoder_.skip_data(got.n);
        received_ += got.n;
        if (max_bytes_ != 0 && received_ > max_bytes_) return fail(Errc::body_too_large);
        return {got.n, {}};
      }
      if (const std::error_code ec = fill()) return fail(ec);
      continue;
    }
    const ChunkedDecoder::Step step = decoder_.decode(unread, buffer.size());
    in_.consume(step.consumed);
    if (decoder_.error()) return fail(decoder_.error());
    if (!step.data.empty()) {
      received_ += step.data.size();
      if (max_bytes_ != 0 && received_ > max_bytes_) return fail(Errc::body_too_large);
      std::memcpy(buffer.data(), step.data.data(), step.data.size());
      return {step.data.size(), {}};
    }
    if (decoder_.done()) {
      keep_trailer();
      finished_ = true;
      return {0, weft::Errc::eof};
    }
  }
}

bool RequestBody::skip_unfinished() {
  std::array<char, 1024> sink;
  // A client that wasn't asked for the body may send it or not. The next request can't be told from it.
  while (!finished_ && !error_ && continue_ == Continue::unasked && !in_.unread().empty()) {
    static_cast<void>(read_more(sink, Wait::no));
  }
  return finished_;
}

bool RequestBody::drain() {
  drop_stall_timeout();  // the connection's deadline is for all of it
  std::array<char, 1024> sink;
  for (std::uint64_t drained = 0; !finished_ && drained <= kMaxDrain;) {
    const IoResult got = read_more(sink, Wait::yes);
    if (got.n == 0 && !finished_) return false;
    drained += got.n;
  }
  return finished_;
}

}  // namespace weft::http::detail::http1
