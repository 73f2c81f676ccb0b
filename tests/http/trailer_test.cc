// Trailer fields, in requests and in responses, byte for byte.
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "http/serve_bytes.h"
#include "http/src/message/trailers.h"
#include "weft/http/testing.h"

namespace weft::http {
namespace {

using test::check_splits;
using test::ok;
using test::serve;

std::string list(const Header& header) {
  std::string text;
  for (const Header::Field& field : header) text += " " + std::string(field.name) + "=" + std::string(field.value);
  return text;
}

// Says which trailer fields there were before the body was read and after.
void tell_trailer(ResponseWriter& w, Request& r) {
  const std::string before = list(r.trailer());
  const auto body = r.read_body(1 << 20);
  w.header().set("Content-Type", "t");
  static_cast<void>(
      w.write("[" + before + "|" + (body ? *body : body.error().message()) + "|" + list(r.trailer()) + "]"));
}

std::string post(const std::string& fields, const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n" + body;
}

TEST(Trailer, ComesAfterTheBodyOfARequest) {
  check_splits(tell_trailer, post("Trailer: Sum\r\n", "3\r\nabc\r\n0\r\nSum:  6 \t\r\nsum: 7\r\n\r\n"),
               ok("[|abc| Sum=6 sum=7]"));
  // Nobody has to announce them.
  check_splits(tell_trailer, post("", "0\r\nX: 1\r\nY:\r\n\r\n"), ok("[|| X=1 Y=]"));
  check_splits(tell_trailer, post("Trailer: Sum\r\n", "0\r\n\r\n"), ok("[||]"));
}

TEST(Trailer, BelongsToItsRequestAlone) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  EXPECT_EQ(serve(tell_trailer, {post("", "0\r\nX: 1\r\n\r\n") + get + post("", "0\r\nY: 2\r\n\r\n")}).output,
            ok("[|| X=1]") + ok("[||]") + ok("[|| Y=2]"));
  // A handler that leaves the body to the server.
  const Handler ignore = [](ResponseWriter& w, Request& r) {
    w.header().set("Content-Type", "t");
    static_cast<void>(w.write(list(r.trailer())));
  };
  EXPECT_EQ(serve(ignore, {post("", "1\r\na\r\n0\r\nX: 1\r\n\r\n") + get}).output, ok("") + ok(""));
}

TEST(Trailer, DropsWhatMustBeKnownBefore) {
  std::string section = "Good: 1\r\n";
  for (const std::string_view name : {"Transfer-Encoding",
                                      "content-length",
                                      "Host",
                                      "Trailer",
                                      "TE",
                                      "Connection",
                                      "Authorization",
                                      "Cookie",
                                      "Set-Cookie",
                                      "Content-Type",
                                      "Content-Encoding",
                                      "Content-Range",
                                      "Content-Disposition",
                                      "content-language",
                                      "Content-Location",
                                      "Range",
                                      "If-Match",
                                      "if-none-match",
                                      "Cache-Control",
                                      "Expect",
                                      "Max-Forwards",
                                      "Proxy-Authorization",
                                      "WWW-Authenticate",
                                      "Upgrade",
                                      "Date"}) {
    section += std::string(name) + ": chunked\r\n";
    EXPECT_FALSE(detail::may_be_trailer(name)) << name;
  }
  EXPECT_EQ(serve(tell_trailer, {post("", "0\r\n" + section + "Iffy: 2\r\n\r\n")}).output, ok("[|| Good=1 Iffy=2]"));
  EXPECT_TRUE(detail::may_be_trailer("content-digest"));
  EXPECT_TRUE(detail::may_be_trailer("Content"));
  EXPECT_FALSE(detail::may_be_trailer(""));
  EXPECT_FALSE(detail::may_be_trailer("a b"));
}

TEST(Trailer, BrokenSectionsGiveNone) {
  EXPECT_EQ(serve(tell_trailer, {post("", "0\r\nX: 1\r\nbad line\r\n\r\n")}).output,
            "HTTP/1.1 200 OK\r\nContent-Type: t\r\nDATE\r\nContent-Length: 21\r\nConnection: close\r\n\r\n"
            "[|malformed trailer|]");
}

constexpr std::string_view kStart = "HTTP/1.1 200 OK\r\nContent-Type: t\r\n";
constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

// A handler that announces, writes, and then sets the fields.
Handler with_trailer(std::string announced, std::vector<std::pair<std::string, std::string>> fields,
                     std::string body = "x") {
  return [=](ResponseWriter& w, Request&) {
    w.header().set("Content-Type", "t");
    if (!announced.empty()) w.header().set("Trailer", announced);
    static_cast<void>(w.write(body));
    for (const auto& [name, value] : fields) w.header().add(name, value);
  };
}

TEST(Trailer, OfAResponseIsAnnouncedOrPrefixed) {
  const std::string get(kGet);
  const std::string one = std::string(kStart) +
                          "Trailer: A, b\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
                          "B: 1\r\nA: 2\r\nA: 3\r\n\r\n";
  EXPECT_EQ(serve(with_trailer("A, b", {{"B", "1"}, {"A", "2"}, {"C", "no"}, {"A", "3"}}), {get + get}).output,
            one + one);
  // With the prefix nothing is announced, and a short body is chunked, too.
  for (const std::size_t size : {0, 1, 3000}) {
    const std::string body(size, 'x');
    const std::string chunk = size == 0 ? "" : (size == 1 ? "1" : "bb8") + ("\r\n" + body + "\r\n");
    EXPECT_EQ(serve(with_trailer("", {{"tRAILER:Sum", "6"}}, body), {get}).output,
              std::string(kStart) + "DATE\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + "0\r\nSum: 6\r\n\r\n");
  }
  EXPECT_EQ(serve(with_trailer("", {{"Trailer-Sum", "6"}, {"Trailer:", "7"}}), {get}).output, ok("x"));
  // A prefixed field that stands there before the body makes the body chunked.
  const Handler early = [](ResponseWriter& w, Request&) {
    w.header().set("Content-Type", "t");
    w.header().set("Trailer:Sum", "5");
    static_cast<void>(w.write("x"));
    w.header().set("Trailer:Sum", "6");
  };
  EXPECT_EQ(serve(early, {get}).output,
            std::string(kStart) + "DATE\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nSum: 6\r\n\r\n");
  // There may be nothing but an announcement.
  EXPECT_EQ(serve(with_trailer("A", {}, ""), {get}).output,
            std::string(kStart) + "Trailer: A\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

TEST(Trailer, OfAResponseIsGuarded) {
  const Handler handler = with_trailer("Content-Length, Set-Cookie, Good", {{"Content-Length", "7"},
                                                                            {"Set-Cookie", "a"},
                                                                            {"Good", "1\r\nEvil: 2"},
                                                                            {"Trailer:Bad Name", "3"},
                                                                            {"Trailer:", "4"},
                                                                            {"Trailer:Host", "5"}});
  EXPECT_EQ(serve(handler, {std::string(kGet)}).output,
            std::string(kStart) +
                "Trailer: Content-Length, Set-Cookie, Good\r\nDATE\r\nTransfer-Encoding: chunked\r\n" +
                "\r\n1\r\nx\r\n0\r\nGood: 1  Evil: 2\r\n\r\n");
}

TEST(Trailer, OfAResponseIsDroppedWhereThereAreNoChunks) {
  const Handler handler = with_trailer("A", {{"A", "1"}, {"Trailer:B", "2"}});
  EXPECT_EQ(
      serve(handler, {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"}).output,
      "HTTP/1.0 200 OK\r\nContent-Type: t\r\nTrailer: A\r\nDATE\r\nContent-Length: 1\r\nConnection: keep-alive\r\n"
      "\r\nx");
  EXPECT_EQ(serve(handler, {"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + std::string(kGet)}).output,
            std::string(kStart) + "Trailer: A\r\nDATE\r\n\r\n" + std::string(kStart) +
                "Trailer: A\r\nDATE\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: 1\r\nB: 2\r\n\r\n");
  const Handler sized = [&](ResponseWriter& w, Request& r) {
    w.header().set("Content-Length", "1");
    handler(w, r);
  };
  EXPECT_EQ(serve(sized, {std::string(kGet) + std::string(kGet)}).output,
            "HTTP/1.1 200 OK\r\nContent-Type: t\r\nTrailer: A\r\nDATE\r\nContent-Length: 1\r\n\r\nx"
            "HTTP/1.1 200 OK\r\nContent-Type: t\r\nTrailer: A\r\nDATE\r\nContent-Length: 1\r\n\r\nx");
}

TEST(Trailer, RecorderAndTestRequestHaveIt) {
  http::testing::TestRequest request(
      {.method = "POST", .body = "abc", .trailer = {{"Sum", "6"}, {"Content-Length", "9"}}});
  http::testing::Recorder recorder;
  EXPECT_EQ(request->content_length(), -1);
  tell_trailer(recorder, request);
  EXPECT_EQ(recorder.body(), "[|abc| Sum=6]");
  http::testing::Recorder sent;
  http::testing::TestRequest get;
  with_trailer("A", {{"A", "1"}, {"Trailer:B", "2"}, {"C", "3"}, {"Trailer:Host", "h"}})(sent, get);
  EXPECT_EQ(list(sent.trailer()), " A=1 B=2");
  EXPECT_EQ(list(sent.sent_header()), " Content-Type=t Trailer=A");
}

TEST(Trailer, RecorderDropsItWhereAServerHasNoChunks) {
  const std::vector<std::pair<Header, bool>> cases = {
      {{}, true},
      {{{"Content-Length", "1"}}, false},
      {{{"Content-Length", "many"}}, true},
      {{{"Content-Length", "1"}, {"Transfer-Encoding", "chunked"}}, true},
      {{{"Content-Length", "1"}, {"Transfer-Encoding", "identity"}}, false},
      {{{"Transfer-Encoding", "identity"}}, false},
  };
  for (const auto& [fields, has_trailer] : cases) {
    SCOPED_TRACE(list(fields));
    const Handler handler = [&fields = fields](ResponseWriter& w, Request&) {
      for (const Header::Field& field : fields) w.header().add(field.name, field.value);
      w.header().set("Content-Type", "t");
      static_cast<void>(w.write("x"));
      w.header().set("Trailer:Sum", "6");
    };
    http::testing::Recorder recorder;
    http::testing::TestRequest request;
    handler(recorder, request);
    EXPECT_EQ(list(recorder.trailer()), has_trailer ? " Sum=6" : "");
    EXPECT_EQ(serve(handler, {std::string(kGet)}).output.find("Sum: 6") != std::string::npos, has_trailer);
  }
  http::testing::Recorder empty;
  empty.header().set("Trailer:Sum", "6");
  EXPECT_EQ(list(empty.trailer()), " Sum=6");
  empty.write_header(204);
  EXPECT_EQ(list(empty.trailer()), "");
}

}  // namespace
}  // namespace weft::http
