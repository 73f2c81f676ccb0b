#include "http/src/http1/response.h"

#include <charconv>

#include "http/src/message/chars.h"
#include "http/src/message/quoted.h"
#include "http/src/message/request_access.h"
#include "http/src/message/trailers.h"
#include "http/src/parser/chunked.h"
#include "weft/http/errc.h"
#include "weft/http/helpers.h"
#include "weft/http/sniff.h"
#include "weft/http/status.h"
#include "weft/panic.h"

namespace weft::http::detail::http1 {
namespace {

// Pieces at least this long are sent from where they are; shorter ones are copied to the end of what waits.
constexpr std::size_t kSendInPlace = 16 * 1024;
constexpr std::size_t kSniffBytes = 512;
constexpr char kLineEnd[] = "\r\n";

// A response that is followed by another one for the same request.
bool is_interim(int code) { return code < 200 && code != kStatusSwitchingProtocols; }

// The colon, which stands in no other name, is looked at first.
bool has_trailer_prefix(std::string_view name) {
  return name.size() > kTrailerPrefix.size() && name[kTrailerPrefix.size() - 1] == ':' &&
         iequals(name.substr(0, kTrailerPrefix.size()), kTrailerPrefix);
}

}  // namespace

void Response::begin(const RequestHead& head, const RequestControl& control) {
  start_over();
  is_head_ = head.method == "HEAD";
  http10_ = head.version.minor == 0;
  keep_alive_10_ = control.keep_alive_10;
  close_ = control.close;
}

// Forgets all that the handler has said.
void Response::start_over() noexcept {
  header_.clear();
  pending_.clear();
  if (!connection_.empty()) connection_.clear();
  if (!declared_trailers_.empty()) declared_trailers_.clear();
  state_ = State::open;
  framing_ = Framing::none;
  status_ = 0;
  full_duplex_ = false;
  has_date_ = has_type_ = has_encoding_ = has_trailers_ = transfer_encoding_ = identity_ = false;
  declared_ = -1;
  written_ = 0;
}

void Response::write_header(int code) {
  if (state_ == State::hijacked) return host_->log("http: response.write_header on hijacked connection");
  if (state_ != State::open) return host_->log("http: superfluous response.write_header call");
  if (code < 100 || code > 999) panic("invalid write_header code " + std::to_string(code));
  status_ = code;
  if (is_interim(code)) {
    write_interim();
    status_ = 0;
    return;
  }
  body_.forbid_continue();
  state_ = State::begun;
  append_status_line();
  append_handler_fields();
}

// A 1xx response is sent at once, with the fields as they are; the final response follows.
void Response::write_interim() {
  if (http10_) return;
  if (status_ == kStatusContinue) body_.forbid_continue();
  append_status_line();
  for (const Header::Field& field : header_) {
    const bool framing = iequals(field.name, "Content-Length") || iequals(field.name, "Transfer-Encoding");
    if (!framing) append_field(field.name, field.value);
  }
  out_.text().append(kLineEnd);
  out_.seal();
  static_cast<void>(sent(out_.flush()));
}

void Response::append_status_line() {
  ByteBuffer& out = out_.text();
  if (status_ == kStatusOk && !http10_) {
    out.append("HTTP/1.1 200 OK\r\n");
    return;
  }
  out.append("HTTP/1.");
  out.append(http10_ ? '0' : '1');
  out.append(' ');
  out.append_number(static_cast<unsigned>(status_));
  out.append(' ');
  const std::string_view reason = status_text(status_);
  if (reason.empty()) {
    out.append("status code ");
    out.append_number(static_cast<unsigned>(status_));
  } else {
    out.append(reason);
  }
  out.append(kLineEnd);
}

void Response::append_handler_fields() {
  for (const Header::Field& field : header_) {
    if (note_field(field.name, field.value) == Use::sent) append_field(field.name, field.value);
  }
}

// Remembers what a field means for the framing.
Response::Use Response::note_field(std::string_view name, std::string_view value) {
  switch (name.size()) {
    case 4:
      if (!token_is(name, "date")) return Use::sent;
      has_date_ = true;
      if (!value.empty()) append_valid_name("Date", value);
      return Use::consumed;
    case 7:
      if (!token_is(name, "trailer")) return Use::sent;
      has_trailers_ = true;
      declared_trailers_.append(value).append(",");
      return Use::sent;
    case 10:
      if (!token_is(name, "connection")) return Use::sent;
      if (has_token(value, "close")) {
        close_ = true;
      } else if (!has_token(value, "keep-alive")) {
        connection_ = value;
      }
      return Use::consumed;
    case 12:
      if (!token_is(name, "content-type")) return Use::sent;
      has_type_ = true;
      if (!value.empty() && status_ != kStatusNotModified) append_valid_name("Content-Type", value);
      return Use::consumed;
    case 14:
      if (!token_is(name, "content-length")) return Use::sent;
      note_length(value);
      return Use::consumed;
    case 16:
      if (token_is(name, "content-encoding") && !value.empty()) has_encoding_ = true;
      return Use::sent;
    case 17:
      if (!token_is(name, "transfer-encoding")) return Use::sent;
      transfer_encoding_ = true;
      identity_ = iequals(value, "identity");
      return Use::consumed;
    default:
      return Use::sent;
  }
}

void Response::note_length(std::string_view value) {
  const std::string_view digits = trim(value);
  const bool good = !digits.empty() && all_of_class(digits, kDigit) &&
                    std::from_chars(digits.data(), digits.data() + digits.size(), declared_).ec == std::errc();
  if (good) return;
  declared_ = -1;
  host_->log("http: invalid Content-Length of " + quoted(value));
}

// A name that is no token isn't sent. One with kTrailerPrefix belongs to the trailer section.
void Response::append_field(std::string_view name, std::string_view value) {
  if (is_token(name)) return append_valid_name(name, value);
  if (has_trailer_prefix(name)) has_trailers_ = true;
}

// Line ends in a value become spaces, so that no value can add a field.
void Response::append_valid_name(std::string_view name, std::string_view value) {
  ByteBuffer& out = out_.text();
  out.append(name);
  out.append(": ");
  value = trim(value);
  const std::size_t start = out.size();
  out.append(value);
  if (!is_field_value(value)) {
    for (std::size_t i = start; i < out.size(); ++i) {
      if (out[i] != '\t' && find_control(&out[i], &out[i] + 1) == &out[i]) out[i] = ' ';
    }
  }
  out.append(kLineEnd);
}

IoResult Response::write(std::string_view data) {
  if (state_ == State::hijacked) return {0, Errc::hijacked};
  if (state_ == State::open) write_header(kStatusOk);
  if (data.empty()) return {};
  if (!body_allowed_for_status(status_)) return {0, Errc::body_not_allowed};
  if (declared_ >= 0 && written_ + data.size() > static_cast<std::uint64_t>(declared_))
    return {0, Errc::content_length};
  if (out_.error()) return {0, out_.error()};
  if (pending_.size() + data.size() <= kPending) {
    pending_.append(data);
    written_ += data.size();
    return {data.size(), {}};
  }
  if (state_ != State::committed) {
    std::string scratch;
    commit(Last::no, gather_sample(data, scratch));
  }
  const std::error_code ec = emit(pending_.view(), data);
  pending_.clear();
  if (ec) return {0, ec};
  written_ += data.size();
  return {data.size(), {}};
}

std::error_code Response::flush() {
  if (state_ == State::hijacked) return Errc::hijacked;
  if (state_ == State::open) write_header(kStatusOk);
  if (state_ != State::committed) commit(Last::no, pending_.view());
  static_cast<void>(emit(pending_.view(), {}));
  pending_.clear();
  return sent(out_.flush());
}

std::error_code Response::set_read_deadline(TimePoint deadline) {
  if (state_ == State::hijacked) return Errc::hijacked;
  host_->set_handlers_read_deadline(deadline);
  return {};
}

std::error_code Response::set_write_deadline(TimePoint deadline) {
  if (state_ == State::hijacked) return Errc::hijacked;
  return sent(host_->set_handlers_write_deadline(deadline));
}

std::error_code Response::enable_full_duplex() {
  if (state_ == State::hijacked) return Errc::hijacked;
  full_duplex_ = true;
  return {};
}

// What the handler has written so far goes out first, and so do the whole responses of the burst. The unread body
// belongs to the one who takes the connection, so the commit does not judge it, as in full duplex.
Result<Hijacked> Response::hijack() {
  if (state_ == State::hijacked) return Unexpected(Error(make_error_code(Errc::hijacked)));
  body_.forbid_continue();
  full_duplex_ = true;
  const std::error_code ec = state_ == State::open ? out_.flush() : flush();
  if (ec) return Unexpected(Error(ec));
  Hijacked hijacked = host_->hijack();
  body_.close();
  state_ = State::hijacked;
  return hijacked;
}

bool Response::replace_by_error() {
  if (state_ == State::hijacked || out_.in_progress_sent() || out_.error()) return false;
  out_.drop_unsealed();
  start_over();
  close_ = true;
  http::error(*this, status_text(kStatusInternalServerError), kStatusInternalServerError);
  return true;
}

void Response::finish() {
  if (state_ == State::hijacked) return;
  if (state_ == State::open) write_header(kStatusOk);
  if (state_ != State::committed) commit(Last::yes, pending_.view());
  static_cast<void>(emit(pending_.view(), {}));
  pending_.clear();
  if (framing_ == Framing::chunked) append_last_chunk();
  // A client whose response is shorter than declared waits for the rest. Only the connection's end tells it.
  if (framing_ == Framing::length && written_ != static_cast<std::uint64_t>(declared_)) close_ = true;
  out_.seal();
}

// The trailer fields go with it: those whose names have kTrailerPrefix, and those that a Trailer field announced.
void Response::append_last_chunk() {
  ByteBuffer& out = out_.text();
  if (header_.empty()) return out.append(kLastChunk);
  out.append("0\r\n");
  for (const Header::Field& field : header_) {
    const bool prefixed = has_trailer_prefix(field.name);
    if (!prefixed && (declared_trailers_.empty() || !has_token(declared_trailers_, field.name))) continue;
    const std::string_view name = prefixed ? field.name.substr(kTrailerPrefix.size()) : field.name;
    if (may_be_trailer(name)) append_valid_name(name, field.value);
  }
  out.append(kLineEnd);
}

// What content sniffing looks at when `data` follows the pending bytes.
std::string_view Response::gather_sample(std::string_view data, std::string& scratch) const {
  if (pending_.size() >= kSniffBytes) return pending_.view();
  if (pending_.empty()) return data;
  scratch = pending_.view();
  scratch.append(data.substr(0, kSniffBytes - pending_.size()));
  return scratch;
}

void Response::commit(Last last, std::string_view sample) {
  state_ = State::committed;
  choose_framing(last);
  if (keep_alive_10_ && (is_head_ || framing_ == Framing::length || framing_ == Framing::none)) {
    if (connection_.empty() && !close_) connection_ = "keep-alive";
  } else if (http10_ || framing_ == Framing::until_close) {
    close_ = true;
  }
  if (host_->last_response()) close_ = true;
  // What the handler leaves of the body is read after the response (Connection::drain_body). If it is known already
  // that the connection can't go on after it, the response says so. In full duplex the handler is expected to read on.
  if (last == Last::yes || !full_duplex_) close_ = close_ || !body_.is_drainable();
  if (last == Last::yes && !close_) close_ = !body_.skip_buffered() && !body_.is_drainable();

  ByteBuffer& out = out_.text();
  if (!has_type_ && !has_encoding_ && !transfer_encoding_ && !sample.empty() && body_allowed_for_status(status_)) {
    out.append("Content-Type: ");
    out.append(detect_content_type(sample));
    out.append(kLineEnd);
  }
  if (!has_date_) out.append(date_.line());
  append_framing();
  append_connection();
  out.append(kLineEnd);
}

void Response::choose_framing(Last last) {
  if (declared_ >= 0 && transfer_encoding_ && !identity_) {
    host_->log("http: both Transfer-Encoding and a Content-Length of " + std::to_string(declared_) +
               " set by the handler");
    declared_ = -1;
  }
  if (!body_allowed_for_status(status_)) {
    // Of these statuses 205 alone has a length, because its name doesn't end the message (RFC 9112 section 6.3).
    framing_ = Framing::none;
    declared_ = status_ == kStatusResetContent ? 0 : -1;
    return;
  }
  // Trailer fields need chunks, also after a short body. Those with the prefix may have come after the body.
  if (last == Last::yes && declared_ < 0 && !http10_ && !has_trailers_) has_trailers_ = has_prefixed_trailer();
  const bool wants_chunks = transfer_encoding_ || (has_trailers_ && !http10_);
  if (declared_ < 0 && last == Last::yes && !wants_chunks && (!is_head_ || !pending_.empty())) {
    declared_ = static_cast<std::int64_t>(pending_.size());
  }
  if (is_head_) {
    framing_ = Framing::none;
  } else if (declared_ >= 0) {
    framing_ = Framing::length;
  } else if (http10_ || identity_) {
    framing_ = Framing::until_close;
  } else {
    framing_ = Framing::chunked;
  }
}

bool Response::has_prefixed_trailer() const noexcept {
  for (const Header::Field& field : header_) {
    if (has_trailer_prefix(field.name)) return true;
  }
  return false;
}

void Response::append_framing() {
  ByteBuffer& out = out_.text();
  if (framing_ == Framing::chunked) {
    out.append("Transfer-Encoding: chunked\r\n");
  } else if (declared_ >= 0) {
    out.append("Content-Length: ");
    out.append_number(static_cast<std::uint64_t>(declared_));
    out.append(kLineEnd);
  }
}

void Response::append_connection() {
  ByteBuffer& out = out_.text();
  if (close_ && status_ != kStatusSwitchingProtocols) {
    if (!http10_) out.append("Connection: close\r\n");
  } else if (!connection_.empty()) {
    append_field("Connection", connection_);
  }
}

// Sends two pieces of the body, framed as one. When it returns they were sent or copied.
std::error_code Response::emit(std::string_view a, std::string_view b) {
  const std::size_t size = a.size() + b.size();
  if (size == 0 || framing_ == Framing::none) return out_.error();
  ByteBuffer& out = out_.text();
  const bool chunked = framing_ == Framing::chunked;
  if (chunked) {
    out.append_number(size, 16);
    out.append(kLineEnd);
  }
  if (size >= kSendInPlace) return sent(out_.send(a, b, chunked ? std::string_view(kLineEnd) : std::string_view()));
  out.append(a);
  out.append(b);
  if (chunked) out.append(kLineEnd);
  return out.size() >= kFlushAt ? sent(out_.flush()) : out_.error();
}

std::error_code Response::sent(std::error_code ec) {
  if (ec) RequestAccess::cancel(request_);
  return ec;
}

}  // namespace weft::http::detail::http1
