// The library for users' tests, tested itself.
#include "weft/http/testing.h"

#include <string>

#include <gtest/gtest.h>

#include "weft/http/errc.h"
#include "weft/net/address.h"
#include "weft/panic.h"

namespace weft::http::testing {
namespace {

TEST(Recorder, KeepsTheHeaderOfItsTime) {
  Recorder w;
  w.header().set("A", "1");
  EXPECT_EQ(w.status(), 0);
  EXPECT_EQ(w.code(), 200);
  EXPECT_EQ(w.sent_header().get("A"), "1");
  w.write_header(103);
  w.header().set("A", "2");
  w.write_header(201);
  w.header().set("A", "3");
  w.write_header(500);
  EXPECT_EQ(w.write("ab").n, 2U);
  EXPECT_FALSE(w.flushed());
  EXPECT_FALSE(w.flush());
  EXPECT_EQ(w.write("c").n, 1U);
  EXPECT_EQ(w.status(), 201);
  EXPECT_EQ(w.code(), 201);
  EXPECT_EQ(w.sent_header().get("A"), "2");
  EXPECT_EQ(w.body(), "abc");
  EXPECT_EQ(w.bytes_written(), 3U);
  EXPECT_TRUE(w.flushed());
  EXPECT_EQ(w.interim(), (std::vector<int>{103}));
}

TEST(Recorder, HoldsTheServersRules) {
  Recorder w;
  EXPECT_THROW(w.write_header(42), Panic);
  w.write_header(204);
  EXPECT_EQ(w.write("x").ec, Errc::body_not_allowed);
  EXPECT_EQ(w.body(), "");
  Recorder reset;
  reset.write_header(205);
  EXPECT_EQ(reset.write("x").ec, Errc::body_not_allowed);
  Recorder implicit;
  EXPECT_EQ(implicit.write("x").n, 1U);
  EXPECT_EQ(implicit.status(), 200);
}

TEST(TestRequest, IsWhatAServerWouldSee) {
  TestRequest plain;
  EXPECT_EQ(plain->method(), "GET");
  EXPECT_EQ(plain->path(), "/");
  EXPECT_EQ(plain->host(), "example.com");
  EXPECT_EQ(plain->scheme(), "http");
  EXPECT_EQ(plain->version(), (Version{1, 1}));
  EXPECT_EQ(plain->content_length(), 0);
  EXPECT_EQ(plain->header().size(), 0U);
  EXPECT_EQ(plain->read_body(10).value(), "");

  TestRequest post({.method = "POST",
                    .target = "/a%20b?x=1",
                    .host = "h:80",
                    .version = {1, 0},
                    .header = {{"X", "1"}, {"x", "2"}},
                    .body = "hello",
                    .scheme = "https"});
  EXPECT_EQ(post->path(), "/a b");
  EXPECT_EQ(post->query_value("x"), "1");
  EXPECT_EQ(post->host(), "h:80");
  EXPECT_EQ(post->scheme(), "https");
  EXPECT_LT(post->version(), (Version{1, 1}));
  EXPECT_EQ(post->header().values("X"), (std::vector<std::string_view>{"1", "2"}));
  EXPECT_EQ(post->content_length(), 5);
  EXPECT_EQ(post->read_body(10).value(), "hello");
  EXPECT_EQ(post->read_body(10).value(), "");

  TestRequest chunked({.method = "PUT", .body = "hello", .chunked = true});
  EXPECT_EQ(chunked->content_length(), -1);
  EXPECT_EQ(chunked->read_body(10).value(), "hello");
  EXPECT_EQ(chunked->trailer().size(), 0U);
}

TEST(TestRequest, HasAContextThatEnds) {
  TestRequest request({.context = with_value<int>(background(), 7)});
  const Context context = request->context();
  EXPECT_EQ(*context.value<int>(), 7);
  EXPECT_FALSE(context.err());
  request.cancel();
  EXPECT_TRUE(context.err() == Condition::canceled);
}

TEST(TestRequest, RefusesWhatAServerRefuses) {
  const auto text_of = [](RequestOptions options) -> std::string {
    try {
      const TestRequest request(std::move(options));
    } catch (const Panic& e) {
      return e.what();
    }
    return "fine";
  };
  const std::string start = "http: a server would refuse this test request: ";
  EXPECT_EQ(text_of({.target = "a b"}), start + "400");
  EXPECT_EQ(text_of({.host = "h h"}), start + "400 malformed Host header");
  EXPECT_EQ(text_of({.version = {2, 0}}), start + "505 unsupported protocol version");
  EXPECT_EQ(text_of({.header = {{"Bad Name", "x"}}}), start + "400 invalid header name");
  const std::string line_end = "http: a test request's start line or fields hold a line end";
  EXPECT_EQ(text_of({.method = "GET / HTTP/1.1\r\nX:"}), line_end);
  EXPECT_EQ(text_of({.target = "/ HTTP/1.1\r\n\r\nGET /"}), line_end);
  EXPECT_EQ(text_of({.host = "h\r\nX: 1"}), line_end);
  EXPECT_EQ(text_of({.header = {{"X", "1\r\nY: 2"}}}), line_end);
  EXPECT_EQ(text_of({.header = {{"X", "1\nY: 2"}}}), line_end);
  EXPECT_EQ(text_of({.header = {{"X: 1\r\nY", "2"}}}), line_end);
  const std::string trailer_end = "http: a test request's trailer holds a line end";
  EXPECT_EQ(text_of({.trailer = {{"X", "1\r\nY: 2"}}}), trailer_end);

  const std::string old = "http: a test request below HTTP/1.1 has no chunked body and no trailer";
  EXPECT_EQ(text_of({.version = {1, 0}, .body = "x", .chunked = true}), old);
  EXPECT_EQ(text_of({.version = {1, 0}, .trailer = {{"X", "1"}}}), old);
  EXPECT_EQ(text_of({.version = {1, 0}, .header = {{"Transfer-Encoding", "chunked"}}}), old);

  const std::string length = "http: a test request's Content-Length isn't the length of its body";
  EXPECT_EQ(text_of({.header = {{"Content-Length", "3"}}, .body = "hello"}), length);
  EXPECT_EQ(text_of({.header = {{"Content-Length", "3"}}}), length);
  EXPECT_EQ(text_of({.header = {{"Content-Length", "5"}}, .body = "hello", .chunked = true}), length);
  EXPECT_EQ(text_of({.header = {{"Content-Length", "5"}}, .body = "hello", .trailer = {{"X", "1"}}}), length);
  EXPECT_EQ(text_of({.header = {{"Content-Length", "x"}}, .body = "hello"}), start + "400");
  EXPECT_EQ(text_of({.header = {{"Content-Length", "5"}}, .body = "hello"}), "fine");
  EXPECT_EQ(text_of({.header = {{"Transfer-Encoding", "chunked"}}, .body = "hello"}), "fine");
  EXPECT_EQ(text_of({.target = "*"}), "fine");
  EXPECT_EQ(text_of({.method = "CONNECT", .target = "h:1"}), "fine");
}

}  // namespace
}  // namespace weft::http::testing
