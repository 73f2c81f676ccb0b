#include "http/src/parser/request_parser.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "http/src/message/chars.h"
#include "http/src/message/header_access.h"

namespace weft::http::detail {
namespace {

constexpr std::string_view kInvalidName = "invalid header name";
constexpr std::string_view kInvalidValue = "invalid header value";
constexpr std::size_t kMaxLeadingLineEnds = 4;

// Every '%' of a path starts an escape of two hexadecimal digits.
bool escapes_are_whole(std::string_view path) {
  for (std::size_t i = path.find('%'); i != std::string_view::npos; i = path.find('%', i + 3)) {
    if (path.size() - i < 3 || !has_class(path[i + 1], kHexDigit) || !has_class(path[i + 2], kHexDigit)) return false;
  }
  return true;
}

// Digits alone, and no more than an int64 holds.
bool parse_content_length(std::string_view text, std::int64_t& length) {
  if (text.empty() || !all_of_class(text, kDigit)) return false;
  return std::from_chars(text.data(), text.data() + text.size(), length).ec == std::errc();
}

}  // namespace

void RequestParser::reset() noexcept {
  line_ = 0;
  scanned_ = 0;
  phase_ = Phase::start_line;
  hosts_ = 0;
  transfer_encodings_ = 0;
  has_content_length_ = bad_content_length_ = absolute_ = says_close_ = says_keep_alive_ = close_ = empty_path_ = false;
  expectation_ = Expectation::none;
  content_length_ = 0;
  host_ = {};
  fields_.clear();
}

ParseStatus RequestParser::parse(std::string_view input) {
  if (input.size() > limit_) input = input.substr(0, limit_);
  const char* const base = input.data();
  const char* const end = base + input.size();
  const bool old_line_goes_on =
      scanned_ > line_ && std::memchr(base + scanned_, '\n', input.size() - scanned_) == nullptr;
  Line line = old_line_goes_on ? Line::incomplete : Line::good;
  if (line == Line::good && phase_ == Phase::start_line) {
    while (line_ < input.size() && line_ < kMaxLeadingLineEnds && (base[line_] == '\r' || base[line_] == '\n')) ++line_;
    line = parse_start_line(base, end);
    if (line == Line::good) phase_ = Phase::fields;
  }
  while (line == Line::good) line = parse_field_line(base, end);

  // A line that looks bad may yet be one whose end hasn't come; see the opening comment.
  if (line == Line::bad && std::memchr(base + line_, '\n', input.size() - line_) == nullptr) line = Line::incomplete;
  switch (line) {
    case Line::blank:
      return finish(base);
    case Line::bad:
      phase_ = Phase::done;
      return ParseStatus::failed;
    default:
      scanned_ = input.size();
      return input.size() < limit_ ? ParseStatus::need_more : refuse(431);
  }
}

ParseStatus RequestParser::refuse(int status, std::string_view detail) {
  phase_ = Phase::done;
  error_ = {status, detail};
  return ParseStatus::failed;
}

RequestParser::Line RequestParser::bad(std::string_view detail, int status) {
  error_ = {status, detail};
  return Line::bad;
}

// method SP request-target SP "HTTP/" DIGIT "." DIGIT CRLF
RequestParser::Line RequestParser::parse_start_line(const char* base, const char* end) {
  const char* const start = base + line_;
  const char* p = start;
  while (p < end && has_class(*p, kToken)) ++p;
  if (p == end) return Line::incomplete;
  if (*p != ' ' || p == start) return bad();
  method_ = {static_cast<std::uint32_t>(start - base), static_cast<std::uint32_t>(p - start)};

  const char* const target = ++p;
  while (p < end && has_class(*p, kTarget)) ++p;
  if (p == end) return Line::incomplete;
  if (*p != ' ' || p == target) return bad();
  target_ = {static_cast<std::uint32_t>(target - base), static_cast<std::uint32_t>(p - target)};
  ++p;

  constexpr std::string_view kName = "HTTP/";
  constexpr std::size_t kVersionSize = 8;
  if (static_cast<std::size_t>(end - p) < kVersionSize + 2) {
    // Too short to be a whole version; parse() tells a line without its end from a bad one.
    return bad();
  }
  if (std::string_view(p, kName.size()) != kName || !has_class(p[5], kDigit) || p[6] != '.' ||
      !has_class(p[7], kDigit) || p[8] != '\r' || p[9] != '\n') {
    return bad();
  }
  if (p[5] != '1') return bad("unsupported protocol version", 505);
  minor_ = p[7] - '0';
  const Line verdict = parse_target(base);
  if (verdict == Line::good) line_ = static_cast<std::size_t>(p + kVersionSize + 2 - base);
  return verdict;
}

RequestParser::Line RequestParser::parse_target(const char* base) {
  const std::string_view target = text(base, target_);
  path_ = target_;
  query_ = {};
  plain_path_ = false;
  if (target.front() != '/') {
    const std::string_view method = text(base, method_);
    if (method == "CONNECT") {
      // authority-form: host ":" port
      if (!all_of_class(target, kHost)) return bad();
      host_ = target_;
      absolute_ = true;
      path_ = {};
      return Line::good;
    }
    if (target == "*") return Line::good;
    if (const Line verdict = parse_absolute_target(base); verdict != Line::good) return verdict;
  }
  split_path(base);
  if (plain_path_ || escapes_are_whole(text(base, path_))) return Line::good;
  return bad();
}

// Cuts the query off the path, and looks at what else is in it on the way.
void RequestParser::split_path(const char* base) {
  const std::string_view rest = text(base, path_);
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
RequestParser::Line RequestParser::parse_absolute_target(const char* base) {
  const std::string_view target = text(base, target_);
  const std::size_t colon = target.find("://");
  if (colon == std::string_view::npos) return bad();
  const std::string_view scheme = target.substr(0, colon);
  if (!iequals(scheme, "http") && !iequals(scheme, "https")) return bad();
  const std::size_t authority = colon + 3;
  const std::size_t slash = std::min(target.find_first_of("/?", authority), target.size());
  host_ = {static_cast<std::uint32_t>(target_.offset + authority), static_cast<std::uint32_t>(slash - authority)};
  // An empty authority is invalid in http URIs (RFC 9110 section 4.2.1), user information is refused (section 4.2.4).
  if (host_.size == 0 || !all_of_class(text(base, host_), kHost)) return bad();
  absolute_ = true;
  path_ = {static_cast<std::uint32_t>(target_.offset + slash), static_cast<std::uint32_t>(target.size() - slash)};
  return Line::good;
}

// field-name ":" OWS field-value OWS CRLF, or the CRLF that ends the section
RequestParser::Line RequestParser::parse_field_line(const char* base, const char* end) {
  const char* const start = base + line_;
  const char* p = start;
  while (p < end && has_class(*p, kToken)) ++p;
  if (p == end) return Line::incomplete;
  const char* const name_end = p;
  if (*p != ':') {
    if (p == start && *p == '\r') {
      if (p + 1 == end) return Line::incomplete;
      if (p[1] != '\n') return bad();
      line_ = static_cast<std::size_t>(p + 2 - base);
      return Line::blank;
    }
    // A name with a stray character is told from a line that is no field at all, or that continues the one before.
    const char* const line_end = std::find(p, end, '\n');
    const bool has_colon = std::find(p, line_end, ':') != line_end;
    return bad(has_colon && *start != ' ' && *start != '\t' ? kInvalidName : std::string_view());
  }
  if (p == start) return bad(kInvalidName);

  ++p;
  while (p < end && (*p == ' ' || *p == '\t')) ++p;
  const char* const value = p;
  while ((p = find_control(p, end)) != end && *p == '\t') ++p;
  if (p == end) return Line::incomplete;
  if (*p != '\r') return bad(*p == '\n' ? std::string_view() : kInvalidValue);
  if (p + 1 == end) return Line::incomplete;
  if (p[1] != '\n') return bad(kInvalidValue);
  const char* value_end = p;
  while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t')) --value_end;

  if (fields_.size() == kMaxHeaderFields) return bad({}, 431);
  const FieldSlices field{{static_cast<std::uint32_t>(start - base), static_cast<std::uint32_t>(name_end - start)},
                          {static_cast<std::uint32_t>(value - base), static_cast<std::uint32_t>(value_end - value)}};
  if (note_field(base, field)) fields_.push_back(field);
  line_ = static_cast<std::size_t>(p + 2 - base);
  return Line::good;
}

// Remembers the few fields that frame the message and rule the connection. Returns whether the request shows the field:
// Host is Request::host(), and framing is content_length().
bool RequestParser::note_field(const char* base, const FieldSlices& field) {
  const std::string_view name = text(base, field.name);
  const std::string_view value = text(base, field.value);
  switch (name.size()) {
    case 4:
      if (token_is(name, "host")) {
        if (hosts_ < 2) ++hosts_;
        if (!absolute_) host_ = field.value;
        return false;
      }
      break;
    case 6:
      if (token_is(name, "expect") && !value.empty() && expectation_ != Expectation::unknown) {
        expectation_ = has_token(value, "100-continue") ? Expectation::continue_100 : Expectation::unknown;
      }
      break;
    case 10:
      if (token_is(name, "connection")) {
        says_close_ = says_close_ || has_token(value, "close");
        says_keep_alive_ = says_keep_alive_ || has_token(value, "keep-alive");
      }
      break;
    case 14:
      if (token_is(name, "content-length")) {
        if (!has_content_length_) {
          has_content_length_ = true;
          first_length_ = field.value;
          bad_content_length_ = !parse_content_length(value, content_length_);
          return true;
        }
        if (value != text(base, first_length_)) bad_content_length_ = true;
        return false;
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

ParseStatus RequestParser::finish(const char* base) {
  if (hosts_ > 1) return refuse(400);
  if (const ParseStatus framed = frame(base); framed != ParseStatus::complete) return framed;
  if (hosts_ == 0 && minor_ >= 1 && text(base, method_) != "CONNECT")
    return refuse(400, "missing required Host header");
  if (!all_of_class(text(base, host_), kHost)) return refuse(400, "malformed Host header");
  close_ = close_ || says_close_ || (minor_ == 0 && !says_keep_alive_);
  phase_ = Phase::done;
  return ParseStatus::complete;
}

// The length of the body (RFC 9112 section 6.3). Transfer-Encoding rules out Content-Length; a message that has both,
// or has Transfer-Encoding on HTTP/1.0, is answered and then the connection ends.
ParseStatus RequestParser::frame(const char* base) {
  if (transfer_encodings_ > 0) {
    close_ = minor_ == 0 || has_content_length_;
    if (minor_ >= 1) {
      if (transfer_encodings_ > 1 || !iequals(text(base, transfer_encoding_), "chunked")) {
        return refuse(501, "Unsupported transfer encoding");
      }
      content_length_ = -1;
      return ParseStatus::complete;
    }
  }
  return bad_content_length_ ? refuse(400) : ParseStatus::complete;
}

void RequestParser::resolve(std::string_view input, RequestHead& head, Header& header) const {
  const char* const base = input.data();
  head.method = text(base, method_);
  head.target = text(base, target_);
  head.path = empty_path_ ? std::string_view("/") : text(base, path_);
  head.plain_path = plain_path_;
  head.query = text(base, query_);
  head.host = text(base, host_);
  head.version_minor = minor_;
  head.content_length = content_length_;
  head.close = close_;
  head.keep_alive_10 = minor_ == 0 && says_keep_alive_ && !says_close_;
  head.expectation = expectation_;
  // A Content-Length beside Transfer-Encoding says nothing and isn't shown.
  const bool hide_length = content_length_ < 0 && has_content_length_;
  for (const FieldSlices& field : fields_) {
    const std::string_view name = text(base, field.name);
    if (hide_length && token_is(name, "content-length")) continue;
    HeaderAccess::add_view(header, name, text(base, field.value));
  }
}

}  // namespace weft::http::detail
