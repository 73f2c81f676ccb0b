#include "http/src/parser/chunked.h"

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "http/src/http1/byte_buffer.h"
#include "weft/http/errc.h"

namespace weft::http::detail {
namespace {

// Returns "body|rest" once done, "body!error" when broken, "body..." when bytes are missing.
std::string decode(const std::vector<std::string_view>& pieces, std::size_t max_data = 1 << 20) {
  ChunkedDecoder decoder;
  std::string body;
  std::string rest;
  for (std::string_view piece : pieces) {
    while (!piece.empty() && !decoder.done() && !decoder.error()) {
      const ChunkedDecoder::Step step = decoder.decode(piece, max_data);
      EXPECT_LE(step.data.size(), max_data);
      body += step.data;
      piece.remove_prefix(step.consumed);
    }
    rest += piece;
  }
  if (decoder.error()) return body + "!" + decoder.error().message();
  return decoder.done() ? body + "|" + rest : body + "...";
}

struct Row {
  std::string_view raw;
  std::string_view want;
};

TEST(Chunked, DecodesWhateverTheSplit) {
  const std::string bad = "!malformed chunked encoding";
  const std::string bad_trailer = "!malformed trailer";
  const Row rows[] = {
      {"0\r\n\r\n", "|"},
      {"5\r\nhello\r\n0\r\n\r\n", "hello|"},
      {"5\r\nhello\r\n0\r\n\r\nGET", "hello|GET"},
      {"3\r\nhel\r\n2\r\nlo\r\n000\r\n\r\n", "hello|"},
      {"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789|"},
      {"5;name=value\r\nhello\r\n0;x\r\n\r\n", "hello|"},
      {"5 \t ; name=\"a b\"\r\nhello\r\n0\r\n\r\n", "hello|"},
      {"5;a;b=c ; d\t=\t\"\"; e = f;g=\"\\\"\\\\;\t\xff\"\r\nhello\r\n0\r\n\r\n", "hello|"},
      {"5;a ;b\r\nhello\r\n0;x=y\r\n\r\n", "hello|"},
      {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n|"},
      {"1\r\na\r\n0\r\nX: 1\r\nY:\tz\r\n\r\nrest", "a|rest"},
      {"5\r\nhel", "hel..."},
      {"5\r\nhello\r\n0\r\n\r", "hello..."},
      {"", "..."},
      {"\r\n", bad},
      {"g\r\n", bad},
      {"-1\r\n", bad},
      {"0x5\r\nhello\r\n", bad},
      {"+5\r\nhello\r\n", bad},
      {" 5\r\nhello\r\n", bad},
      {"5 \r\nhello\r\n", bad},
      {"5\nhello\r\n0\r\n\r\n", bad},
      {"5;a\nhello\r\n0\r\n\r\n", bad},
      {"5;a\rb\r\nhello\r\n", bad},
      {std::string_view("5;\0\r\nhello\r\n", 12), bad},
      {"5;\r\nhello\r\n", bad},
      {"5; \r\nhello\r\n", bad},
      {"5;;\r\nhello\r\n", bad},
      {"5;a;\r\nhello\r\n", bad},
      {"5;;a\r\nhello\r\n", bad},
      {"5;=b\r\nhello\r\n", bad},
      {"5;a=\r\nhello\r\n", bad},
      {"5;a=;b\r\nhello\r\n", bad},
      {"5;a==b\r\nhello\r\n", bad},
      {"5;a=b=c\r\nhello\r\n", bad},
      {"5;a b\r\nhello\r\n", bad},
      {"5;a=b c\r\nhello\r\n", bad},
      {"5;a=b =c\r\nhello\r\n", bad},
      {"5;a@\r\nhello\r\n", bad},
      {"5;a=(b)\r\nhello\r\n", bad},
      {"5;\"a\"\r\nhello\r\n", bad},
      {"5;a\xff\r\nhello\r\n", bad},
      {"5;a=\"b\r\nhello\r\n", bad},
      {"5;a=\"b\r\n\"\r\nhello\r\n", bad},
      {"5;a=\"b\n\"\r\nhello\r\n", bad},
      {"5;a=\"b\\\r\n\"\r\nhello\r\n", bad},
      {"5;a=\"b\x7f\"\r\nhello\r\n", bad},
      {"5;a=\"b\"c\r\nhello\r\n", bad},
      {"5;a=b\"c\"\r\nhello\r\n", bad},
      {"5;a=\"b\"=c\r\nhello\r\n", bad},
      {"5;a=\"b\" \"c\"\r\nhello\r\n", bad},
      {"5;a \r\nhello\r\n", bad},
      {"5;a=b \r\nhello\r\n", bad},
      {"5;a=\"b\"\t\r\nhello\r\n", bad},
      {"5 a\r\nhello\r\n", bad},
      {"5\rxhello", bad},
      {";\r\n", bad},
      {"fffffffffffffffff\r\n", bad},
      {"10000000000000000\r\n", bad},
      {"5\r\nhelloX\r\n", "hello!malformed chunked encoding"},
      {"5\r\nhello\n0\r\n\r\n", "hello!malformed chunked encoding"},
      {"5\r\nhello\rX", "hello!malformed chunked encoding"},
      {"5\r\nhello0\r\n\r\n", "hello!malformed chunked encoding"},
      {"0\r\n\n", bad_trailer},
      {"0\r\nX\r\n\r\n", bad_trailer},
      {"0\r\n: 1\r\n\r\n", bad_trailer},
      {"0\r\nX : 1\r\n\r\n", bad_trailer},
      {"0\r\n X: 1\r\n\r\n", bad_trailer},
      {"0\r\nX: 1\n\r\n", bad_trailer},
      {"0\r\nX: \x01\r\n\r\n", bad_trailer},
      {"0\r\n\rX", bad_trailer},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.raw));
    EXPECT_EQ(decode({row.raw}), row.want) << "whole";
    for (const std::size_t size : {1, 2, 3, 4, 5, 6, 7, 8, 16, 31}) {
      std::vector<std::string_view> pieces;
      for (std::size_t i = 0; i < row.raw.size(); i += size) pieces.push_back(row.raw.substr(i, size));
      EXPECT_EQ(decode(pieces), row.want) << "in pieces of " << size;
    }
    for (std::size_t i = 0; i <= row.raw.size(); ++i) {
      EXPECT_EQ(decode({row.raw.substr(0, i), row.raw.substr(i)}), row.want) << "split at " << i;
    }
    EXPECT_EQ(decode({row.raw}, 1), row.want) << "a byte of data at a time";
  }
}

TEST(Chunked, KeepsTheTrailerSection) {
  const std::string raw = "1\r\na\r\n0\r\nX: 1\r\nY:\tz\r\n\r\nrest";
  for (std::size_t i = 0; i <= raw.size(); ++i) {
    ChunkedDecoder decoder;
    for (std::string_view piece : {std::string_view(raw).substr(0, i), std::string_view(raw).substr(i)}) {
      while (!piece.empty() && !decoder.done()) piece.remove_prefix(decoder.decode(piece, 100).consumed);
    }
    EXPECT_EQ(decoder.trailer(), "X: 1\r\nY:\tz\r\n") << "split at " << i;
    decoder.reset();
    EXPECT_EQ(decoder.trailer(), "");
  }
}

TEST(Chunked, LimitsLinesAndTrailers) {
  const std::string line = "5;" + std::string(kMaxChunkLine - 4, 'x') + "\r\nhello\r\n0\r\n\r\n";
  EXPECT_EQ(decode({line}), "hello|");
  EXPECT_EQ(decode({"5;x" + line.substr(2)}), "!header line too long");
  const std::string trailer = "0\r\nX:" + std::string(kMaxTrailerBytes - 5, 'x') + "\r\n\r\n";
  EXPECT_EQ(decode({trailer}), "!http: suspiciously long trailer after chunked body");
  EXPECT_EQ(decode({"0\r\nX:" + std::string(kMaxTrailerBytes - 6, 'x')}), "...");
}

TEST(Chunked, RefusesMoreFramingThanData) {
  std::string raw;
  for (int i = 0; i < 1000; ++i) raw += "1;" + std::string(100, 'x') + "\r\nb\r\n";
  EXPECT_TRUE(decode({raw}).ends_with("!header line too long"));
  // Bytes sent one at a time are slow but honest.
  std::string honest;
  for (int i = 0; i < 20000; ++i) honest += "1\r\nb\r\n";
  EXPECT_EQ(decode({honest + "0\r\n\r\n"}), std::string(20000, 'b') + "|");
}

TEST(Chunked, SkipsDataThatIsReadPastIt) {
  ChunkedDecoder decoder;
  EXPECT_EQ(decoder.data_left(), 0U);
  EXPECT_EQ(decoder.decode("6\r\n", 100).consumed, 3U);
  EXPECT_EQ(decoder.data_left(), 6U);
  decoder.skip_data(4);
  const auto step = decoder.decode("lo\r\n0\r\n\r\n", 100);
  EXPECT_EQ(step.data, "lo");
  EXPECT_EQ(decoder.decode("\r\n0\r\n\r\n", 100).consumed, 7U);
  EXPECT_TRUE(decoder.done());
}

TEST(Chunked, WhatIsEncodedDecodes) {
  std::mt19937 random(17);
  for (int round = 0; round < 200; ++round) {
    std::string body;
    std::string raw;
    const std::size_t chunks = random() % 8;
    for (std::size_t i = 0; i < chunks; ++i) {
      const std::string chunk(1 + random() % 5000, static_cast<char>('a' + i));
      body += chunk;
      http1::ByteBuffer size;
      size.append_number(chunk.size(), 16);
      raw += std::string(size.view()) + "\r\n" + chunk + "\r\n";
    }
    raw += kLastChunk;
    EXPECT_EQ(decode({raw}, 1 + random() % 4096), body + "|");
  }
}

}  // namespace
}  // namespace weft::http::detail
