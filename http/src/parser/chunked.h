// Chunked transfer coding (RFC 9112 section 7.1): the decoder of bodies that come in, and the framing of those that go
// out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace weft::http::detail {

// Longest line of a chunk's size and extensions, its line end included.
inline constexpr std::size_t kMaxChunkLine = 4096;
// Longest trailer section, its blank line included.
inline constexpr std::size_t kMaxTrailerBytes = 4096;

// Takes the coding apart in place, a piece at a time, wherever reads split it. There is a state for each kind of byte:
//
//   size -> extension* -> size_lf -> data -> data_cr -> data_lf -> size ...
//   size 0 -> trailer_start -> (trailer_name -> trailer_value -> trailer_lf -> trailer_start)* -> end_lf -> done
//
// An extension (section 7.1.1) is checked and dropped:
//
//   [blank ->] ext_start -> ext_name [-> ext_name_blank] [-> ext_value_start -> ext_value | (quoted -> quoted_end)]
//
// Spaces may stand around its ';' and '=', as the RFC bids recipients allow, and nowhere else in the line. A quoted
// value holds no line end. Lines end in CRLF and nothing else. So whoever reads the same bytes, however carelessly,
// finds the end of the line where this decoder finds it.
//
// The bytes of framing that come with little data are counted (`overhead_`): a peer that sends far more framing than
// data is refused, as Go does. Trailer fields are checked and kept.
// Thread safety: none.
class ChunkedDecoder {
 public:
  struct Step {
    std::size_t consumed = 0;  // bytes taken from the front of the input, data included
    std::string_view data;     // the last of those bytes: a run of body
  };

  void reset() noexcept { *this = ChunkedDecoder(); }

  // Takes from `input` until it has a run of data, is done, has failed, or the input is used up. Data is at most
  // `max_data` long.
  Step decode(std::string_view input, std::size_t max_data);

  bool done() const noexcept { return state_ == State::done; }
  // Once done: the field lines of the trailer section, each with its CRLF, without the blank line. Lives until reset().
  std::string_view trailer() const noexcept { return trailer_; }
  // Set once the coding is broken; nothing is decoded after that.
  std::error_code error() const noexcept { return error_; }

  // Bytes of data that may be taken past the decoder before its next framing byte; skip_data() says that it was done.
  std::uint64_t data_left() const noexcept { return state_ == State::data ? left_ : 0; }
  void skip_data(std::uint64_t size) noexcept;

 private:
  enum class State : std::uint8_t {
    size,             // digits
    blank,            // after the size or an extension: ';' comes
    ext_start,        // after ';'
    ext_name,         // within it
    ext_name_blank,   // after it: '=' or ';' comes
    ext_value_start,  // after '='
    ext_value,        // within a token
    quoted,           // within a quoted string
    quoted_pair,      // after its '\\'
    quoted_end,       // after the quote that closes it
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf,
    done,
  };

  bool take(char c);
  bool take_size(char c);
  bool take_extension(char c);
  bool end_part(char c, State after_blank);
  bool take_trailer(char c);
  bool begin_data();
  bool fail(std::error_code error);

  State state_ = State::size;
  std::uint8_t digits_ = 0;
  std::uint64_t left_ = 0;  // bytes of data to come in this chunk; while its size is read, the size so far
  std::size_t line_ = 0;    // bytes of the present size line, or of the trailer section
  std::int64_t overhead_ = 0;
  std::error_code error_;
  std::string trailer_;
};

// What ends a chunked body without trailer fields. Every chunk before it is its size in hexadecimal, CRLF, the data,
// CRLF. Trailer fields stand between its two line ends.
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace weft::http::detail
