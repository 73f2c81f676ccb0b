#include "weft/http/mux.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/src/mux/pattern.h"
#include "weft/http/testing.h"

namespace weft::http {
namespace {

using http::testing::Recorder;
using http::testing::TestRequest;

// Returns "200 <pattern> name=value ..." or "<status> <Location or Allow>".
std::string ask(const ServeMux& mux, std::string_view method, std::string_view target, std::string_view host = "h") {
  TestRequest request({.method = std::string(method), .target = std::string(target), .host = std::string(host)});
  Recorder recorder;
  mux(recorder, request);
  std::string answer = std::to_string(recorder.code());
  if (recorder.code() == 200) return answer + " " + recorder.body();
  for (const std::string_view name : {"Location", "Allow"}) {
    if (recorder.sent_header().has(name)) answer += " " + std::string(recorder.sent_header().get(name));
  }
  return answer;
}

// Makes a mux that answers with the pattern and the values of some names.
ServeMux make_mux(const std::vector<std::string>& patterns) {
  ServeMux mux;
  for (const std::string& pattern : patterns) {
    mux.handle(pattern, [](ResponseWriter& w, Request& r) {
      std::string body(r.pattern());
      for (const std::string_view name : {"a", "b", "id", "path", "rest"}) {
        if (!r.path_value(name).empty()) body += " " + std::string(name) + "=" + std::string(r.path_value(name));
      }
      static_cast<void>(w.write(body));
    });
  }
  return mux;
}

struct Row {
  std::string_view method;
  std::string_view target;
  std::string_view want;
  std::string_view host = "h";
};

void check(const std::vector<std::string>& patterns, const std::vector<Row>& rows) {
  const std::vector<std::string> reversed(patterns.rbegin(), patterns.rend());
  for (const auto& order : {patterns, reversed}) {
    const ServeMux mux = make_mux(order);
    for (const Row& row : rows) {
      EXPECT_EQ(ask(mux, row.method, row.target, row.host), row.want)
          << row.method << " " << row.target << " " << row.host;
    }
  }
}

TEST(Mux, MostSpecificPatternWinsWhateverTheOrder) {
  check({"/", "/a/", "/a/b", "/a/{id}", "/a/{id}/c", "GET /a/b", "/z/b/{rest...}", "h2/", "h2/a/b"},
        {{"GET", "/", "200 /"},
         {"GET", "/x", "200 /"},
         {"GET", "/x/y/z/", "200 /"},
         {"GET", "/a/", "200 /a/"},
         {"GET", "/a/b", "200 GET /a/b"},
         {"HEAD", "/a/b", "200 GET /a/b"},
         {"POST", "/a/b", "200 /a/b"},
         {"POST", "/a/z", "200 /a/{id} id=z"},
         {"GET", "/a/z/c", "200 /a/{id}/c id=z"},
         {"GET", "/a/z/d", "200 /a/"},
         {"GET", "/z/b/c/d", "200 /z/b/{rest...} rest=c/d"},
         {"GET", "/z/b/", "200 /z/b/{rest...}"},
         {"GET", "/x", "200 h2/", "h2"},
         {"GET", "/x", "200 h2/", "H2:8080"},
         {"GET", "/a/b", "200 h2/a/b", "h2"},
         {"GET", "/a/z", "200 h2/", "h2"}});
}

TEST(Mux, BacktracksOutOfLiterals) {
  check({"/a/b/x", "/{a}/b/y", "/a/{b}/z"}, {{"GET", "/a/b/x", "200 /a/b/x"},
                                             {"GET", "/a/b/y", "200 /{a}/b/y a=a"},
                                             {"GET", "/a/b/z", "200 /a/{b}/z b=b"},
                                             {"GET", "/c/b/y", "200 /{a}/b/y a=c"},
                                             {"GET", "/a/b/w", "404"}});
}

TEST(Mux, Wildcards) {
  check({"/users/{id}", "/files/{path...}", "/exact/{$}", "/two/{a}/mid/{b}", "/{$}"},
        {{"GET", "/users/42", "200 /users/{id} id=42"},
         {"GET", "/users/", "404"},
         {"GET", "/users", "404"},
         {"GET", "/users/a/b", "404"},
         {"GET", "/users/%41%2Fb", "200 /users/{id} id=A/b"},
         {"GET", "/users/%2F", "200 /users/{id} id=/"},
         {"GET", "/users/+%20", "200 /users/{id} id=+ "},
         {"GET", "/files/", "200 /files/{path...}"},
         {"GET", "/files/a", "200 /files/{path...} path=a"},
         {"GET", "/files/a/b/", "200 /files/{path...} path=a/b/"},
         {"GET", "/files/a%2Fb/c", "200 /files/{path...} path=a/b/c"},
         {"GET", "/exact/", "200 /exact/{$}"},
         {"GET", "/exact/x", "404"},
         {"GET", "/exact/%2F", "404"},
         {"GET", "/two/1/mid/2", "200 /two/{a}/mid/{b} a=1 b=2"},
         {"GET", "/", "200 /{$}"},
         {"GET", "/x", "404"}});
}

TEST(Mux, ComparesSegmentsUnescaped) {
  check({"/caf\xc3\xa9", "/a%2Fb/c", "/sp%20ace"}, {{"GET", "/caf%C3%A9", "200 /caf\xc3\xa9"},
                                                    {"GET", "/a%2fb/c", "200 /a%2Fb/c"},
                                                    {"GET", "/sp%20%61ce", "200 /sp%20ace"},
                                                    {"GET", "/a/b/c", "404"}});
}

TEST(Mux, RedirectsUncleanPaths) {
  check({"/", "/a/b", "CONNECT /c"}, {{"GET", "/a//b?x=1", "301 /a/b?x=1"},
                                      {"GET", "/a/./b", "301 /a/b"},
                                      {"GET", "/a/../a/b", "301 /a/b"},
                                      {"GET", "/a/..", "301 /"},
                                      {"GET", "//evil.com/%2e", "301 /evil.com/%2e"},
                                      {"GET", "/../../x/", "301 /x/"},
                                      {"GET", "/a/b/.", "301 /a/b"},
                                      {"GET", "/.hidden/..x", "200 /"},
                                      {"POST", "//a/b", "301 /a/b"},
                                      {"GET", "/a/b", "200 /a/b"}});
}

TEST(Mux, RedirectsToTheSubtree) {
  check({"/tree/", "/both/", "/both", "GET /get/", "/wild/{path...}", "/end/{$}", "/x/{id}/"},
        {{"GET", "/tree?q=1&r=%20", "307 /tree/?q=1&r=%20"},
         {"POST", "/tree", "307 /tree/"},
         {"GET", "/tree/x", "200 /tree/"},
         {"GET", "/both", "200 /both"},
         {"GET", "/get", "307 /get/"},
         {"POST", "/get", "405 GET, HEAD"},
         {"GET", "/wild", "307 /wild/"},
         {"GET", "/end", "307 /end/"},
         {"GET", "/x/a%2Fb", "307 /x/a%2Fb/"},
         {"GET", "/x//a", "307 /x/a/"},
         {"GET", "/none", "404"}});
}

TEST(Mux, WrongMethodGets405) {
  check({"GET /a", "POST /a", "DELETE /a", "PUT /b", "/c", "POST h2/a"},
        {{"PATCH", "/a", "405 DELETE, GET, HEAD, POST"},
         {"HEAD", "/a", "200 GET /a"},
         {"GET", "/b", "405 PUT"},
         {"BREW", "/c", "200 /c"},
         {"GET", "/d", "404"},
         {"PATCH", "/a", "405 DELETE, GET, HEAD, POST", "h2:1"}});
  TestRequest request({.method = "PATCH", .target = "/a"});
  Recorder recorder;
  make_mux({"GET /a"})(recorder, request);
  EXPECT_EQ(recorder.body(), "Method Not Allowed\n");
  EXPECT_EQ(recorder.sent_header().get("Content-Type"), "text/plain; charset=utf-8");
}

TEST(Mux, AnswersNotFoundAndAsterisk) {
  const ServeMux mux = make_mux({"/a"});
  TestRequest request({.target = "/zzz"});
  Recorder recorder;
  mux(recorder, request);
  EXPECT_EQ(recorder.code(), 404);
  EXPECT_EQ(recorder.body(), "404 page not found\n");
  EXPECT_EQ(recorder.sent_header().get("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(ask(mux, "GET", "*"), "400");
}

TEST(Mux, StripsPortsOfHosts) {
  check({"a.b/", "::1/", "/"}, {{"GET", "/", "200 a.b/", "a.b:80"},
                                {"GET", "/", "200 a.b/", "a.b:"},
                                {"GET", "/", "200 a.b/", "A.B"},
                                {"GET", "/", "200 a.b/", "A.b:8080"},
                                {"GET", "/", "200 /", "a.b."},
                                {"GET", "/", "200 /", "a.b.:80"},
                                {"GET", "/", "200 /", "x.a.b"},
                                {"GET", "/", "200 ::1/", "[::1]:80"},
                                {"GET", "/", "200 ::1/", "[::1]:"},
                                {"GET", "/", "200 /", "[::1]"},
                                {"GET", "/", "200 /", "[::2]"},
                                {"GET", "/", "200 /", "[v1.a.b]:80"},
                                {"GET", "/", "200 /", ""}});
}

std::string registration_error(const std::vector<std::string>& patterns) {
  try {
    make_mux(patterns);
  } catch (const PatternError& e) {
    return e.what();
  }
  return "";
}

TEST(Mux, RefusesConflictsInEitherOrder) {
  const std::pair<std::string, std::string> conflicts[] = {
      {"GET /", "/index.html"}, {"/a/{x}", "/{y}/b"}, {"/a", "/a"},       {"/{x}", "/{y}"},
      {"/{x...}", "/"},         {"/a/{x...}", "/a/"}, {"GET /{x}", "/a"}, {"/a/{x}/{y...}", "/{z}/b/"},
      {"h/a", "H/a"},
  };
  for (const auto& [a, b] : conflicts) {
    for (const auto& pair : {std::vector{a, b}, std::vector{b, a}}) {
      const std::string error = registration_error(pair);
      EXPECT_NE(error.find("\"" + a + "\""), std::string::npos) << a << " and " << b << ": " << error;
      EXPECT_NE(error.find("\"" + b + "\""), std::string::npos) << error;
      EXPECT_NE(error.find("mux_test.cc:"), std::string::npos) << error;
    }
  }
  const std::vector<std::string> fine[] = {
      {"/a/{x}", "/a/b"},        {"GET /a", "POST /a", "/a"}, {"/", "/{$}"},
      {"/{x}/{$}", "/{x}/{y}"},  {"h/a/{x}", "/{y}/b"},       {"GET /x/", "HEAD /x/y"},
      {"/b/{$}", "/{x}/{y...}"},
  };
  for (const auto& patterns : fine) {
    EXPECT_EQ(registration_error(patterns), "");
    EXPECT_EQ(registration_error({patterns.rbegin(), patterns.rend()}), "");
  }
}

TEST(Mux, RefusesBadPatterns) {
  const std::pair<std::string, std::string> rows[] = {
      {"", "empty pattern"},
      {"A=B /", "at offset 0: invalid method \"A=B\""},
      {" /", "at offset 0: invalid method \"\""},
      {"GET", "at offset 0: host/path missing /"},
      {"POST ", "at offset 5: host/path missing /"},
      {"h{x}/", "at offset 1: host contains '{' (missing initial '/'?)"},
      {"GET /a//b", "at offset 4: non-CONNECT pattern with unclean path can never match"},
      {"/{", "at offset 1: bad wildcard segment (must end with '}')"},
      {"/x{a}", "at offset 1: bad wildcard segment (must start with '{')"},
      {"/{a}x", "at offset 1: bad wildcard segment (must end with '}')"},
      {"/{}", "at offset 1: empty wildcard"},
      {"/{...}", "at offset 1: empty wildcard"},
      {"/{a-b}", "at offset 1: bad wildcard name \"a-b\""},
      {"/{1a}", "at offset 1: bad wildcard name \"1a\""},
      {"/{a}/{a}", "at offset 5: duplicate wildcard name \"a\""},
      {"/{a...}/b", "at offset 1: {...} wildcard not at end"},
      {"/{$}/b", "at offset 1: {$} not at end"},
      {"/{a$}", "at offset 1: bad wildcard name \"a$\""},
  };
  for (const auto& [pattern, want] : rows) {
    const std::string error = registration_error({pattern});
    EXPECT_TRUE(error.ends_with(want)) << pattern << ": " << error;
  }
  std::string many;
  for (int i = 0; i < 17; ++i) many += "/{w" + std::to_string(i) + "}";
  EXPECT_TRUE(registration_error({many}).ends_with("too many wildcards"));
  ServeMux mux;
  EXPECT_THROW(mux.handle("/x", Handler()), PatternError);
}

TEST(Mux, AcceptsSeveralBlanksAfterTheMethod) {
  check({"GET \t /a"}, {{"GET", "/a", "200 GET \t /a"}, {"POST", "/a", "405 GET, HEAD"}});
}

TEST(Mux, TakesRoutesBetweenRequests) {
  ServeMux mux = make_mux({"/a"});
  EXPECT_EQ(ask(mux, "GET", "/b"), "404");
  mux.handle("/b", [](ResponseWriter& w, Request&) { static_cast<void>(w.write("b")); });
  EXPECT_EQ(ask(mux, "GET", "/b"), "200 b");
  const ServeMux copy = mux;
  mux.handle("/c", [](ResponseWriter& w, Request&) { static_cast<void>(w.write("c")); });
  EXPECT_EQ(ask(copy, "GET", "/c"), "200 c");
}

// Where no pattern has a host, ports are not looked at. That changes with the first pattern that has one.
TEST(Mux, TakesTheFirstHostBetweenRequests) {
  ServeMux mux = make_mux({"/"});
  EXPECT_EQ(ask(mux, "GET", "/", "a.b:80"), "200 /");
  mux.handle("a.b/", [](ResponseWriter& w, Request&) { static_cast<void>(w.write("a.b/")); });
  EXPECT_EQ(ask(mux, "GET", "/", "a.b:80"), "200 a.b/");
  EXPECT_EQ(ask(mux, "GET", "/", "a.c:80"), "200 /");
  EXPECT_EQ(ask(mux, "CONNECT", "/", "a.b:80"), "200 /");
}

}  // namespace
}  // namespace weft::http
