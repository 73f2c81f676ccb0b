// What goes in and what comes out of a connection, byte for byte: tables without a network.
#include <chrono>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "http/serve_bytes.h"
#include "weft/http/errc.h"
#include "weft/http/helpers.h"
#include "weft/http/hijacked.h"
#include "weft/http/mux.h"
#include "weft/time_point.h"

namespace weft::http {
namespace {

using test::check_splits;
using test::mask_dates;
using test::ok;
using test::Outcome;
using test::ScriptedConnection;
using test::ScriptedStream;
using test::serve;

void hello(ResponseWriter& w, Request&) { static_cast<void>(w.write("hello")); }

// Says what it was asked.
void echo(ResponseWriter& w, Request& r) {
  auto body = r.read_body(1 << 20);
  const std::string text = std::string(r.method()) + " " + std::string(r.path()) + " [" +
                           (body ? *body : "error: " + body.error().message()) + "]";
  w.header().set("Content-Type", "t");
  static_cast<void>(w.write(text));
}

TEST(Connection, AnswersInOrderWhateverTheSplit) {
  check_splits(echo, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", ok("GET /a []"));
  check_splits(echo,
               "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
               ok("GET /1 []") + ok("GET /2 []") + ok("GET /3 []"));
  check_splits(
      echo,
      "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
      "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
      ok("POST /1 [hello]") + ok("POST /2 [abcde]") + ok("GET /3 []"));
  check_splits(echo,
               "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
               ok("POST /1 [a]") + ok("GET /2 []"));
}

TEST(Connection, UnreadBodiesDontBecomeRequests) {
  check_splits(
      [](ResponseWriter& w, Request&) {
        w.header().set("Content-Type", "t");
        static_cast<void>(w.write("x"));
      },
      "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 16\r\n\r\nGET /no HTTP/1.1"
      "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n",
      ok("x") + ok("x") + ok("x"));
}

TEST(Connection, BothLengthsMeanChunkedAndTheEnd) {
  // Framed by Content-Length, what follows the last chunk would be a body. Framed by chunks, it would be a request. The
  // server takes it for neither.
  check_splits(echo,
               "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
               "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
               "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 9\r\nConnection: close\r\n\r\nPOST / []");
}

// The whole reply to a request that isn't served. The one to HEAD has no body.
std::string refusal(std::string_view text, std::string_view detail = {}, bool head = false) {
  const std::string body = std::string(text) + std::string(detail);
  return "HTTP/1.1 " + std::string(text) +
         "\r\nContent-Type: text/plain; charset=utf-8\r\nDATE\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + (head ? "" : body);
}

TEST(Connection, RefusesExactlyAndCloses) {
  const std::string rest = "\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n";
  const struct {
    std::string input;
    std::string want;
  } rows[] = {
      {"GET / HTTP/1.1\r\nX: 1" + rest, refusal("400 Bad Request", ": missing required Host header")},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b" + rest, refusal("400 Bad Request")},
      {"GET / HTTP/1.1\r\nHost: a b" + rest, refusal("400 Bad Request", ": malformed Host header")},
      {"GET / HTTP/1.1\r\nHost: a\r\nX : 1" + rest, refusal("400 Bad Request", ": invalid header name")},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: \x01" + rest, refusal("400 Bad Request", ": invalid header value")},
      {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2" + rest, refusal("400 Bad Request")},
      {"GET / HTTP/3.0\r\nHost: a" + rest, refusal("505 HTTP Version Not Supported", ": unsupported protocol version")},
      {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip" + rest,
       refusal("501 Not Implemented", ": Unsupported transfer encoding")},
      {"nonsense" + rest, refusal("400 Bad Request")},
      {"GET / HTTP/1.0\r\nX : 1" + rest, refusal("400 Bad Request", ": invalid header name")},
      {"GET / HTTP/1.1\r\nHost: [::1" + rest, refusal("400 Bad Request", ": malformed Host header")},
      {"CONNECT a:80 HTTP/1.1" + rest, refusal("400 Bad Request", ": missing required Host header")},
      {"\rGET / HTTP/1.1\r\nHost: a" + rest, refusal("400 Bad Request")},
      {"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a" + rest, refusal("400 Bad Request")},
      {"HEAD / HTTP/1.1\r\nHost: a b" + rest, refusal("400 Bad Request", ": malformed Host header", true)},
      {"HEAD /%zz HTTP/1.1\r\nHost: a" + rest, refusal("400 Bad Request", "", true)},
      {"HEAD / HTTP/2.0" + rest, refusal("505 HTTP Version Not Supported", ": unsupported protocol version", true)},
      {"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip" + rest,
       refusal("501 Not Implemented", ": Unsupported transfer encoding", true)},
  };
  for (const auto& row : rows) check_splits(echo, row.input, row.want);
  // After a good request, which is answered first. All leaves in one write.
  for (const auto& row : rows) {
    const Outcome outcome = serve(echo, {"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + row.input});
    EXPECT_EQ(outcome.output, ok("GET / []") + row.want);
    EXPECT_EQ(outcome.writes.size(), 1U);
    EXPECT_TRUE(outcome.write_closed);
    EXPECT_TRUE(outcome.log.empty());
  }
}

// A refusal says nothing of what the handler of the request before said.
TEST(Connection, RefusalsStartAfresh) {
  const Handler handler = [](ResponseWriter& w, Request& r) {
    w.header().set("X-Mine", "1");
    w.header().set("Content-Type", "t");
    w.header().set("Date", "");
    if (r.path() == "/large") static_cast<void>(w.write(std::string(40'000, 'x')));
  };
  const std::string bad = "GET / HTTP/1.1\r\n\r\n";
  const std::string want = refusal("400 Bad Request", ": missing required Host header");
  EXPECT_EQ(serve(handler, {"GET / HTTP/1.1\r\nHost: h\r\n\r\n" + bad}).output,
            "HTTP/1.1 200 OK\r\nX-Mine: 1\r\nContent-Type: t\r\nContent-Length: 0\r\n\r\n" + want);
  EXPECT_TRUE(
      serve(handler, {"GET /large HTTP/1.1\r\nHost: h\r\n\r\n" + bad}).output.ends_with("\r\n0\r\n\r\n" + want));
  EXPECT_TRUE(serve(handler, {"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + bad}).output.ends_with("\r\n\r\n" + want));
}

// Empty lines belong to the request that comes after them, so they don't let the connection wait for one.
TEST(Connection, SkipsAFewEmptyLinesWhateverTheSplit) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string bad = refusal("400 Bad Request");
  const std::string line = "\r\n";
  check_splits(echo, line + line + line + line + get, ok("GET / []"));
  check_splits(echo, line + line + line + line + line + get, bad);
  check_splits(echo, get + line + line + get + line + line + line + line + get,
               ok("GET / []") + ok("GET / []") + ok("GET / []"));
  check_splits(echo, get + line + line + line + line + line + get, ok("GET / []") + bad);
  check_splits(echo, get + "\r" + get, ok("GET / []") + bad);
  check_splits(echo, get + "\n" + get, ok("GET / []") + bad);
  check_splits(echo, get + line, ok("GET / []"));
}

// The time for a head runs from its first byte, and an empty line before it is its first.
TEST(Connection, EmptyLinesDontGainTime) {
  using namespace std::chrono_literals;
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  for (const std::vector<std::string>& pieces : {
           std::vector<std::string>{get, "\r\n", "\r\n", "\r", "\n", "G", get.substr(1), "\r\n", "\r\n", get},
           std::vector<std::string>{get, "\r", "\n\r\n\r\n", get, "\r\n" + get.substr(0, 3), get.substr(3)},
       }) {
    ServerOptions options{.handler = hello, .read_header_timeout = 1h, .idle_timeout = 1s};
    ScriptedConnection connection(std::move(options), pieces);
    const TimePoint start = now();
    connection.serve();
    EXPECT_EQ(connection->requests(), 3U);
    // The accept, and then in turn: a request that is awaited and one that has begun.
    std::string deadlines;
    for (const TimePoint deadline : connection.stream().read_deadlines) {
      deadlines += deadline - start >= 1h ? "head " : "idle ";
    }
    EXPECT_EQ(deadlines, "head idle head idle head idle ");
  }
}

TEST(Connection, LimitsHeadersAndBodies) {
  const std::string big = "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(2 << 20, 'x') + "\r\n\r\n";
  EXPECT_EQ(serve(echo, {big}).output, refusal("431 Request Header Fields Too Large"));
  EXPECT_EQ(serve(echo, {"GET / HTTP/1.1\r\nHost: a\r\n\r\n"}, {.max_header_bytes = 20}).output,
            refusal("431 Request Header Fields Too Large"));
  EXPECT_EQ(serve(echo, {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"}, {.max_body_bytes = 10}).output,
            refusal("413 Request Entity Too Large"));
  EXPECT_EQ(serve(echo, {"HEAD / HTTP/1.0\r\nHost: a\r\nContent-Length: 11\r\n\r\n"}, {.max_body_bytes = 10}).output,
            refusal("413 Request Entity Too Large", "", true));
  const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_EQ(serve(echo, {get + "HEAD / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n\r\n"}, {.max_header_bytes = 30}).output,
            ok("GET / []") + refusal("431 Request Header Fields Too Large", "", true));
  EXPECT_EQ(
      serve(echo, {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n6\r\n123456\r\n"},
            {.max_body_bytes = 10})
          .output,
      "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 44\r\nConnection: close\r\n\r\n"
      "POST / [error: http: request body too large]");
}

TEST(Connection, BrokenBodiesEndTheConnection) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto closing = [](const std::string& body) {
    return "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n" + body;
  };
  check_splits(echo, head + "5\r\nhelloX\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
               closing("POST / [error: malformed chunked encoding]"));
  check_splits(echo, head + "3\nabc\r\n0\r\n\r\n", closing("POST / [error: malformed chunked encoding]"));
  check_splits(echo, head + "3\r\nab", closing("POST / [error: unexpected EOF]"));
  check_splits(echo, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
               closing("POST / [error: unexpected EOF]"));
}

TEST(Connection, SaysContinueWhenTheBodyIsRead) {
  const std::string input = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_EQ(serve(echo, {input, "ab"}).output, interim + ok("POST / [ab]"));
  EXPECT_EQ(serve(echo, {input, "ab", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"}).output,
            interim + ok("POST / [ab]") + ok("GET / []"));
  // The handler doesn't read the body, so what follows can't be understood.
  EXPECT_EQ(serve(hello, {input, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"}).output,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDATE\r\nContent-Length: 5\r\nConnection: "
            "close\r\n\r\nhello");
  // There is nothing to ask for.
  EXPECT_EQ(serve(echo, {"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"}).output,
            ok("POST / []"));
  EXPECT_EQ(serve(echo, {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"}).output,
            "HTTP/1.0 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 10\r\n\r\nPOST / [x]");
  check_splits(hello, "POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\nContent-Length: 1\r\n\r\na",
               "HTTP/1.1 417 Expectation Failed\r\nDATE\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  // The earlier responses of a burst are not kept from a client that waits for "100 Continue".
  const Outcome burst = serve(echo, {"GET / HTTP/1.1\r\nHost: h\r\n\r\n" + input, "ab"});
  EXPECT_EQ(mask_dates(burst.writes.at(0)), ok("GET / []") + interim);
}

TEST(Connection, WritesOncePerBurst) {
  std::string burst;
  std::string want;
  for (int i = 0; i < 16; ++i) {
    burst += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
    want += ok("GET /" + std::to_string(i) + " []");
  }
  const Outcome outcome = serve(echo, {burst, burst});
  EXPECT_EQ(outcome.output, want + want);
  EXPECT_EQ(outcome.writes.size(), 2U);
  // A request that isn't whole yet keeps nothing back.
  const Outcome cut = serve(echo, {burst + "GET /", "x HTTP/1.1\r\nHost: h\r\n\r\n"});
  EXPECT_EQ(cut.output, want + ok("GET /x []"));
  EXPECT_EQ(cut.writes.size(), 2U);
  // Large output is not piled up.
  std::string many;
  for (int i = 0; i < 100; ++i) many += "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const Outcome large =
      serve([](ResponseWriter& w, Request&) { static_cast<void>(w.write(std::string(2000, 'x'))); }, {many});
  EXPECT_GT(large.writes.size(), 4U);
  for (const std::string& write : large.writes) EXPECT_LT(write.size(), 64U * 1024);
}

TEST(Connection, FramesByWhatTheHandlerWrote) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto body_of = [](std::size_t size) {
    return [size](ResponseWriter& w, Request&) {
      w.header().set("Content-Type", "t");
      for (std::size_t done = 0; done < size; done += 512)
        static_cast<void>(w.write(std::string(std::min<std::size_t>(512, size - done), 'x')));
    };
  };
  EXPECT_EQ(serve(body_of(0), {get}).output, ok(""));
  EXPECT_EQ(serve(body_of(2048), {get}).output, ok(std::string(2048, 'x')));
  const std::string chunked = serve(body_of(2049), {get + get}).output;
  const std::string one = "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n801\r\n" +
                          std::string(2049, 'x') + "\r\n0\r\n\r\n";
  EXPECT_EQ(chunked, one + one);
  const std::string http10 = serve(body_of(2049), {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get}).output;
  EXPECT_EQ(http10, "HTTP/1.0 200 OK\r\nContent-Type: t\r\nDATE\r\n\r\n" + std::string(2049, 'x'));
  EXPECT_EQ(serve(body_of(3), {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get}).output,
            "HTTP/1.0 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nxxx" +
                ok("xxx"));
  EXPECT_EQ(serve(body_of(3), {"GET / HTTP/1.0\r\n\r\n" + get}).output,
            "HTTP/1.0 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 3\r\n\r\nxxx");
  EXPECT_EQ(serve(body_of(3), {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + get}).output,
            "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 3\r\nConnection: close\r\n\r\nxxx");
}

TEST(Connection, SendsLargePiecesFromWhereTheyAre) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string piece(100000, 'x');
  const Outcome sized = serve(
      [&](ResponseWriter& w, Request&) {
        w.header().set("Content-Type", "t");
        w.header().set("Content-Length", "100000");
        EXPECT_EQ(w.write(piece).n, piece.size());
        EXPECT_EQ(w.write("y").ec, Errc::content_length);
      },
      {get + get});
  EXPECT_EQ(sized.output, ok(piece) + ok(piece));
  EXPECT_EQ(sized.writes.size(), 2U);
  const Outcome chunked = serve(
      [&](ResponseWriter& w, Request&) {
        w.header().set("Content-Type", "t");
        static_cast<void>(w.write("ab"));
        static_cast<void>(w.write(piece));
        static_cast<void>(w.write("cd"));
      },
      {get});
  EXPECT_EQ(chunked.output,
            "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n186a2\r\nab" + piece +
                "\r\n2\r\ncd\r\n0\r\n\r\n");
}

TEST(Connection, FlushSendsAndChunks) {
  const Outcome outcome = serve(
      [](ResponseWriter& w, Request&) {
        w.header().set("Content-Type", "t");
        EXPECT_FALSE(w.flush());
        static_cast<void>(w.write("a"));
        static_cast<void>(w.write("b"));
        EXPECT_FALSE(w.flush());
        static_cast<void>(w.write("c"));
      },
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\n"});
  ASSERT_EQ(outcome.writes.size(), 3U);
  EXPECT_EQ(mask_dates(outcome.writes[0]),
            "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(outcome.writes[1], "2\r\nab\r\n");
  EXPECT_EQ(outcome.writes[2], "1\r\nc\r\n0\r\n\r\n");
}

TEST(Connection, HeadHasTheFieldsOfGetAndNoBody) {
  const auto with = [](std::size_t size, bool declare) {
    return [=](ResponseWriter& w, Request&) {
      w.header().set("Content-Type", "t");
      if (declare) w.header().set("Content-Length", std::to_string(size));
      EXPECT_EQ(w.write(std::string(size, 'x')).n, size);
    };
  };
  const std::string head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string start = "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\n";
  EXPECT_EQ(serve(with(5, false), {head + get}).output, start + "Content-Length: 5\r\n\r\n" + ok("xxxxx"));
  EXPECT_EQ(serve(with(5000, false), {head}).output, start + "\r\n");
  EXPECT_EQ(serve(with(5000, true), {head + head}).output,
            start + "Content-Length: 5000\r\n\r\n" + start + "Content-Length: 5000\r\n\r\n");
  EXPECT_EQ(serve(with(0, false), {head}).output, start + "\r\n");
  EXPECT_EQ(
      serve(with(3, false), {"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get}).output,
      "HTTP/1.0 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n" + ok("xxx"));
}

TEST(Connection, SomeStatusesHaveNoBody) {
  const auto with = [](int code) {
    return [=](ResponseWriter& w, Request&) {
      w.header().set("Content-Type", "t");
      w.header().set("Content-Length", "7");
      w.header().set("Transfer-Encoding", "chunked");
      w.header().set("Etag", "e");
      w.write_header(code);
      EXPECT_EQ(w.write("x").ec, Errc::body_not_allowed);
    };
  };
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string no_content = "HTTP/1.1 204 No Content\r\nContent-Type: t\r\nEtag: e\r\nDATE\r\n\r\n";
  EXPECT_EQ(serve(with(204), {get + get}).output, no_content + no_content);
  const std::string not_modified = "HTTP/1.1 304 Not Modified\r\nEtag: e\r\nDATE\r\n\r\n";
  EXPECT_EQ(serve(with(304), {get + get}).output, not_modified + not_modified);
}

// It has no content, and says so by a length, because its status doesn't end the message.
TEST(Connection, ResetContentHasALengthOfZero) {
  const std::string start = "HTTP/1.1 205 Reset Content\r\n";
  const std::string end = "DATE\r\nContent-Length: 0\r\n\r\n";
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto plain = [](ResponseWriter& w, Request&) { w.write_header(205); };
  EXPECT_EQ(serve(plain, {get + head + get}).output, start + end + start + end + start + end);
  const auto misled = [](ResponseWriter& w, Request& r) {
    w.header().set("Content-Type", "t");
    w.header().set("Trailer", "X");
    if (r.path() == "/length") w.header().set("Content-Length", "7");
    if (r.path() == "/chunked") w.header().set("Transfer-Encoding", "chunked");
    w.write_header(205);
    EXPECT_EQ(w.write("x").ec, Errc::body_not_allowed);
    EXPECT_FALSE(w.flush());
    EXPECT_EQ(w.write(std::string(5000, 'x')).ec, Errc::body_not_allowed);
    EXPECT_EQ(w.bytes_written(), 0U);
    w.header().set("X", "1");
  };
  for (const std::string path : {"/", "/length", "/chunked"}) {
    EXPECT_EQ(serve(misled, {"GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n" + get}).output,
              start + "Content-Type: t\r\nTrailer: X\r\n" + end + start + "Content-Type: t\r\nTrailer: X\r\n" + end);
  }
  EXPECT_EQ(serve(plain, {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get}).output,
            "HTTP/1.0 205 Reset Content\r\nDATE\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n" + start + end);
}

TEST(Connection, GuardsTheHeader) {
  const Outcome outcome = serve(
      [](ResponseWriter& w, Request&) {
        w.header().set("Content-Type", "");
        w.header().set("Date", "");
        w.header().set("X-Split", "a\r\nSet-Cookie: b\x01");
        w.header().set("Bad Name", "x");
        w.header().set("", "x");
        w.header().set("Content-Length", "nonsense");
        w.write_header(299);
        w.header().set("Late", "x");
        w.write_header(500);
        static_cast<void>(w.write("x"));
      },
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\n"});
  EXPECT_EQ(outcome.output, "HTTP/1.1 299 status code 299\r\nX-Split: a  Set-Cookie: b \r\nContent-Length: 1\r\n\r\nx");
  ASSERT_EQ(outcome.log.size(), 2U);
  EXPECT_EQ(outcome.log[0], "http: invalid Content-Length of \"nonsense\"");
  EXPECT_EQ(outcome.log[1], "http: superfluous response.write_header call");
}

TEST(Connection, HonoursWhatTheHandlerSaysOfTheConnection) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto with = [](std::string name, std::string value, std::string body) {
    return [=](ResponseWriter& w, Request&) {
      w.header().set("Content-Type", "t");
      w.header().set(name, value);
      static_cast<void>(w.write(body));
    };
  };
  const std::string start = "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\n";
  EXPECT_EQ(serve(with("Connection", "close", "x"), {get + get}).output,
            start + "Content-Length: 1\r\nConnection: close\r\n\r\nx");
  EXPECT_EQ(serve(with("Connection", "X-Hop", "x"), {get}).output,
            start + "Content-Length: 1\r\nConnection: X-Hop\r\n\r\nx");
  EXPECT_EQ(serve(with("Transfer-Encoding", "identity", "x"), {get + get}).output,
            start + "Connection: close\r\n\r\nx");
  EXPECT_EQ(serve(with("Transfer-Encoding", "chunked", "x"), {get}).output,
            start + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
  // Only the end tells that a body is shorter than declared.
  EXPECT_EQ(serve(with("Content-Length", "3", "x"), {get + get}).output, start + "Content-Length: 3\r\n\r\nx");
}

TEST(Connection, SendsInterimResponsesAtOnce) {
  const Outcome outcome = serve(
      [](ResponseWriter& w, Request&) {
        w.header().set("Link", "</a>");
        w.write_header(103);
        w.header().set("Content-Type", "t");
        static_cast<void>(w.write("x"));
      },
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.0\r\n\r\n"});
  EXPECT_EQ(outcome.output,
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            "HTTP/1.1 200 OK\r\nLink: </a>\r\nContent-Type: t\r\nDATE\r\nContent-Length: 1\r\n\r\nx"
            "HTTP/1.0 200 OK\r\nLink: </a>\r\nContent-Type: t\r\nDATE\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_EQ(outcome.writes.size(), 2U);
}

TEST(Connection, GuessesTheContentType) {
  const auto with = [](std::string first, std::string second) {
    return [=](ResponseWriter& w, Request&) {
      static_cast<void>(w.write(first));
      static_cast<void>(w.write(second));
    };
  };
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto type_of = [&](std::string first, std::string second) {
    const std::string output = serve(with(first, second), {get}).output;
    const std::size_t start = output.find("Content-Type: ");
    return start == std::string::npos ? "" : output.substr(start + 14, output.find("\r\n", start) - start - 14);
  };
  EXPECT_EQ(type_of("{\"a\": 1}", ""), "text/plain; charset=utf-8");
  EXPECT_EQ(type_of("<htm", "l>"), "text/html; charset=utf-8");
  EXPECT_EQ(type_of("<htm", "l>" + std::string(5000, 'x')), "text/html; charset=utf-8");
  EXPECT_EQ(type_of(std::string(3, '\1'), ""), "application/octet-stream");
  EXPECT_EQ(type_of("\x89PNG\r\n\x1a\n", ""), "image/png");
  EXPECT_EQ(type_of("", ""), "");
}

TEST(Connection, ExceptionsBecomeA500) {
  const std::string failed =
      "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "X-Content-Type-Options: nosniff\r\nDATE\r\nContent-Length: 22\r\nConnection: close\r\n\r\n";
  const std::string sorry = "Internal Server Error\n";
  const std::string burst =
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /throw HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n";
  const Handler handler = [](ResponseWriter& w, Request& r) {
    echo(w, r);
    if (r.path() == "/throw") throw std::runtime_error("bad luck");
  };
  const Outcome outcome = serve(handler, {burst});
  EXPECT_EQ(outcome.output, ok("GET /1 []") + failed + sorry);
  EXPECT_EQ(outcome.writes.size(), 1U);
  EXPECT_TRUE(outcome.write_closed);
  ASSERT_EQ(outcome.log.size(), 1U);
  EXPECT_EQ(outcome.log[0], "http: panic serving 127.0.0.1:4711: GET \"/throw\": \"std::runtime_error: bad luck\"");

  const Outcome odd = serve([](ResponseWriter&, Request&) { throw 7; }, {burst});
  EXPECT_EQ(odd.output, failed + sorry);
  ASSERT_EQ(odd.log.size(), 1U);
  EXPECT_TRUE(odd.log[0].ends_with(": \"exception of type int\"")) << odd.log[0];

  const Outcome silent = serve([](ResponseWriter&, Request&) { throw AbortHandler(); }, {burst});
  EXPECT_EQ(silent.output, "");
  EXPECT_TRUE(silent.log.empty());

  const Outcome bad_code = serve([](ResponseWriter& w, Request&) { w.write_header(42); }, {burst});
  EXPECT_EQ(bad_code.output, failed + sorry);
  EXPECT_TRUE(bad_code.log.at(0).ends_with(": \"weft::Panic: invalid write_header code 42\"")) << bad_code.log[0];

  ScriptedConnection nameless({.handler = handler}, {burst});
  nameless.stream().remote = {};
  nameless.serve();
  EXPECT_TRUE(nameless.log().at(0).starts_with("http: panic serving a client whose address is not known: GET "));

  // Nothing that the handler said of its response stays: not its fields, its framing, its status or its body.
  for (const std::string method : {"GET", "HEAD"}) {
    const Outcome begun = serve(
        [](ResponseWriter& w, Request&) {
          w.header().set("Content-Length", "100");
          w.header().set("Trailer", "X");
          w.header().set("Content-Encoding", "gzip");
          w.write_header(103);
          w.write_header(204);
          throw std::runtime_error("bad luck");
        },
        {method + " / HTTP/1.1\r\nHost: h\r\n\r\n"});
    const std::string hints = "HTTP/1.1 103 Early Hints\r\nTrailer: X\r\nContent-Encoding: gzip\r\n\r\n";
    EXPECT_EQ(begun.output, hints + failed + (method == "GET" ? sorry : ""));
  }
  // Not a byte of this one has left, though it has been written.
  EXPECT_EQ(serve(
                [](ResponseWriter& w, Request&) {
                  for (int i = 0; i < 10; ++i) static_cast<void>(w.write(std::string(1000, 'x')));
                  throw std::runtime_error("bad luck");
                },
                {burst})
                .output,
            failed + sorry);

  // What was flushed is out; the end without a last chunk tells the client.
  const Outcome late = serve(
      [](ResponseWriter& w, Request&) {
        w.header().set("Content-Type", "t");
        static_cast<void>(w.write("x"));
        static_cast<void>(w.flush());
        static_cast<void>(w.write("y"));
        throw AbortHandler();
      },
      {burst});
  EXPECT_EQ(late.output, "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
}

// A response that has begun to leave is cut off, so that nobody takes it for a whole one.
TEST(Connection, ExceptionsCutOffWhatHasBegun) {
  for (const bool large : {false, true}) {
    const Outcome cut = serve(
        [large](ResponseWriter& w, Request&) {
          w.header().set("Content-Type", "t");
          static_cast<void>(w.write(std::string(large ? 20'000 : 1, 'x')));
          if (!large) static_cast<void>(w.flush());
          static_cast<void>(w.write("y"));
          throw std::runtime_error("bad luck");
        },
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"});
    EXPECT_EQ(cut.output, "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n" +
                              (large ? "4e20\r\n" + std::string(20'000, 'x') : "1\r\nx") + "\r\n");
    EXPECT_EQ(cut.log.size(), 1U);
  }
}

// What comes from outside can't make a line of its own in the log, nor end its quotes.
TEST(Connection, LogLinesQuoteTextFromOutside) {
  const std::string evil = "a\nhttp: all is well\r\x1b[2J\x7f\"\\ \xff";
  const std::string shown = R"(a\nhttp: all is well\r\x1b[2J\x7f\"\\ \xff)";
  const std::string get = "GET /%0a\"x HTTP/1.1\r\nHost: h\r\n\r\n";
  const Outcome thrown = serve([&](ResponseWriter&, Request&) { throw std::runtime_error(evil); }, {get});
  ASSERT_EQ(thrown.log.size(), 1U);
  EXPECT_EQ(thrown.log[0],
            R"(http: panic serving 127.0.0.1:4711: GET "/%0a\"x": "std::runtime_error: )" + shown + "\"");
  EXPECT_EQ(serve([&](ResponseWriter&, Request&) { throw std::string(evil); }, {get}).log.at(0),
            R"(http: panic serving 127.0.0.1:4711: GET "/%0a\"x": ")" + shown + "\"");
  const Outcome field = serve([&](ResponseWriter& w, Request&) { w.header().set("Content-Length", evil); }, {get});
  EXPECT_EQ(field.log.at(0), "http: invalid Content-Length of \"" + shown + "\"");
  EXPECT_EQ(serve([](ResponseWriter&, Request&) { throw std::runtime_error("\u00fc"); }, {get}).log.at(0).find("\\"),
            std::string("http: panic serving 127.0.0.1:4711: GET \"/%0a").size())
      << "letters stay as they are";
}

TEST(Connection, DrainsAtMostAQuarterMegabyte) {
  const auto post = [](std::size_t size) {
    return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" +
           std::string(size, 'x') + "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  };
  const Handler ignore = [](ResponseWriter& w, Request&) {
    w.header().set("Content-Type", "t");
    static_cast<void>(w.write("x"));
  };
  EXPECT_EQ(serve(ignore, {post(256 * 1024)}).output, ok("x") + ok("x"));
  const Outcome large = serve(ignore, {post(256 * 1024 + 1)});
  EXPECT_EQ(large.output,
            "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
  EXPECT_TRUE(large.write_closed);
  // This body has no declared length, and its end doesn't come within the bound. The response can't tell.
  std::string chunks = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 300; ++i) chunks += "400\r\n" + std::string(1024, 'x') + "\r\n";
  chunks += "0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const Outcome chunked = serve(ignore, {chunks});
  EXPECT_EQ(chunked.output, ok("x"));
  EXPECT_TRUE(chunked.write_closed);
}

TEST(Connection, LargeHeadsAndBodiesStayInPlace) {
  const std::string value(20000, 'v');
  const std::string body(100000, 'b');
  for (const std::size_t step : {1U, 1000U, 4096U, 1000000U}) {
    std::string all =
        "POST /" + value + " HTTP/1.1\r\nHost: h\r\nX: " + value + "\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (std::size_t i = 0; i < body.size(); i += 10000) all += "2710\r\n" + body.substr(i, 10000) + "\r\n";
    all += "0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    std::vector<std::string> pieces;
    for (std::size_t i = 0; i < all.size(); i += step) pieces.push_back(all.substr(i, step));
    int requests = 0;
    static_cast<void>(serve(
        [&](ResponseWriter&, Request& r) {
          if (requests++ > 0) return;
          EXPECT_EQ(r.read_body(1 << 20).value(), body);
          EXPECT_EQ(r.header().get("X"), value);
          EXPECT_EQ(r.path(), "/" + value);
        },
        pieces));
    EXPECT_EQ(requests, 2);
  }
}

TEST(Connection, AnswersOptionsAsterisk) {
  const std::string options = "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string want = "HTTP/1.1 200 OK\r\nDATE\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(serve(hello, {options + options}).output, want + want);
}

TEST(Connection, TellsVersionAndScheme) {
  const Handler handler = [](ResponseWriter& w, Request& r) {
    w.header().set("Content-Type", "t");
    static_cast<void>(w.write(std::string(r.scheme()) + " " + std::to_string(r.version().major) + "." +
                              std::to_string(r.version().minor) + (r.version() < Version{1, 1} ? " old" : "")));
  };
  const std::string absolute = "GET https://h/ HTTP/1.1\r\nHost: h\r\n\r\n";
  EXPECT_EQ(serve(handler, {absolute}).output, ok("http 1.1"));
  EXPECT_EQ(serve(handler, {"GET / HTTP/1.0\r\n\r\n"}).output,
            "HTTP/1.0 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 12\r\n\r\nhttp 1.0 old");
  ScriptedConnection secure({.handler = handler}, {absolute}, true);
  secure.serve();
  EXPECT_EQ(mask_dates(secure.stream().output()), ok("https 1.1"));
}

TEST(Connection, TellsStatusAndBytesWritten) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto outcome = serve(
      [](ResponseWriter& w, Request& r) {
        EXPECT_EQ(w.unwrap(), nullptr);
        EXPECT_EQ(w.status(), 0);
        EXPECT_EQ(w.bytes_written(), 0U);
        w.write_header(103);
        EXPECT_EQ(w.status(), 0);
        w.write_header(201);
        EXPECT_EQ(w.status(), 201);
        static_cast<void>(w.write(std::string(3000, 'x')));
        static_cast<void>(w.write("y"));
        EXPECT_EQ(w.bytes_written(), 3001U) << r.method();
      },
      {get, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + get});
  EXPECT_TRUE(outcome.log.empty());
}

// The body stays with the handler until it returns, with full duplex and without.
TEST(Connection, TheBodyCanBeReadAfterTheResponseBegan) {
  const auto with = [](bool full_duplex) {
    return [=](ResponseWriter& w, Request& r) {
      if (full_duplex) {
        EXPECT_FALSE(w.enable_full_duplex());
      }
      w.header().set("Content-Type", "t");
      static_cast<void>(w.flush());
      const auto body = r.read_body(100);
      static_cast<void>(w.write(body ? *body : body.error().message()));
    };
  };
  const std::string post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string full = head + "3\r\nabc\r\n0\r\n\r\n";
  for (const bool full_duplex : {false, true}) {
    EXPECT_EQ(serve(with(full_duplex), {post + "abc" + post + "abc"}).output, full + full);
    EXPECT_EQ(serve(with(full_duplex), {post, "a", "bc"}).output, full);
  }
}

// What a handler leaves of the body is read after the response, and ends the connection when it is long.
TEST(Connection, TheResponseDoesntWaitForTheBody) {
  const Handler handler = [](ResponseWriter& w, Request&) {
    w.header().set("Content-Type", "t");
    static_cast<void>(w.write("x"));
  };
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto post = [](std::size_t size) {
    return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
  };
  const Outcome late = serve(handler, {post(3), "abc", get});
  EXPECT_EQ(late.output, ok("x") + ok("x"));
  ASSERT_EQ(late.writes.size(), 2U);
  EXPECT_EQ(mask_dates(late.writes[0]), ok("x")) << "the response doesn't wait for the body";
  const Outcome chunked =
      serve(handler, {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na", "b\r\n0\r\n\r\n", get});
  EXPECT_EQ(chunked.output, ok("x") + ok("x"));
  ASSERT_EQ(chunked.writes.size(), 2U);
  EXPECT_EQ(mask_dates(chunked.writes[0]), ok("x"));
  // A body that is here makes no more writes of a burst.
  EXPECT_EQ(serve(handler, {post(3) + "abc" + post(3) + "abc" + get}).writes.size(), 1U);
  const std::string closing =
      "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
  EXPECT_EQ(serve(handler, {post(1 << 20), std::string(1 << 20, 'x'), get}).output, closing);
  EXPECT_EQ(serve(handler, {post(3) + "ab"}).output, ok("x"));
  // What is here is broken.
  EXPECT_EQ(serve(handler, {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n" + get}).output,
            closing);
}

// The body that a handler puts in place lives on its stack.
TEST(Connection, ABodyPutInPlaceLastsForItsRequest) {
  class Wrapper final : public Body {
   public:
    explicit Wrapper(Body& below) : below_(below) {}
    IoResult read(std::span<char> buffer) override { return below_.read(buffer); }

   private:
    Body& below_;
  };
  const Body* wrapped = nullptr;
  const Handler handler = [&](ResponseWriter& w, Request& r) {
    if (r.path() == "/wrap") {
      Wrapper wrapper(r.body());
      r.set_body(wrapper);
      wrapped = &wrapper;
      return echo(w, r);
    }
    ASSERT_NE(&r.body(), wrapped);
    echo(w, r);
  };
  check_splits(handler,
               "POST /wrap HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na"
               "POST /plain HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nb",
               ok("POST /wrap [a]") + ok("POST /plain [b]"));
}

TEST(Connection, StatusIsNeverAnInterimOne) {
  for (const bool hijacks : {false, true}) {
    int status = -1;
    serve(
        [&](ResponseWriter& w, Request&) {
          w.write_header(103);
          if (hijacks) static_cast<void>(w.hijack());
          status = w.status();
        },
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n"}, {}, !hijacks);
    EXPECT_EQ(status, 0) << hijacks;
  }
}

// What write() refuses or loses isn't counted.
TEST(Connection, CountsTheBytesThatWereTaken) {
  std::uint64_t written = 0;
  const Handler handler = [&](ResponseWriter& w, Request&) {
    EXPECT_EQ(w.write("abc").n, 3U);
    EXPECT_FALSE(w.flush());
    const std::string large(100'000, 'x');
    std::uint64_t taken = 3;
    for (int i = 0; i < 3; ++i) taken += w.write(large).n;
    written = w.bytes_written();
    EXPECT_EQ(written, taken);
  };
  ServerOptions options;
  options.handler = handler;
  ScriptedConnection connection(std::move(options), {"GET / HTTP/1.1\r\nHost: h\r\n\r\n"});
  connection.stream().fail_writes_after = 2;
  connection.serve();
  EXPECT_EQ(written, 100'003U);
}

// A long body that the handler hasn't read when the response begins will hardly be read, unless the handler says so.
TEST(Connection, FullDuplexLeavesTheJudgementToTheEnd) {
  for (const bool full_duplex : {false, true}) {
    const Handler handler = [full_duplex](ResponseWriter& w, Request& r) {
      EXPECT_TRUE(!full_duplex || !w.enable_full_duplex());
      w.header().set("Content-Type", "t");
      w.header().set("Content-Length", "1");
      EXPECT_FALSE(w.flush());
      EXPECT_EQ(r.read_body(1 << 20).value_or("").size(), static_cast<std::size_t>(r.content_length()));
      EXPECT_EQ(w.write("x").n, 1U);
      EXPECT_FALSE(w.enable_full_duplex()) << "at any time";
    };
    const std::string next = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    const std::string post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    const std::string output = serve(handler, {post + std::string(1'000'000, 'b') + next}).output;
    EXPECT_EQ(output, full_duplex ? ok("x") + ok("x")
                                  : "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 1\r\n"
                                    "Connection: close\r\n\r\nx");
  }
}

// A full duplex handler leaves a body that is too long to be read for the sake of the next request.
TEST(Connection, FullDuplexDrainsAtMostAQuarterMegabyte) {
  const Handler handler = [](ResponseWriter& w, Request&) {
    EXPECT_FALSE(w.enable_full_duplex());
    w.header().set("Content-Type", "t");
    EXPECT_EQ(w.write("x").n, 1U);
    EXPECT_FALSE(w.flush());
  };
  const std::string start =
      "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
  const std::string next = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  for (const std::size_t size : {256 * 1024, 256 * 1024 + 1}) {
    const std::string post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" +
                             std::string(size, 'b') + next;
    EXPECT_EQ(serve(handler, {post}).output, size > 256 * 1024 ? start : start + start) << size;
  }
}

// What a handler says of its own response doesn't hold for the earlier ones of the burst.
TEST(Connection, AWriteDeadlineIsForItsResponseAlone) {
  ServerOptions options;
  ScriptedStream* stream = nullptr;
  options.handler = [&stream](ResponseWriter& w, Request& r) {
    if (r.path() == "/2") {
      EXPECT_EQ(stream->writes.size(), 0U);
      w.write_header(200);
      EXPECT_FALSE(w.set_write_deadline(TimePoint(std::chrono::nanoseconds(1))));
      ASSERT_EQ(stream->writes.size(), 1U);
      EXPECT_EQ(mask_dates(stream->writes[0]), ok("/1"));
      EXPECT_FALSE(w.set_write_deadline(kNoDeadline));
      EXPECT_EQ(stream->writes.size(), 1U);
    }
    w.header().set("Content-Type", "t");
    EXPECT_EQ(w.write(r.path()).n, 2U);
  };
  ScriptedConnection connection(std::move(options),
                                {"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"});
  stream = &connection.stream();
  connection.serve();
  EXPECT_TRUE(stream->output().ends_with("/2"));
}

TEST(Connection, CountsRequests) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  ScriptedConnection connection({.handler = hello}, {get + get, get});
  EXPECT_EQ(connection->state(), detail::ConnectionState::fresh);
  connection.serve();
  EXPECT_EQ(connection->requests(), 3U);
  EXPECT_FALSE(connection.forgotten());
}

}  // namespace
}  // namespace weft::http
