// Tests of Header, Request, and the helpers for URLs.
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "http/src/message/chars.h"
#include "http/src/message/url.h"
#include "weft/http/errc.h"
#include "weft/http/header.h"
#include "weft/http/helpers.h"
#include "weft/http/status.h"
#include "weft/http/testing.h"

namespace weft::http {
namespace {

using http::testing::Recorder;
using http::testing::TestRequest;

TEST(Header, ComparesNamesWithoutCase) {
  Header header{{"Content-Type", "text/plain"}, {"X", "1"}, {"x", "2"}};
  EXPECT_EQ(header.get("content-TYPE"), "text/plain");
  EXPECT_EQ(header.values("X"), (std::vector<std::string_view>{"1", "2"}));
  header.set("x", "3");
  EXPECT_EQ(header.values("X"), (std::vector<std::string_view>{"3"}));
  header.add("X", "4");
  EXPECT_EQ(header.size(), 3U);
  EXPECT_EQ(header.erase("X"), 2U);
  EXPECT_FALSE(header.has("x"));
  EXPECT_EQ(header.get("x"), "");
}

TEST(Header, CopiesItsText) {
  Header copy;
  {
    std::string name = "Name";
    std::string value(2000, 'v');
    Header header;
    header.set(name, value);
    header.set("Other", header.get("Name"));
    name = value = "gone";
    copy = header;
    header.clear();
    header.set("Name", "reused");
  }
  EXPECT_EQ(copy.get("Name"), std::string(2000, 'v'));
  EXPECT_EQ(copy.get("Other"), std::string(2000, 'v'));
  const Header moved = std::move(copy);
  EXPECT_EQ(moved.get("Name"), std::string(2000, 'v'));
  copy = Header{{"A", "b"}};
  EXPECT_EQ(copy.get("A"), "b");
}

TEST(Header, FindsTokensInLists) {
  EXPECT_TRUE(has_token("close", "close"));
  EXPECT_TRUE(has_token("a, Close ,b", "close"));
  EXPECT_FALSE(has_token("closed", "close"));
  EXPECT_FALSE(has_token("", "close"));
}

TEST(Chars, FindsControlCharactersAtEveryPlace) {
  for (std::size_t size = 0; size < 40; ++size) {
    for (std::size_t place = 0; place <= size; ++place) {
      for (const char c : {'\0', '\x1f', '\x7f', '\t', '\n'}) {
        std::string text(size, '\xff');
        if (place > 0) text[place - 1] = ' ';
        if (place < size) text[place] = c;
        EXPECT_EQ(detail::find_control(text.data(), text.data() + size) - text.data(), static_cast<long>(place));
      }
    }
  }
}

TEST(Url, CleansPaths) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"", "/"},
      {"/", "/"},
      {"//", "/"},
      {"/a", "/a"},
      {"/a/", "/a/"},
      {"/a//b", "/a/b"},
      {"/a/./b", "/a/b"},
      {"/a/../b", "/b"},
      {"/..", "/"},
      {"/../a", "/a"},
      {"/a/.", "/a"},
      {"/a/..", "/"},
      {"/a/b/../", "/a/"},
      {"/.a", "/.a"},
      {"/..a", "/..a"},
      {"/a..", "/a.."},
      {"/%2e%2e", "/%2e%2e"},
  };
  for (const auto& [path, want] : rows) {
    EXPECT_EQ(detail::clean_path(path), want) << path;
    EXPECT_EQ(detail::is_clean_path(path), path == want) << path;
  }
}

TEST(Request, DecodesPathAndQuery) {
  TestRequest request({.target = "/a%20b/%2F?x=1&y=a+b%21&y=2&flag&bad=%zz&%78z=3&e="});
  const Request& r = *request;
  EXPECT_EQ(r.path(), "/a b//");
  EXPECT_EQ(r.raw_path(), "/a%20b/%2F");
  EXPECT_EQ(r.query_value("x"), "1");
  EXPECT_EQ(r.query_value("y"), "a b!");
  EXPECT_EQ(r.query_value("flag"), "");
  EXPECT_EQ(r.query_value("e"), "");
  EXPECT_EQ(r.query_value("bad"), std::nullopt);
  EXPECT_EQ(r.query_value("xz"), "3");
  EXPECT_EQ(r.query_value("none"), std::nullopt);
}

class TextBody final : public Body {
 public:
  TextBody(std::string_view text, std::size_t step) : text_(text), step_(step) {}
  IoResult read(std::span<char> buffer) override {
    if (text_.empty()) return {0, weft::make_error_code(weft::Errc::eof)};
    const std::size_t n = text_.copy(buffer.data(), std::min(buffer.size(), step_));
    text_.remove_prefix(n);
    return {n, {}};
  }

 private:
  std::string_view text_;
  std::size_t step_;
};

TEST(Request, ReadsItsBodyUpToALimit) {
  const std::string text(10000, 'x');
  for (const std::size_t step : {1U, 7U, 4096U, 100000U}) {
    for (const std::size_t limit : {10000U, 10001U, 1U << 30}) {
      TestRequest request({.method = "POST"});
      TextBody body(text, step);
      request->set_body(body);
      EXPECT_EQ(request->read_body(limit).value(), text);
    }
    for (const std::size_t limit : {0U, 1U, 9999U}) {
      TestRequest request({.method = "POST"});
      TextBody body(text, step);
      request->set_body(body);
      EXPECT_EQ(request->read_body(limit).error().code(), Errc::body_too_large);
    }
  }
  TestRequest none;
  EXPECT_EQ(none->read_body(0).value(), "");
}

TEST(Request, ContextIsCancelledForWhatWasMadeFromIt) {
  TestRequest request;
  const Context first = request->context();
  request->set_context(with_value<int>(first, 7));
  const Context second = request->context();
  EXPECT_EQ(*second.value<int>(), 7);
  EXPECT_FALSE(second.err());
  request.cancel();
  EXPECT_TRUE(first.err() == Condition::canceled);
  EXPECT_TRUE(second.err() == Condition::canceled);
}

TEST(Helpers, Redirect) {
  const struct {
    std::string_view target, url, want;
  } rows[] = {
      {"/a/b", "/x", "/x"},
      {"/a/b", "x", "/a/x"},
      {"/a/b", "../x/", "/x/"},
      {"/a/b", "x?y=../z", "/a/x?y=../z"},
      {"/a/b", "?q", "/a/?q"},
      {"/a/b", "http://o/../x", "http://o/../x"},
      {"/a/b", "//o/x", "//o/x"},
      {"/a/b", "/\xc3\xa9", "/%c3%a9"},
      {"/a/b", "mailto:x", "mailto:x"},
  };
  for (const auto& row : rows) {
    TestRequest request({.target = std::string(row.target)});
    Recorder w;
    redirect(w, request, row.url, 302);
    EXPECT_EQ(w.code(), 302);
    EXPECT_EQ(w.sent_header().get("Location"), row.want);
  }
  TestRequest get;
  Recorder w;
  redirect(w, get, "/x?a=<&b", 301);
  EXPECT_EQ(w.body(), "<a href=\"/x?a=&lt;&amp;b\">Moved Permanently</a>.\n\n");
  EXPECT_EQ(w.sent_header().get("Content-Type"), "text/html; charset=utf-8");
  TestRequest post({.method = "POST"});
  Recorder quiet;
  redirect(quiet, post, "/x", 307);
  EXPECT_EQ(quiet.body(), "");
  EXPECT_FALSE(quiet.sent_header().has("Content-Type"));
}

TEST(Helpers, Error) {
  Recorder w;
  w.header().set("Content-Length", "5");
  w.header().set("Content-Encoding", "gzip");
  error(w, "no", 502);
  EXPECT_EQ(w.code(), 502);
  EXPECT_EQ(w.body(), "no\n");
  EXPECT_FALSE(w.sent_header().has("Content-Length"));
  EXPECT_FALSE(w.sent_header().has("Content-Encoding"));
}

TEST(Status, KnowsItsTexts) {
  EXPECT_EQ(status_text(418), "I'm a teapot");
  EXPECT_EQ(status_text(799), "");
}

}  // namespace
}  // namespace weft::http
