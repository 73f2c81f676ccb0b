#include "weft/http/middleware.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "weft/http/errc.h"
#include "weft/http/helpers.h"
#include "weft/http/hijacked.h"
#include "weft/http/mux.h"
#include "weft/http/testing.h"
#include "weft/panic.h"

namespace weft::http {
namespace {

using http::testing::Recorder;
using http::testing::TestRequest;

// Notes its name on the way in and on the way out.
Middleware mark(std::string name, std::string& trace) {
  return [name = std::move(name), &trace](Handler next) -> Handler {
    return [name, &trace, next = std::move(next)](ResponseWriter& w, Request& r) {
      trace += name + "<";
      next(w, r);
      trace += ">" + name;
    };
  };
}

TEST(Middleware, TheFirstIsTheOutermost) {
  std::string trace;
  const Handler handler = [&trace](ResponseWriter& w, Request&) {
    trace += "h";
    static_cast<void>(w.write("body"));
  };
  const std::vector<Middleware> all{mark("a", trace), mark("b", trace), mark("c", trace)};
  const Middleware of_list = chain(all);
  const Middleware of_arguments = chain(all[0], all[1], all[2]);
  const Middleware nested = chain(chain(all[0]), chain(all[1], all[2]), chain());
  for (const Middleware& around : {of_list, of_arguments, nested}) {
    trace.clear();
    TestRequest request;
    Recorder recorder;
    around(handler)(recorder, request);
    EXPECT_EQ(trace, "a<b<c<h>c>b>a");
    EXPECT_EQ(recorder.body(), "body");
  }
}

TEST(Middleware, MayAnswerByItself) {
  std::string trace;
  const Middleware guard = [](Handler next) -> Handler {
    return [next = std::move(next)](ResponseWriter& w, Request& r) {
      if (!r.header().has("Authorization")) return error(w, "who are you?", 401);
      next(w, r);
    };
  };
  ServeMux mux;
  mux.handle("GET /secret", [](ResponseWriter& w, Request&) { static_cast<void>(w.write("secret")); });
  const Handler handler = chain(mark("log", trace), guard)(mux);
  TestRequest stranger({.target = "/secret"});
  Recorder refused;
  handler(refused, stranger);
  EXPECT_EQ(refused.code(), 401);
  TestRequest friendly({.target = "/secret", .header = {{"Authorization", "yes"}}});
  Recorder served;
  handler(served, friendly);
  EXPECT_EQ(served.body(), "secret");
  EXPECT_EQ(trace, "log<>loglog<>log");
}

TEST(Middleware, AnEmptyOneIsRefused) { EXPECT_THROW(static_cast<void>(chain(Middleware())), Panic); }

// Changes the body and knows nothing of the rest.
class Shouting final : public ResponseWriter {
 public:
  explicit Shouting(ResponseWriter* below) : below_(below) {}
  Header& header() override { return below_->header(); }
  void write_header(int code) override { below_->write_header(code); }
  IoResult write(std::string_view data) override {
    std::string loud(data);
    for (char& c : loud) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return below_->write(loud);
  }
  std::error_code flush() override { return below_->flush(); }
  ResponseWriter* unwrap() const noexcept override { return below_; }

 private:
  ResponseWriter* below_;
};

// Can do everything, and counts it.
class Able final : public ResponseWriter {
 public:
  Header& header() override { return header_; }
  void write_header(int) override {}
  IoResult write(std::string_view data) override { return {data.size(), {}}; }
  std::error_code flush() override { return {}; }
  int status() const noexcept override { return 207; }
  std::uint64_t bytes_written() const noexcept override { return 17; }
  std::error_code set_read_deadline(TimePoint deadline) override { return note("read", deadline); }
  std::error_code set_write_deadline(TimePoint deadline) override { return note("write", deadline); }
  std::error_code enable_full_duplex() override { return note("duplex", {}); }
  Result<Hijacked> hijack() override {
    static_cast<void>(note("hijack", {}));
    return Hijacked{.conn = {}, .buffered = "rest"};
  }

  std::string seen;

 private:
  std::error_code note(std::string_view what, TimePoint deadline) {
    seen += std::string(what) + std::to_string(deadline.time_since_epoch().count()) + " ";
    return {};
  }

  Header header_;
};

TEST(ResponseWriter, AsksTheWriterBelow) {
  Able able;
  Shouting inner(&able);
  Shouting outer(&inner);
  ResponseWriter& w = outer;
  EXPECT_EQ(w.unwrap(), &inner);
  EXPECT_EQ(w.status(), 207);
  EXPECT_EQ(w.bytes_written(), 17U);
  EXPECT_FALSE(w.set_read_deadline(TimePoint(std::chrono::nanoseconds(1))));
  EXPECT_FALSE(w.set_write_deadline(TimePoint(std::chrono::nanoseconds(2))));
  EXPECT_FALSE(w.enable_full_duplex());
  EXPECT_EQ(w.hijack().value().buffered, "rest");
  EXPECT_EQ(able.seen, "read1 write2 duplex0 hijack0 ");
}

TEST(ResponseWriter, WithoutOneBelowItSaysSo) {
  Recorder recorder;
  Shouting outer(&recorder);
  ResponseWriter& w = outer;
  EXPECT_EQ(recorder.unwrap(), nullptr);
  EXPECT_EQ(w.set_read_deadline({}), Errc::not_supported);
  EXPECT_EQ(w.set_write_deadline({}), Errc::not_supported);
  EXPECT_EQ(w.enable_full_duplex(), Errc::not_supported);
  EXPECT_EQ(w.hijack().error().code(), Errc::not_supported);
  EXPECT_TRUE(w.hijack().error() == std::errc::not_supported);
  EXPECT_EQ(w.status(), 0);
  EXPECT_EQ(w.write("hello").n, 5U);
  EXPECT_EQ(w.status(), 200);
  EXPECT_EQ(w.bytes_written(), 5U);
  EXPECT_EQ(recorder.body(), "HELLO");
}

}  // namespace
}  // namespace weft::http
