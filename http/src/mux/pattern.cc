#include "http/src/mux/pattern.h"

#include <algorithm>

#include "http/src/message/chars.h"
#include "http/src/message/url.h"
#include "weft/http/mux.h"

namespace weft::http::detail {
namespace {

[[noreturn]] void refuse(std::string_view pattern, std::size_t offset, const std::string& reason) {
  throw PatternError("parsing \"" + std::string(pattern) + "\": at offset " + std::to_string(offset) + ": " + reason);
}

bool is_identifier(std::string_view name) {
  const auto is_letter = [](char c) { return c == '_' || (to_lower(c) >= 'a' && to_lower(c) <= 'z'); };
  return is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || has_class(c, kDigit); });
}

// Parses `{$}`, `{name}` or `{name...}`. The caller has checked the braces.
Segment parse_wildcard(const Pattern& pattern, std::string_view name, bool at_end, std::size_t offset) {
  if (name == "$") {
    if (!at_end) refuse(pattern.text, offset, "{$} not at end");
    return {Segment::Kind::end, ""};
  }
  const bool rest = name.ends_with("...");
  if (rest) name.remove_suffix(3);
  if (rest && !at_end) refuse(pattern.text, offset, "{...} wildcard not at end");
  if (name.empty()) refuse(pattern.text, offset, "empty wildcard");
  if (!is_identifier(name)) refuse(pattern.text, offset, "bad wildcard name \"" + std::string(name) + "\"");
  std::size_t wildcards = 0;
  for (const Segment& segment : pattern.segments) {
    if (segment.kind != Segment::Kind::wildcard) continue;
    if (segment.text == name) refuse(pattern.text, offset, "duplicate wildcard name \"" + std::string(name) + "\"");
    if (++wildcards == kMaxWildcards) refuse(pattern.text, offset, "too many wildcards");
  }
  return {rest ? Segment::Kind::rest : Segment::Kind::wildcard, std::string(name)};
}

void parse_segments(Pattern& pattern, std::string_view rest) {
  const auto offset = [&] { return pattern.text.size() - rest.size(); };
  while (!rest.empty()) {
    rest.remove_prefix(1);  // '/'
    if (rest.empty()) {
      pattern.segments.push_back({Segment::Kind::rest, ""});
      return;
    }
    const std::string_view segment = rest.substr(0, rest.find('/'));
    const std::size_t start = offset();
    rest.remove_prefix(segment.size());
    const std::size_t brace = segment.find('{');
    if (brace == std::string_view::npos) {
      pattern.segments.push_back(
          {Segment::Kind::literal, unescape(segment, Unescape::path).value_or(std::string(segment))});
      continue;
    }
    if (brace != 0) refuse(pattern.text, start, "bad wildcard segment (must start with '{')");
    if (segment.back() != '}') refuse(pattern.text, start, "bad wildcard segment (must end with '}')");
    pattern.segments.push_back(parse_wildcard(pattern, segment.substr(1, segment.size() - 2), rest.empty(), start));
  }
}

Relation inverse(Relation relation) {
  switch (relation) {
    case Relation::more_general:
      return Relation::more_specific;
    case Relation::more_specific:
      return Relation::more_general;
    default:
      return relation;
  }
}

// How the pairs (a1, a2) and (b1, b2) relate when both parts must match.
Relation combine(Relation first, Relation second) {
  switch (first) {
    case Relation::equivalent:
      return second;
    case Relation::disjoint:
      return Relation::disjoint;
    case Relation::overlaps:
      return second == Relation::disjoint ? Relation::disjoint : Relation::overlaps;
    default:
      if (second == Relation::equivalent) return first;
      return second == inverse(first) ? Relation::overlaps : second;
  }
}

Relation compare_segments(const Segment& a, const Segment& b) {
  using Kind = Segment::Kind;
  if (a.kind == b.kind && a.kind != Kind::literal) return Relation::equivalent;
  if (a.kind == Kind::rest) return Relation::more_general;
  if (b.kind == Kind::rest) return Relation::more_specific;
  // Neither a literal nor a wildcard for one segment matches a '/' at the end.
  if (a.kind == Kind::end || b.kind == Kind::end) return Relation::disjoint;
  if (a.kind == Kind::wildcard) return Relation::more_general;
  if (b.kind == Kind::wildcard) return Relation::more_specific;
  return a.text == b.text ? Relation::equivalent : Relation::disjoint;
}

std::string quoted(const Pattern& pattern) { return "\"" + pattern.text + "\""; }

// Returns a path that both patterns match. There is one.
std::string common_path(const Pattern& a, const Pattern& b) {
  std::string path;
  for (std::size_t i = 0; i < std::max(a.segments.size(), b.segments.size()); ++i) {
    const Segment* segment = i < a.segments.size() ? &a.segments[i] : &b.segments[i];
    if (i < a.segments.size() && i < b.segments.size() && segment->kind != Segment::Kind::literal)
      segment = &b.segments[i];
    path += '/';
    path += segment->text;
  }
  return path;
}

}  // namespace

Pattern parse_pattern(std::string_view text) {
  if (text.empty()) throw PatternError("empty pattern");
  Pattern pattern;
  pattern.text = text;
  std::string_view rest = text;
  if (const std::size_t blank = text.find_first_of(" \t"); blank != std::string_view::npos) {
    pattern.method = text.substr(0, blank);
    rest = text.substr(std::min(text.find_first_not_of(" \t", blank), text.size()));
    if (!is_token(pattern.method)) refuse(text, 0, "invalid method \"" + pattern.method + "\"");
  }
  std::size_t offset = text.size() - rest.size();
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) refuse(text, offset, "host/path missing /");
  pattern.host = rest.substr(0, slash);
  if (const std::size_t brace = pattern.host.find('{'); brace != std::string::npos) {
    refuse(text, offset + brace, "host contains '{' (missing initial '/'?)");
  }
  offset += slash;
  rest.remove_prefix(slash);
  if (!pattern.method.empty() && pattern.method != "CONNECT" && !is_clean_path(rest)) {
    refuse(text, offset, "non-CONNECT pattern with unclean path can never match");
  }
  parse_segments(pattern, rest);
  return pattern;
}

Relation compare_methods(const Pattern& a, const Pattern& b) {
  if (a.method == b.method) return Relation::equivalent;
  if (a.method.empty()) return Relation::more_general;
  if (b.method.empty()) return Relation::more_specific;
  if (a.method == "GET" && b.method == "HEAD") return Relation::more_general;
  if (a.method == "HEAD" && b.method == "GET") return Relation::more_specific;
  return Relation::disjoint;
}

Relation compare_paths(const Pattern& a, const Pattern& b) {
  const bool a_open = a.last().kind == Segment::Kind::rest;
  const bool b_open = b.last().kind == Segment::Kind::rest;
  if (a.segments.size() != b.segments.size() && !a_open && !b_open) return Relation::disjoint;
  Relation relation = Relation::equivalent;
  const std::size_t common = std::min(a.segments.size(), b.segments.size());
  for (std::size_t i = 0; i < common; ++i) {
    relation = combine(relation, compare_segments(a.segments[i], b.segments[i]));
    if (relation == Relation::disjoint) return relation;
  }
  if (a.segments.size() == b.segments.size()) return relation;
  // The shorter pattern matches longer paths only when it is open at its end. Then its end is the more general one.
  if (a.segments.size() < b.segments.size() && a_open) return combine(relation, Relation::more_general);
  if (b.segments.size() < a.segments.size() && b_open) return combine(relation, Relation::more_specific);
  return Relation::disjoint;
}

bool conflict(const Pattern& a, const Pattern& b) {
  // When the hosts differ, either they can't both match, or one pattern has no host and the other one wins.
  if (!iequals(a.host, b.host)) return false;
  const Relation relation = combine(compare_methods(a, b), compare_paths(a, b));
  return relation == Relation::equivalent || relation == Relation::overlaps;
}

std::string describe_conflict(const Pattern& a, const Pattern& b) {
  const Relation methods = compare_methods(a, b);
  const Relation paths = compare_paths(a, b);
  if (combine(methods, paths) == Relation::equivalent) return quoted(a) + " matches the same requests as " + quoted(b);
  if (paths == Relation::overlaps) {
    return quoted(a) + " and " + quoted(b) + " both match some paths, like \"" + common_path(a, b) +
           "\", but neither is more specific than the other";
  }
  if (methods == Relation::more_general) {
    return quoted(a) + " matches more methods than " + quoted(b) + ", but has a more specific path pattern";
  }
  return quoted(a) + " matches fewer methods than " + quoted(b) + ", but has a more general path pattern";
}

}  // namespace weft::http::detail
