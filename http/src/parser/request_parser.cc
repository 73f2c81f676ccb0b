#include "http/src/parser/request_parser.h"

#include <algorithm>
#include <optional>

#include "http/src/message/authority.h"
#include "http/src/message/chars.h"
#include "http/src/message/header_access.h"

namespace weft::http::detail {

void RequestParser::reset() noexcept {
  lines_ = {};
  phase_ = Phase::start_line;
  start_line_ = 0;
  empty_lines_ = 0;
  hosts_ = 0;
  empty_path_ = false;
  expectation_ = Expectation::none;
  framing_fields_ = {};
  authority_ = host_field_ = {};
  fields_.clear();
}

ParseStatus RequestParser::parse(std::string_view input) {
  if (input.size() > limit_) input = input.substr(0, limit_);
  const char* const base = input.data();
  const char* const end = base + input.size();
  Line line = lines_.lacks_end(input) ? Line::incomplete : Line::good;
  if (line == Line::good && phase_ == Phase::start_line) {
    skip_empty_lines(input);
    line = parse_start_line(base, end);
    if (line == Line::good) phase_ = Phase::fields;
  }
  while (line == Line::good) line = parse_field_line(base, end);

  // A line that looks bad may yet be one whose end hasn't come; see head_lines.h.
  if (line == Line::bad && !lines_.has_end(input)) line = Line::incomplete;
  switch (line) {
    case Line::blank:
      return finish(base);
    case Line::bad:
      phase_ = Phase::done;
      return ParseStatus::failed;
    default:
      lines_.scanned = input.size();
      return input.size() < limit_ ? ParseStatus::need_more : refuse(431);
  }
}

ParseStatus RequestParser::refuse(int status, std::string_view detail) {
  phase_ = Phase::done;
  error_ = {status, detail};
  return ParseStatus::failed;
}

Line RequestParser::bad(std::string_view detail, int status) {
  error_ = {status, detail};
  return Line::bad;
}

// One line too many is left where it is, as a start line without a method.
void RequestParser::skip_empty_lines(std::string_view input) {
  constexpr std::string_view kEmptyLine = "\r\n";
  while (empty_lines_ < kMaxEmptyLines && input.substr(lines_.line).starts_with(kEmptyLine)) {
    lines_.line += kEmptyLine.size();
    ++empty_lines_;
  }
  start_line_ = lines_.line;
}

std::string_view RequestParser::method(std::string_view input) const noexcept {
  const std::string_view line = input.substr(start_line_, limit_ - start_line_);
  std::size_t size = 0;
  while (size < line.size() && has_class(line[size], kToken)) ++size;
  return size < line.size() && line[size] == ' ' ? line.substr(0, size) : std::string_view();
}

// method SP request-target SP "HTTP/" DIGIT "." DIGIT CRLF
Line RequestParser::parse_start_line(const char* base, const char* end) {
  const char* const start = base + lines_.line;
  const char* p = start;
  while (p < end && has_class(*p, kToken)) ++p;
  if (p == end) return Line::incomplete;
  if (*p != ' ' || p == start) return bad();
  method_ = slice_of(base, start, p);

  const char* const target = ++p;
  while (p < end && has_class(*p, kTarget)) ++p;
  if (p == end) return Line::incomplete;
  if (*p != ' ' || p == target) return bad();
  target_ = slice_of(base, target, p);
  ++p;

  constexpr std::string_view kName = "HTTP/";
  constexpr std::size_t kVersionSize = 8;
  if (static_cast<std::size_t>(end - p) < kVersionSize + 2) {
    // This is too short to be a whole version. parse() tells a line without its end from a bad one.
    return bad();
  }
  if (std::string_view(p, kName.size()) != kName || !has_class(p[5], kDigit) || p[6] != '.' ||
      !has_class(p[7], kDigit) || p[8] != '\r' || p[9] != '\n') {
    return bad();
  }
  if (p[5] != '1') return bad("unsupported protocol version", 505);
  minor_ = p[7] - '0';
  const Line verdict = parse_target(base);
  if (verdict == Line::good) lines_.line = static_cast<std::size_t>(p + kVersionSize + 2 - base);
  return verdict;
}

Line RequestParser::parse_target(const char* base) {
  const std::string_view target = text_of(base, target_);
  path_ = target_;
  query_ = {};
  plain_path_ = false;
  if (target.front() != '/') {
    const std::string_view method = text_of(base, method_);
    if (method == "CONNECT") {
      // authority-form: host ":" port. A client can't be connected to port 0 (RFC 9110 section 9.3.6).
      const std::optional<Authority> authority = parse_authority(target);
      if (!authority || authority->port.value_or(0) == 0) return bad();
      authority_ = target_;
      path_ = {};
      return Line::good;
    }
    if (target == "*") return Line::good;
    if (const Line verdict = parse_absolute_target(base); verdict != Line::good) return verdict;
  }
  split_path(base);
  if (plain_path_ || escapes_are_whole(text_of(base, path_))) return Line::good;
  return bad();
}

// Cuts the query off the path, and looks at what else is in it on the way.
void RequestParser::split_path(const char* base) {
  const std::string_view rest = text_of(base, path_);
  plain_path_ = true;
  std::size_t size = 0;
  char before = '\0';
  for (; size < rest.size() && rest[size] != '?'; ++size) {
    const char c = rest[size];
    if (c == '%' || (before == '/' && (c == '/' || c == '.'))) plain_path_ = false;
    before = c;
  }
  if (size < rest.size()) {
    query_ = {static_cast<std::uint32_t>(path_.offset + size + 1), static_cast<std::uint32_t>(rest.size() - size - 1)};
  }
  path_.size = static_cast<std::uint32_t>(size);
  empty_path_ = size == 0;
}

// scheme "://" authority path-abempty [ "?" query ]
Line RequestParser::parse_absolute_target(const char* base) {
  const std::string_view target = text_of(base, target_);
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos) return bad();
  const std::string_view scheme = target.substr(0, colon);
  if (!iequals(scheme, "http") && !iequals(scheme, "https")) return bad();
  const std::size_t authority = colon + 3;
  const std::size_t slash = std::min(target.find_first_of("/?", authority), target.size());
  authority_ = {static_cast<std::uint32_t>(target_.offset + authority), static_cast<std::uint32_t>(slash - authority)};
  if (!parse_authority(text_of(base, authority_))) return bad();
  path_ = {static_cast<std::uint32_t>(target_.offset + slash), static_cast<std::uint32_t>(target.size() - slash)};
  return Line::good;
}

Line RequestParser::parse_field_line(const char* base, const char* end) {
  const FieldLine scanned = scan_field_line(base, base + lines_.line, end);
  switch (scanned.verdict) {
    case Line::bad:
      return bad(scanned.fault);
    case Line::incomplete:
      return Line::incomplete;
    case Line::good:
      if (fields_.size() == kMaxHeaderFields) return bad({}, 431);
      if (note_field(base, scanned.field)) fields_.push_back(scanned.field);
      break;
    case Line::blank:
      break;
  }
  lines_.line = static_cast<std::size_t>(scanned.next - base);
  return scanned.verdict;
}

// Remembers the few fields that frame the message and rule the connection. Returns whether the request shows the field:
// Host is Request::host(), and framing is content_length().
bool RequestParser::note_field(const char* base, const FieldSlices& field) {
  const std::string_view name = text_of(base, field.name);
  switch (name.size()) {
    case 4:
      if (!token_is(name, "host")) return true;
      if (hosts_ < 2) ++hosts_;
      host_field_ = field.value;
      return false;
    case 6:
      if (token_is(name, "expect") && field.value.size > 0 && expectation_ != Expectation::unknown) {
        const bool known = has_token(text_of(base, field.value), "100-continue");
        expectation_ = known ? Expectation::continue_100 : Expectation::unknown;
      }
      return true;
    default:
      return framing_fields_.note(base, field);
  }
}

ParseStatus RequestParser::finish(const char* base) {
  using Fault = MessageFraming::Fault;
  if (hosts_ > 1) return refuse(400);
  framing_ = framing_fields_.judge(base, minor_);
  if (framing_.fault == Fault::transfer_encoding) return refuse(501, "Unsupported transfer encoding");
  if (framing_.fault == Fault::content_length) return refuse(400);
  if (hosts_ == 0 && minor_ >= 1) return refuse(400, "missing required Host header");
  // An empty field says that the target has no authority. It is checked also where the target's authority counts.
  if (host_field_.size > 0 && !parse_authority(text_of(base, host_field_))) return refuse(400, "malformed Host header");
  phase_ = Phase::done;
  return ParseStatus::complete;
}

void RequestParser::resolve(std::string_view input, RequestHead& head, Header& header) const {
  const char* const base = input.data();
  head.method = text_of(base, method_);
  head.target = text_of(base, target_);
  head.path = empty_path_ ? std::string_view("/") : text_of(base, path_);
  head.plain_path = plain_path_;
  head.query = text_of(base, query_);
  head.host = text_of(base, authority_.size > 0 ? authority_ : host_field_);
  head.version = {1, minor_};
  head.content_length = framing_.chunked ? -1 : framing_.content_length;
  // A Content-Length beside Transfer-Encoding says nothing and isn't shown.
  const bool hide_length = framing_.chunked && framing_.has_content_length;
  for (const FieldSlices& field : fields_) {
    const std::string_view name = text_of(base, field.name);
    if (hide_length && token_is(name, "content-length")) continue;
    HeaderAccess::add_view(header, name, text_of(base, field.value));
  }
}

}  // namespace weft::http::detail
