#include <string>
#include <string_view>

#include "http/src/message/chars.h"
#include "http/src/message/trailers.h"
#include "weft/http/errc.h"
#include "weft/http/status.h"
#include "weft/http/testing.h"
#include "weft/panic.h"

namespace weft::http::testing {
namespace {

// Whether the server would send an HTTP/1.1 response with these fields and trailer fields in chunks.
bool is_chunked(const Header& header) {
  bool has_length = false;
  bool has_encoding = false;
  bool is_identity = false;
  for (const Header::Field& field : header) {
    if (detail::iequals(field.name, "Content-Length")) {
      const std::string_view digits = detail::trim(field.value);
      has_length = !digits.empty() && detail::all_of_class(digits, detail::kDigit);
    } else if (detail::iequals(field.name, "Transfer-Encoding")) {
      has_encoding = true;
      is_identity = detail::iequals(field.value, "identity");
    }
  }
  return !is_identity && (has_encoding || !has_length);
}

}  // namespace

void Recorder::write_header(int code) {
  if (status_ != 0) return;
  if (code < 100 || code > 999) panic("invalid write_header code " + std::to_string(code));
  if (code < 200 && code != kStatusSwitchingProtocols) {
    interim_.push_back(code);
    return;
  }
  status_ = code;
  sent_header_ = header_;
}

IoResult Recorder::write(std::string_view data) {
  write_header(kStatusOk);
  if (data.empty()) return {};
  if (!body_allowed_for_status(status_)) return {0, Errc::body_not_allowed};
  body_ += data;
  return {data.size(), {}};
}

std::error_code Recorder::flush() {
  write_header(kStatusOk);
  flushed_ = true;
  return {};
}

Header Recorder::trailer() const {
  if (!body_allowed_for_status(code()) || !is_chunked(sent_header())) return {};
  const auto announced = [&](std::string_view name) {
    for (const std::string_view list : sent_header().values("Trailer")) {
      if (has_token(list, name)) return true;
    }
    return false;
  };
  Header trailer;
  for (const Header::Field& field : header_) {
    std::string_view name = field.name;
    if (detail::iequals(name.substr(0, kTrailerPrefix.size()), kTrailerPrefix)) {
      name.remove_prefix(kTrailerPrefix.size());
    } else if (!announced(name)) {
      continue;
    }
    if (detail::may_be_trailer(name)) trailer.add(name, field.value);
  }
  return trailer;
}

}  // namespace weft::http::testing
