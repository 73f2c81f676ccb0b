// The lines of a message's head (RFC 9112 section 2.2), in a text that grows. What is here knows neither requests nor
// responses.
//
// A parser is told of the same growing text again and again. It keeps offsets, never pointers, so the text may move
// between calls. A line is judged only when its LF is there, so that the verdict depends on the bytes alone and not on
// where reads split them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace weft::http::detail {

// A part of the text.
struct Slice {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
};

inline std::string_view text_of(const char* base, Slice slice) noexcept { return {base + slice.offset, slice.size}; }

inline Slice slice_of(const char* base, const char* begin, const char* end) noexcept {
  return {static_cast<std::uint32_t>(begin - base), static_cast<std::uint32_t>(end - begin)};
}

// What a look at a line finds. `blank` is the CRLF that ends a section. A line that looks `bad` may be one whose end
// hasn't come: HeadLines::has_end() tells.
enum class Line : std::uint8_t { good, blank, incomplete, bad };

// How far a head was read.
//
//   line       first byte of the present line; everything before it is parsed and never looked at again
//   scanned    everything in [line, scanned) is known to hold no LF
//
// So a byte is searched for its LF once, however slowly the text grows.
struct HeadLines {
  std::size_t line = 0;
  std::size_t scanned = 0;

  // The end of the present line is in `input`.
  bool has_end(std::string_view input) const noexcept {
    return std::memchr(input.data() + line, '\n', input.size() - line) != nullptr;
  }
  // The present line is known to lack its end: it had none, and none came with what is new in `input`.
  bool lacks_end(std::string_view input) const noexcept {
    return scanned > line && std::memchr(input.data() + scanned, '\n', input.size() - scanned) == nullptr;
  }
};

}  // namespace weft::http::detail
