// Character classes of HTTP (RFC 9110 section 5.6, RFC 3986) and the few text operations that parsing needs.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace weft::http::detail {

enum CharClass : std::uint8_t {
  kToken = 1,    // names of fields and methods
  kTarget = 2,   // request target: visible US-ASCII without '#'
  kRegName = 4,  // reg-name of a host, but for '%'
  kDigit = 8,
  kHexDigit = 16,
};

constexpr std::array<std::uint8_t, 256> make_char_classes() {
  std::array<std::uint8_t, 256> classes{};
  const auto mark = [&classes](std::string_view chars, int bits) {
    for (const char c : chars) {
      auto& entry = classes[static_cast<unsigned char>(c)];
      entry = static_cast<std::uint8_t>(entry | bits);
    }
  };
  mark("0123456789", kToken | kRegName | kDigit | kHexDigit);
  mark("abcdefABCDEF", kToken | kRegName | kHexDigit);
  mark("ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ", kToken | kRegName);
  mark("!#$%&'*+-.^_`|~", kToken);
  mark("!$&'()*+,-.;=_~", kRegName);
  for (int c = 0x21; c < 0x7f; ++c) {
    if (c != '#') classes[static_cast<std::size_t>(c)] |= kTarget;
  }
  return classes;
}

inline constexpr std::array<std::uint8_t, 256> kCharClasses = make_char_classes();

constexpr bool has_class(char c, CharClass bit) { return (kCharClasses[static_cast<unsigned char>(c)] & bit) != 0; }

constexpr bool all_of_class(std::string_view text, CharClass bit) {
  for (const char c : text) {
    if (!has_class(c, bit)) return false;
  }
  return true;
}

constexpr bool is_token(std::string_view text) { return !text.empty() && all_of_class(text, kToken); }

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr bool iequals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

namespace chars_impl {

template <typename Word>
inline Word load(const char* p) noexcept {
  Word word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// Whether the word at `a`, in lower case, is the one at `b`.
template <typename Word>
inline bool same(const char* a, const char* b) noexcept {
  constexpr Word kLower = static_cast<Word>(0x2020202020202020U);
  return (load<Word>(a) | kLower) == load<Word>(b);
}

}  // namespace chars_impl

// Does what iequals() does, for a token and a literal of lower-case letters and '-', a word at a time. Bit 0x20 makes
// letters lower case and leaves '-' alone. It makes no other character of a token a letter or '-'.
template <std::size_t N>
inline bool token_is(std::string_view token, const char (&literal)[N]) noexcept {
  constexpr std::size_t kSize = N - 1;
  static_assert(kSize >= 4 && kSize <= 24);
  using chars_impl::same;
  const char* const p = token.data();
  if (token.size() != kSize) return false;
  if constexpr (kSize <= 8) {
    return same<std::uint32_t>(p, literal) && same<std::uint32_t>(p + kSize - 4, literal + kSize - 4);
  } else if constexpr (kSize <= 16) {
    return same<std::uint64_t>(p, literal) && same<std::uint64_t>(p + kSize - 8, literal + kSize - 8);
  } else {
    return same<std::uint64_t>(p, literal) && same<std::uint64_t>(p + 8, literal + 8) &&
           same<std::uint64_t>(p + kSize - 8, literal + kSize - 8);
  }
}

// Returns the value of a hexadecimal digit.
constexpr int hex_value(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

// Whether a whole escape of a URL, such as "%2F", stands at `i`, which is within the text.
constexpr bool is_escape(std::string_view text, std::size_t i) {
  return text[i] == '%' && text.size() - i >= 3 && has_class(text[i + 1], kHexDigit) &&
         has_class(text[i + 2], kHexDigit);
}

// Whether every '%' in the text begins a whole escape.
constexpr bool escapes_are_whole(std::string_view text) {
  for (std::size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 3)) {
    if (!is_escape(text, i)) return false;
  }
  return true;
}

// Returns the text without spaces and tabs (OWS) at its ends.
constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Returns the first byte in [p, end) that is a control character (below 0x20, or 0x7f), or `end`.
inline const char* find_control(const char* p, const char* end) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    constexpr std::uint64_t kOnes = 0x0101010101010101U;
    constexpr std::uint64_t kHigh = 0x8080808080808080U;
    while (end - p >= 8) {
      std::uint64_t word;
      std::memcpy(&word, p, sizeof word);
      const std::uint64_t del = word ^ (kOnes * 0x7f);
      // Each term flags a byte below its bound; a borrow can only spoil bytes above the first flagged one.
      const std::uint64_t found = (((word - kOnes * 0x20) & ~word) | ((del - kOnes) & ~del)) & kHigh;
      if (found != 0) return p + (std::countr_zero(found) >> 3);
      p += 8;
    }
  }
  while (p < end && static_cast<unsigned char>(*p) >= 0x20 && *p != 0x7f) ++p;
  return p;
}

// Whether the text may be a field value: it has no control characters but tabs.
inline bool is_field_value(std::string_view text) noexcept {
  const char* p = text.data();
  const char* const end = p + text.size();
  while ((p = find_control(p, end)) != end) {
    if (*p++ != '\t') return false;
  }
  return true;
}

}  // namespace weft::http::detail
