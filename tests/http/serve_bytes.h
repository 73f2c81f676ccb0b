// Bytes in, bytes out: what a handler answers on a connection whose input is written down. Dates are replaced by
// "DATE".
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/scripted_connection.h"
#include "weft/http/response_writer.h"
#include "weft/http/server.h"

namespace weft::http::test {

struct Outcome {
  std::string output;
  std::vector<std::string> writes;
  std::vector<std::string> log;
  bool write_closed = false;
};

// "Date: Sun, 06 Nov 1994 08:49:37 GMT" becomes "DATE".
inline std::string mask_dates(std::string text) {
  constexpr std::string_view kShape = "Date: Aaa, 00 Aaa 0000 00:00:00 GMT";
  const auto fits = [](char c, char shape) {
    if (shape == '0') return c >= '0' && c <= '9';
    return shape == 'A' || shape == 'a' ? (c | 0x20) >= 'a' && (c | 0x20) <= 'z' : c == shape;
  };
  for (std::size_t i = text.find("\r\nDate: "); i != std::string::npos; i = text.find("\r\nDate: ", i)) {
    i += 2;
    bool good = text.size() - i >= kShape.size();
    for (std::size_t k = 6; good && k < kShape.size(); ++k) good = fits(text[i + k], kShape[k]);
    if (good) text.replace(i, kShape.size(), "DATE");
  }
  return text;
}

// `closes`: the server closes the connection, as it does unless the handler hijacks it.
inline Outcome serve(const Handler& handler, std::vector<std::string> pieces, ServerOptions options = {},
                     bool closes = true) {
  options.handler = handler;
  ScriptedConnection connection(std::move(options), std::move(pieces));
  connection.serve();
  const ScriptedStream& stream = connection.stream();
  EXPECT_EQ(stream.closed, closes);
  return {.output = mask_dates(stream.output()),
          .writes = stream.writes,
          .log = connection.log(),
          .write_closed = stream.write_closed};
}

// The response that most handlers of these tests give.
inline std::string ok(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

// Expects the same output whether the input comes whole, byte by byte or split at any point.
inline void check_splits(const Handler& handler, const std::string& input, const std::string& want) {
  SCOPED_TRACE(::testing::PrintToString(input));
  EXPECT_EQ(serve(handler, {input}).output, want) << "whole";
  std::vector<std::string> bytes;
  for (const char c : input) bytes.emplace_back(1, c);
  EXPECT_EQ(serve(handler, bytes).output, want) << "byte by byte";
  for (std::size_t i = 1; i < input.size(); ++i) {
    EXPECT_EQ(serve(handler, {input.substr(0, i), input.substr(i)}).output, want) << "split at " << i;
  }
}

}  // namespace weft::http::test
