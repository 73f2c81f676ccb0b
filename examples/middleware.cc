// Middleware around a handler, and a test of both without a network.
// [middleware]
#include <weft/http.h>

#include <string>
#include <string_view>
#include <utility>

namespace http = weft::http;

// Answers 401 to whoever has no token; everybody else gets to the next handler.
http::Middleware require_token(std::string token) {
  return [token = std::move(token)](http::Handler next) -> http::Handler {
    return [token, next = std::move(next)](http::ResponseWriter& w, http::Request& r) {
      if (r.header().get("Authorization") != "Bearer " + token) return http::error(w, "who are you?", 401);
      next(w, r);
    };
  };
}

// A writer that stands before another one and counts what the handler sends. It implements the functions that have no
// default; unwrap() passes the others on: deadlines, hijack(), status().
class CountingWriter final : public http::ResponseWriter {
 public:
  explicit CountingWriter(http::ResponseWriter& below) : below_(below) {}

  http::Header& header() override { return below_.header(); }
  void write_header(int code) override { below_.write_header(code); }
  weft::IoResult write(std::string_view data) override {
    const weft::IoResult written = below_.write(data);
    bytes_ += written.n;
    return written;
  }
  std::error_code flush() override { return below_.flush(); }
  http::ResponseWriter* unwrap() const noexcept override { return &below_; }

  std::size_t bytes() const { return bytes_; }

 private:
  http::ResponseWriter& below_;
  std::size_t bytes_ = 0;
};

http::Middleware count_bytes(std::size_t& total) {
  return [&total](http::Handler next) -> http::Handler {
    return [&total, next = std::move(next)](http::ResponseWriter& w, http::Request& r) {
      CountingWriter counted(w);
      next(counted, r);
      total += counted.bytes();  // one request at a time in this example
    };
  };
}

http::Handler make_handler(std::size_t& total) {
  http::ServeMux mux;
  mux.handle("GET /orders/{id}", [](http::ResponseWriter& w, http::Request& r) {
    w.write("order " + std::string(r.path_value("id")) + "\n");
  });
  return http::chain(count_bytes(total), require_token("secret"))(mux);  // the first one is the outermost
}
// [middleware]

// [testing]
#include <weft/go.h>
#include <weft/http/testing.h>

#include <cstdio>

int main() {
  return weft::run([] {
    std::size_t total = 0;
    const http::Handler handler = make_handler(total);

    http::testing::TestRequest stranger({.target = "/orders/7"});
    http::testing::Recorder refused;
    handler(refused, stranger);
    std::printf("%d %s", refused.code(), refused.body().c_str());

    http::testing::TestRequest friendly({.target = "/orders/7", .header = {{"Authorization", "Bearer secret"}}});
    http::testing::Recorder answered;
    handler(answered, friendly);
    std::printf("%d %s", answered.code(), answered.body().c_str());
    std::printf("%zu bytes\n", total);
  });
}
// [testing]
