// Field lines and framing, as the parsers of requests and of responses share them.
#include "http/src/parser/framing.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "http/src/parser/field_line.h"

namespace weft::http::detail {
namespace {

// Scans the section, and says which fields are shown, what the framing is, or what is wrong with a line.
std::string judge(std::string_view section, int minor = 1) {
  const char* const base = section.data();
  const char* const end = base + section.size();
  FramingFields fields;
  std::string text;
  for (const char* p = base;;) {
    const FieldLine line = scan_field_line(base, p, end);
    if (line.verdict == Line::incomplete) return text + "...";
    if (line.verdict == Line::bad) return text + "!" + std::string(line.fault);
    p = line.next;
    if (line.verdict == Line::blank) break;
    if (fields.note(base, line.field)) text += std::string(text_of(base, line.field.name)) + " ";
  }
  const MessageFraming framing = fields.judge(base, minor);
  if (framing.fault == MessageFraming::Fault::content_length) return text + "bad length";
  if (framing.fault == MessageFraming::Fault::transfer_encoding) return text + "bad coding";
  text += framing.chunked ? "chunked" : std::to_string(framing.content_length);
  if (framing.has_content_length) text += " declared";
  if (framing.close) text += " close";
  if (framing.keep_alive_10) text += " keep-alive";
  return text;
}

TEST(Framing, OfABody) {
  const struct {
    std::string_view section;
    std::string_view want;
    int minor = 1;
  } rows[] = {
      {"\r\n", "0"},
      {"Content-Length: 0\r\n\r\n", "Content-Length 0 declared"},
      {"X: y\r\ncontent-length:\t17 \r\n\r\n", "X content-length 17 declared"},
      {"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "Content-Length 5 declared"},
      {"Content-Length: 5\r\nContent-Length: 05\r\n\r\n", "Content-Length bad length"},
      {"Content-Length: -1\r\n\r\n", "Content-Length bad length"},
      {"Content-Length:\r\n\r\n", "Content-Length bad length"},
      {"Content-Length: 9223372036854775808\r\n\r\n", "Content-Length bad length"},
      {"Transfer-Encoding: Chunked\r\n\r\n", "chunked"},
      {"Transfer-Encoding: gzip, chunked\r\n\r\n", "bad coding"},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "bad coding"},
      {"Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n", "Content-Length chunked declared close"},
      {"Transfer-Encoding: chunked\r\n\r\n", "0 close", 0},
      {"Transfer-Encoding: chunked\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n",
       "Content-Length Connection 3 declared close keep-alive", 0},
      {"Connection: close\r\n\r\n", "Connection 0 close"},
      {"Connection: a, CLOSE\r\nConnection: keep-alive\r\n\r\n", "Connection Connection 0 close"},
      {"\r\n", "0 close", 0},
      {"Connection: Keep-Alive\r\n\r\n", "Connection 0 keep-alive", 0},
  };
  for (const auto& row : rows) EXPECT_EQ(judge(row.section, row.minor), row.want) << row.section;
}

TEST(Framing, OfALine) {
  EXPECT_EQ(judge("X: y"), "...");
  EXPECT_EQ(judge("X: y\r"), "...");
  EXPECT_EQ(judge("X: y\r\n"), "X ...");
  EXPECT_EQ(judge("X: y\r\n\r"), "X ...");
  EXPECT_EQ(judge("X: y\r\n\rZ"), "X !");
  EXPECT_EQ(judge("X: y\n"), "!");
  EXPECT_EQ(judge("X: y\rz\r\n"), "!invalid header value");
  EXPECT_EQ(judge("X: \x01\r\n"), "!invalid header value");
  EXPECT_EQ(judge("X : y\r\n"), "!invalid header name");
  EXPECT_EQ(judge(": y\r\n"), "!invalid header name");
  EXPECT_EQ(judge(" X: y\r\n"), "!");
  EXPECT_EQ(judge("nonsense\r\n"), "!");
}

}  // namespace
}  // namespace weft::http::detail
