// Field lines of heads and trailer sections (RFC 9112 section 5), for requests and responses alike.
#pragma once

#include <algorithm>
#include <string_view>

#include "http/src/message/chars.h"
#include "http/src/parser/head_lines.h"

namespace weft::http::detail {

struct FieldSlices {
  Slice name;
  Slice value;
};

struct FieldLine {
  Line verdict = Line::bad;
  FieldSlices field;            // of a good line
  const char* next = nullptr;   // after a good or blank line
  std::string_view fault = {};  // of a bad line, for the reply; may be empty
};

inline constexpr std::string_view kInvalidName = "invalid header name";
inline constexpr std::string_view kInvalidValue = "invalid header value";

inline FieldLine bad_field_line(std::string_view fault = {}) noexcept { return {Line::bad, {}, nullptr, fault}; }
inline FieldLine incomplete_field_line() noexcept { return {Line::incomplete, {}, nullptr, {}}; }

// A name that isn't followed by a colon: the blank line, or a bad one.
inline FieldLine scan_nameless_line(const char* start, const char* name_end, const char* end) {
  if (name_end == start && *start == '\r') {
    if (start + 1 == end) return incomplete_field_line();
    if (start[1] != '\n') return bad_field_line();
    return {Line::blank, {}, start + 2, {}};
  }
  // A name with a stray character is told from a line that is no field at all, or that continues the one before.
  const char* const line_end = std::find(name_end, end, '\n');
  const bool has_colon = std::find(name_end, line_end, ':') != line_end;
  return bad_field_line(has_colon && *start != ' ' && *start != '\t' ? kInvalidName : std::string_view());
}

// field-name ":" OWS field-value OWS CRLF, or the CRLF that ends the section; the line begins at `start`, before `end`
// or at it. Slices count from `base`. Refused are, among others: a bare CR or LF as line end, a folded line, space
// before the colon, and control characters.
// Always inlined, because the parsers spend most of their time here, and a FieldLine returned from a call goes through
// memory.
[[gnu::always_inline]] inline FieldLine scan_field_line(const char* base, const char* start, const char* end) {
  const char* p = start;
  while (p < end && has_class(*p, kToken)) ++p;
  if (p == end) return incomplete_field_line();
  const char* const name_end = p;
  if (*p != ':') return scan_nameless_line(start, name_end, end);
  if (p == start) return bad_field_line(kInvalidName);

  ++p;
  while (p < end && (*p == ' ' || *p == '\t')) ++p;
  const char* const value = p;
  while ((p = find_control(p, end)) != end && *p == '\t') ++p;
  if (p == end) return incomplete_field_line();
  if (*p != '\r') return bad_field_line(*p == '\n' ? std::string_view() : kInvalidValue);
  if (p + 1 == end) return incomplete_field_line();
  if (p[1] != '\n') return bad_field_line(kInvalidValue);
  const char* value_end = p;
  while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t')) --value_end;
  return {Line::good, {slice_of(base, start, name_end), slice_of(base, value, value_end)}, p + 2, {}};
}

}  // namespace weft::http::detail
