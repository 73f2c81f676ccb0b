// DateLine: the Date field of responses (RFC 9110 section 6.6.1), formatted at most once a second.
#pragma once

#include <array>
#include <ctime>
#include <string_view>

namespace weft::http::detail {

// Writes "Sun, 06 Nov 1994 08:49:37 GMT" to `out`, which has room for 29 characters.
void format_date(std::time_t time, char* out) noexcept;

// Thread safety: none. Each connection at work has its own, so that no two threads share a line that changes.
class DateLine {
 public:
  // Returns "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" for the present second.
  std::string_view line() noexcept {
    const std::time_t now = std::time(nullptr);
    if (now != second_) refresh(now);
    return {text_.data(), text_.size()};
  }

 private:
  void refresh(std::time_t now) noexcept;

  std::time_t second_ = -1;
  std::array<char, 37> text_;
};

}  // namespace weft::http::detail
