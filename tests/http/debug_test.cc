#include "weft/http/debug.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/matrix.h"
#include "support/parked.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/http/testing.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace weft::http {
namespace {

using http::testing::Recorder;
using http::testing::TestRequest;

struct Page {
  int status;
  std::string type;
  std::string body;
};

Page ask(const Handler& handler, std::string_view method, std::string_view target) {
  TestRequest request({.method = std::string(method), .target = std::string(target)});
  Recorder recorder;
  handler(recorder, request);
  return {recorder.code(), std::string(recorder.sent_header().get("Content-Type")), recorder.body()};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

TEST(Debug, VarsAreSortedJsonOneALine) {
  const Page page = ask(debug::handler({.name = "users", .version = "1.4.0"}), "GET", "/debug/vars");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.type, "application/json; charset=utf-8");
  const std::vector<std::string> lines = lines_of(page.body);
  EXPECT_EQ(lines.front(), "{");
  EXPECT_EQ(lines.back(), "}");
  EXPECT_TRUE(std::is_sorted(lines.begin() + 1, lines.end() - 1)) << page.body;
  const nlohmann::json vars = nlohmann::json::parse(page.body);
  EXPECT_EQ(vars.size(), lines.size() - 2);
  EXPECT_EQ(vars["name"], "users");
  EXPECT_EQ(vars["version"], "1.4.0");
  EXPECT_EQ(vars["connections"]["total"], 0);
  EXPECT_GT(vars["rss_bytes"], 0);
  EXPECT_GE(vars["threads"], 1);
  EXPECT_GE(vars["cmdline"].size(), 1U);
}

TEST(Debug, TextThatIsNoUtf8DoesNotBreakTheJson) {
  const Page page = ask(debug::handler({.name = "caf\xe9 \"x\"\n"}), "GET", "/debug/vars");
  EXPECT_EQ(nlohmann::json::parse(page.body)["name"], "caf\xef\xbf\xbd \"x\"\n");
}

TEST(Debug, VarsShowTheServersOfTheOptions) {
  const Handler handler = debug::handler({.server_stats = [] {
    return ServerStats{.connections = 7, .requests = 9, .stalled = 4, .open = 3, .active = 1, .idle = 2};
  }});
  const nlohmann::json vars = nlohmann::json::parse(ask(handler, "GET", "/debug/vars").body);
  EXPECT_EQ(vars["connections"], (nlohmann::json{{"total", 7}, {"active", 1}, {"idle", 2}, {"stalled", 4}}));
  EXPECT_EQ(vars["requests"], 9);
}

TEST(Debug, OnlyGetAndHead) {
  const Handler handler = debug::handler();
  for (const char* const page :
       {"/debug/", "/debug/vars", "/debug/goroutines", "/debug/goroutines?debug=2", "/debug/hogs"}) {
    EXPECT_EQ(ask(handler, "GET", page).status, 200) << page;
    EXPECT_EQ(ask(handler, "HEAD", page).status, 200) << page;
    EXPECT_EQ(ask(handler, "POST", page).status, 405) << page;
  }
  EXPECT_EQ(ask(handler, "GET", "/debug/nope").status, 404);
  EXPECT_EQ(ask(handler, "GET", "/").status, 404);
}

TEST(Debug, PagesAreNotSniffedAndNotKept) {
  TestRequest request({.target = "/debug/goroutines"});
  Recorder recorder;
  debug::handler()(recorder, request);
  EXPECT_EQ(recorder.sent_header().get("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(recorder.sent_header().get("Cache-Control"), "no-store");
  EXPECT_EQ(recorder.body(), "goroutines: total 0\n");
}

TEST(Debug, TheIndexLinksTheOthers) {
  const Page page = ask(debug::handler(), "GET", "/debug/");
  EXPECT_EQ(page.type, "text/html; charset=utf-8");
  EXPECT_NE(page.body.find("href=\"/debug/vars\""), std::string::npos);
  for (const char* const link : {"/debug/vars", "/debug/goroutines", "/debug/goroutines?debug=2", "/debug/hogs"})
    EXPECT_NE(page.body.find("href=\"" + std::string(link) + "\""), std::string::npos) << link;
}

WEFT_PROCS_TEST(Debug, VarsShowTheRuntime) {
  const nlohmann::json vars = nlohmann::json::parse(ask(debug::handler(), "GET", "/debug/vars").body);
  EXPECT_EQ(vars["procs"], procs());
  EXPECT_EQ(vars["goroutines"], 1);
  EXPECT_GE(vars["threads"], 1);
  EXPECT_NE(vars["poller"], "");
  EXPECT_GE(vars["machines"], 1);  // the others may be about to start
  EXPECT_GE(vars["idle_machines"], 0);
  EXPECT_GE(vars["hogs"], 0);
}

WEFT_PROCS_TEST(Debug, GoroutinesAreListedOneALine) {
  constexpr std::size_t kMany = 1000;
  const auto gate = make_chan<int>();
  WaitGroup group;
  for (std::size_t i = 0; i < kMany; ++i) group.go([gate] { static_cast<void>(gate.recv()); });
  ASSERT_TRUE(weft::testing::wait_until_parked(kMany, "chan receive"));
  const Page page = ask(debug::handler(), "GET", "/debug/goroutines");
  gate.close();
  group.wait();
  EXPECT_EQ(page.type, "text/plain; charset=utf-8");
  const std::vector<std::string> lines = lines_of(page.body);
  EXPECT_EQ(lines[0], "goroutines: total " + std::to_string(kMany + 1));
  ASSERT_EQ(lines.size(), kMany + 2);
  EXPECT_EQ(lines[1], "goroutine 1 parent=0 state=running");
  for (std::size_t i = 2; i < lines.size(); ++i) {
    EXPECT_NE(lines[i].find(" parent=1 state=waiting reason=\"chan receive\" since="), std::string::npos) << lines[i];
    EXPECT_NE(lines[i].find("debug_test.cc:"), std::string::npos) << lines[i];
  }
  EXPECT_EQ(std::set<std::string>(lines.begin(), lines.end()).size(), lines.size());
}

WEFT_PROCS_TEST(Debug, GoroutinesShowCreatorAndLabels) {
  const auto gate = make_chan<int>();
  const SourceLocation where{"src/a \"b\".cc", "void f()", 12};
  go(
      {.labels = {{"tenant", "line\nbreak"}, {"job", "index"}}}, [gate] { static_cast<void>(gate.recv()); }, where);
  ASSERT_TRUE(weft::testing::wait_until_parked(1, "chan receive"));
  const std::vector<std::string> lines = lines_of(ask(debug::handler(), "GET", "/debug/goroutines").body);
  gate.close();
  ASSERT_EQ(lines.size(), 3u);
  const std::string_view expected =
      R"x( creator="src/a \"b\".cc:12" function="void f()" labels={"job":"index","tenant":"line\nbreak"})x";
  EXPECT_TRUE(lines[2].ends_with(expected)) << lines[2];
}

[[gnu::noinline]] void parks_in_receive(Chan<int> gate) {
  static_cast<void>(gate.recv());
  asm volatile("");  // so that the call above stays a call
}

WEFT_PROCS_TEST(Debug, GoroutinesWithStacksAreInGosFormat) {
  const auto gate = make_chan<int>();
  WaitGroup group;
  group.go([gate] { parks_in_receive(gate); });
  ASSERT_TRUE(weft::testing::wait_until_parked(1, "chan receive"));
  const Page page = ask(debug::handler(), "GET", "/debug/goroutines?debug=2");
  gate.close();
  group.wait();
  EXPECT_EQ(page.type, "text/plain; charset=utf-8");
  EXPECT_TRUE(page.body.starts_with("goroutine 1 [")) << page.body;
  EXPECT_NE(page.body.find(" [chan receive]:\n"), std::string::npos) << page.body;
  EXPECT_NE(page.body.find("parks_in_receive(...)\n\t"), std::string::npos) << page.body;
  EXPECT_NE(page.body.find("\ncreated by "), std::string::npos) << page.body;
}

// Keeps its thread until the page shows a hog with that label, and returns the page.
std::string page_with_hog(const Handler& handler, const std::string& job) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  std::atomic<bool> seen{false};
  WaitGroup group;
  group.add(1);
  go({.labels = {{"job", job}}}, [&] {
    while (!seen.load() && std::chrono::steady_clock::now() < end) {
    }
    group.done();
  });
  Page page;
  while (page.body.find(job) == std::string::npos && std::chrono::steady_clock::now() < end) {
    sleep(std::chrono::milliseconds(5));
    page = ask(handler, "GET", "/debug/hogs");
  }
  seen.store(true);
  group.wait();
  EXPECT_EQ(page.type, "text/plain; charset=utf-8");
  return page.body;
}

WEFT_PROCS_TEST(Debug, HogsAreShownLatestFirst) {
  const Handler handler = debug::handler();
  const std::string procs_text = std::to_string(weft::testing::variant().procs);
  const std::string first = "first-" + procs_text, second = "second-" + procs_text;
  page_with_hog(handler, first);
  const std::string page = page_with_hog(handler, second);
  EXPECT_TRUE(page.starts_with("hogs: total ")) << page;
  ASSERT_NE(page.find(second), std::string::npos) << page;
  EXPECT_LT(page.find(second), page.find(first)) << page;
  const std::vector<std::string> lines = lines_of(page);
  const auto line = std::ranges::find_if(lines, [&](const std::string& l) { return l.find(second) != l.npos; });
  ASSERT_NE(line, lines.end());
  EXPECT_EQ(line->find("Z goroutine "), std::string_view("2026-11-21T12:10:14.250").size()) << *line;
  EXPECT_NE(line->find(" parent=1 processor="), std::string::npos) << *line;
  EXPECT_NE(line->find("debug_test.cc:"), std::string::npos) << *line;
  EXPECT_TRUE(line->ends_with(" labels={\"job\":\"" + second + "\"}")) << *line;
}

}  // namespace
}  // namespace weft::http
