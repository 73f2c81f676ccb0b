#include "weft/app/log.h"

#include <regex>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include "app/src/log/fields.h"
#include "support/matrix.h"
#include "weft/go.h"
#include "weft/sync.h"

namespace weft::app {
namespace {

// Returns a logger that writes to `out` in weft's format.
std::shared_ptr<spdlog::logger> logger_to(std::ostream& out, const std::string& pattern = kLogPattern) {
  auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  logger->set_formatter(make_log_formatter(pattern));
  return logger;
}

TEST(Log, TheLineIsTimeLevelGoroutineMessage) {
  std::ostringstream out;
  logger_to(out)->warn("disk low free={}", 7);
  EXPECT_TRUE(std::regex_match(
      out.str(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning \[g0\] disk low free=7\n)")))
      << out.str();
}

WEFT_PROCS_TEST(Log, NamesTheGoroutine) {
  std::ostringstream out;
  const auto logger = logger_to(out, "%G");
  logger->info("");
  std::uint64_t id = 0;
  WaitGroup group;
  group.go([&] {
    id = this_goroutine::id();
    logger->info("");
  });
  group.wait();
  EXPECT_EQ(out.str(), std::to_string(this_goroutine::id()) + "\n" + std::to_string(id) + "\n");
}

TEST(Log, AnEmptyPatternIsTheMessageAlone) {
  std::ostringstream out;
  logger_to(out, "")->info("a {}", "b");
  EXPECT_EQ(out.str(), "a b\n");
}

TEST(Log, LinesBelowTheLevelAreDropped) {
  ::testing::internal::CaptureStderr();
  const auto logger = make_logger({.level = spdlog::level::warn, .pattern = "%l %v"});
  logger->info("quiet");
  logger->error("loud");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "error loud\n");
}

TEST(Log, SetUpMakesItTheDefault) {
  const auto before = spdlog::default_logger();
  ::testing::internal::CaptureStderr();
  set_up_log({.pattern = "%v"});
  spdlog::info("here");
  spdlog::debug("not here");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "here\n");
  spdlog::set_default_logger(before);
}

TEST(LogField, IsQuotedWhenItsEndWouldBeUnclear) {
  EXPECT_EQ(detail::field("io_uring"), "io_uring");
  EXPECT_EQ(detail::field(""), "\"\"");
  EXPECT_EQ(detail::field("a b"), "\"a b\"");
  EXPECT_EQ(detail::field("a=b"), "\"a=b\"");
  EXPECT_EQ(detail::field("say \"hi\"\n"), R"("say \"hi\"\n")");
  EXPECT_EQ(detail::field(std::chrono::milliseconds(1250)), "1.250s");
}

// Text that begins a line of its own, or steers a terminal.
constexpr std::string_view kHostile =
    "a\n2026-01-01T00:00:00.000Z info [g1] b\r\x1b[2J\x7f\x9b\xc2\x85\xe2\x80\xa8"
    "c";

TEST(LogField, IsOneLine) {
  EXPECT_EQ(detail::field("\x1b[2J"), R"("\x1b[2J")");
  EXPECT_EQ(detail::field("a\vb"), R"("a\x0bb")");
  EXPECT_EQ(detail::field("a\xc2\x85"), R"("a\x85")");
  EXPECT_EQ(detail::field(std::string_view("a\0b", 3)), R"("a\x00b")");
}

TEST(Log, OneLineKeepsWhatPrints) {
  EXPECT_EQ(one_line(""), "");
  EXPECT_EQ(one_line("plain \"text\" = C:\\x"), "plain \"text\" = C:\\x");
  EXPECT_EQ(one_line("m\xc3\xbcller"), "m\xc3\xbcller");
  EXPECT_EQ(one_line("tab\tand end\n"), R"(tab\tand end\n)");
  EXPECT_EQ(one_line(kHostile), R"(a\n2026-01-01T00:00:00.000Z info [g1] b\r\x1b[2J\x7f\x9b\x85\u2028c)");
}

// Whatever a library hands to the sink, the log has one line of it.
TEST(Log, ASinkWritesOneLine) {
  std::ostringstream out;
  const LogSink sink = log_sink(logger_to(out, "%l %v"));
  for (const LogLevel level : {LogLevel::info, LogLevel::warning, LogLevel::error}) sink(level, kHostile);
  const std::string line = one_line(kHostile) + "\n";
  EXPECT_EQ(out.str(), "info " + line + "warning " + line + "error " + line);
}

}  // namespace
}  // namespace weft::app
