// What a connection answers depends on the bytes that it gets, and not on how they are cut into reads: whole, byte by
// byte, in two at every point, and at random.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "http/serve_bytes.h"
#include "weft/http/request.h"
#include "weft/http/response_writer.h"

namespace weft::http {
namespace {

using test::Outcome;
using test::serve;

// The seeds of request_parser_fuzz, whose first byte says where the fuzzer cuts.
std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(WEFT_FUZZ_CORPUS "/request_parser")) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    all.push_back(text.substr(1));
  }
  return all;
}

// Requests and pieces of them that are near an edge of the grammar.
std::vector<std::string> inputs() {
  const std::string host = " HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string get = "GET /a" + host;
  const std::string chunked = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::vector<std::string> all = seeds();
  for (const std::string_view line : {"\r", "\n", "\r\n", "\n\r", "\r\r\n", " \r\n", "\t", "\v\r\n"}) {
    std::string lines;
    for (int i = 0; i < 6; ++i) {
      lines += line;
      all.push_back(lines + get);
      all.push_back(get + lines + get);
      all.push_back(lines);
    }
  }
  const std::string mixed = "\r\n\n\r\n\r\n";
  all.push_back(mixed + get);
  for (const std::string_view text : {
           "HEAD / HTTP/1.1\r\n\r\n",
           "HEAD /\r\n\r\n",
           "HEAD",
           "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET / HTTP/1.1\nHost: h\n\n",
           "GET / HTTP/1.1\r\nHost: h\r\n\n",
           "GET / HTTP/1.1\r\nHost: h\r\n\rGET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: h\r\nX: \x01\r\n\r\n",
           "GET / HTTP/9.9\r\n\r\n",
           "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
           "GET http://h:x/ HTTP/1.1\r\nHost: h\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\nabc",
           "POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\nContent-Length: 3\r\n\r\nabc",
           "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n",
       }) {
    all.emplace_back(text);
  }
  for (const std::string_view body :
       {"3\r\nabc\r\n0\r\n\r\n", "3;a=\"\\\"\" ; b\r\nabc\r\n0;x\r\nT: 1\r\n\r\n", "3;\r\nabc\r\n0\r\n\r\n",
        "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n", "3\r\nabcd\r\n0\r\n\r\n",
        "0\r\n\r\n\r\n\r\n", "3\r\nab", "0\r\nT : 1\r\n\r\n", "fffffffffffffffff\r\n"}) {
    all.push_back(chunked + std::string(body) + get);
  }
  return all;
}

void say(ResponseWriter& w, Request& r) {
  const auto body = r.read_body(1 << 20);
  const std::string text = std::string(r.method()) + " " + std::string(r.target()) + " " + std::string(r.host()) +
                           " [" + (body ? *body : body.error().message()) + "]";
  static_cast<void>(w.write(text));
}

// The body is left to the server.
void ignore(ResponseWriter& w, Request& r) { static_cast<void>(w.write(r.path())); }

// A body that nobody reads may be broken. A response that leaves before the broken part came can't say that it is the
// last one.
std::string without_close(std::string output) {
  const std::string field = "Connection: close\r\n";
  for (auto at = output.find(field); at != std::string::npos; at = output.find(field)) output.erase(at, field.size());
  return output;
}

void expect_same(
    const Handler& handler, const std::string& input, const ServerOptions& options,
    std::string (*compared)(std::string) = [](std::string output) { return output; }) {
  SCOPED_TRACE(testing::PrintToString(input));
  const Outcome whole = serve(handler, {input}, options);
  const auto check = [&](std::vector<std::string> pieces, std::size_t cut) {
    const Outcome outcome = serve(handler, std::move(pieces), options);
    EXPECT_EQ(compared(outcome.output), compared(whole.output)) << "cut at " << cut;
    EXPECT_EQ(outcome.log, whole.log) << "cut at " << cut;
  };
  std::vector<std::string> bytes;
  for (const char c : input) bytes.emplace_back(1, c);
  check(bytes, 0);
  for (std::size_t i = 1; i < input.size(); ++i) check({input.substr(0, i), input.substr(i)}, i);
}

TEST(Splits, DontMatter) {
  for (const std::string& input : inputs()) {
    expect_same(say, input, {});
    expect_same(ignore, input, {}, without_close);
  }
}

TEST(Splits, DontMatterAtLimits) {
  for (const std::string& input : inputs()) expect_same(say, input, {.max_header_bytes = 40, .max_body_bytes = 2});
}

TEST(Splits, DontMatterInBursts) {
  const std::vector<std::string> all = inputs();
  std::mt19937 random(4711);
  for (int round = 0; round < 2000; ++round) {
    std::string burst;
    for (int i = 0; i < 3; ++i) burst += all[random() % all.size()];
    std::vector<std::string> pieces;
    for (std::size_t i = 0; i < burst.size(); i += pieces.back().size()) {
      pieces.push_back(burst.substr(i, 1 + random() % 40));
    }
    EXPECT_EQ(serve(say, pieces).output, serve(say, {burst}).output) << testing::PrintToString(burst);
  }
}

}  // namespace
}  // namespace weft::http
