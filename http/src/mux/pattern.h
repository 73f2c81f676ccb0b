// Pattern: the parsed form of "[METHOD ][HOST]/[PATH]", and how two patterns relate.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::http::detail {

// A pattern with more wildcards is refused.
inline constexpr std::size_t kMaxWildcards = 16;

struct Segment {
  enum class Kind : std::uint8_t {
    literal,   // text, unescaped
    wildcard,  // one segment; text is its name
    end,       // {$}: the path ends in '/' here
    rest,      // all that is left, maybe nothing; the name is empty for a pattern that ends in '/'
  };
  Kind kind = Kind::literal;
  std::string text;
};

struct Pattern {
  std::string text;    // as registered
  std::string method;  // empty: any
  std::string host;    // empty: any
  std::vector<Segment> segments;

  const Segment& last() const { return segments.back(); }
};

// Throws PatternError, whose text has the offset and the reason.
Pattern parse_pattern(std::string_view text);

// How the requests that the first pattern matches relate to those that the second one matches.
enum class Relation : std::uint8_t { equivalent, more_general, more_specific, overlaps, disjoint };

Relation compare_methods(const Pattern& a, const Pattern& b);
Relation compare_paths(const Pattern& a, const Pattern& b);
bool conflict(const Pattern& a, const Pattern& b);
// Says why two patterns conflict.
std::string describe_conflict(const Pattern& a, const Pattern& b);

}  // namespace weft::http::detail
