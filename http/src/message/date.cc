#include "http/src/message/date.h"

#include <cstring>

namespace weft::http::detail {
namespace {

void put_two(char* out, int value) noexcept {
  out[0] = static_cast<char>('0' + value / 10);
  out[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

void format_date(std::time_t time, char* out) noexcept {
  std::tm tm{};
  gmtime_r(&time, &tm);
  std::memcpy(out, "ddd, DD mmm YYYY HH:MM:SS GMT", 29);
  std::memcpy(out, &"SunMonTueWedThuFriSat"[tm.tm_wday * 3], 3);
  put_two(out + 5, tm.tm_mday);
  std::memcpy(out + 8, &"JanFebMarAprMayJunJulAugSepOctNovDec"[tm.tm_mon * 3], 3);
  const int year = tm.tm_year + 1900;
  put_two(out + 12, year / 100);
  put_two(out + 14, year % 100);
  put_two(out + 17, tm.tm_hour);
  put_two(out + 20, tm.tm_min);
  put_two(out + 23, tm.tm_sec);
}

void DateLine::refresh(std::time_t now) noexcept {
  std::memcpy(text_.data(), "Date: ", 6);
  format_date(now, text_.data() + 6);
  std::memcpy(text_.data() + 35, "\r\n", 2);
  second_ = now;
}

}  // namespace weft::http::detail
