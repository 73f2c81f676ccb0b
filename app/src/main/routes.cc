#include "app/src/main/routes.h"

#include <charconv>
#include <chrono>
#include <string>
#include <string_view>

#include "weft/context.h"
#include "weft/http/errc.h"
#include "weft/http/helpers.h"
#include "weft/http/status.h"

namespace weft::program {
namespace {

constexpr std::size_t kMaxEcho = 16 * 1024 * 1024;
constexpr int kMaxSleepMs = 60'000;

void answer(http::ResponseWriter& w, std::string_view text) {
  w.header().set("Content-Type", "text/plain; charset=utf-8");
  static_cast<void>(w.write(text));
}

void landing_page(http::ResponseWriter& w, http::Request&) {
  answer(w, "weft " WEFT_VERSION
            "\n"
            "\n"
            "GET  /hello/{name}   hello, NAME\n"
            "POST /echo           the body, as it came\n"
            "GET  /chunked        three chunks, each sent as soon as it is there\n"
            "GET  /sleep/{ms}     answers after that many milliseconds\n"
            "GET  /healthz        ok while the process lives\n"
            "GET  /readyz         ready, or 503 once the server is about to stop\n");
}

void hello(http::ResponseWriter& w, http::Request& r) {
  std::string text = "hello, ";
  text += r.path_value("name");
  text += '\n';
  answer(w, text);
}

// Reads the whole body before it answers, so that a client that writes before it reads can't get stuck.
void echo(http::ResponseWriter& w, http::Request& r) {
  const Result<std::string> body = r.read_body(kMaxEcho);
  if (!body) {
    const bool too_large = body.error().code() == http::Errc::body_too_large;
    return http::error(w, body.error().message(),
                       too_large ? http::kStatusRequestEntityTooLarge : http::kStatusBadRequest);
  }
  const std::string_view type = r.header().get("Content-Type");
  w.header().set("Content-Type", type.empty() ? "application/octet-stream" : type);
  static_cast<void>(w.write(*body));
}

void chunked(http::ResponseWriter& w, http::Request&) {
  w.header().set("Content-Type", "text/plain; charset=utf-8");
  for (const std::string_view piece : {"first ", "second ", "third"}) {
    if (w.write(piece).ec || w.flush()) return;
  }
}

void sleep_a_while(http::ResponseWriter& w, http::Request& r) {
  const std::string_view text = r.path_value("ms");
  int ms = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (ec != std::errc() || end != text.data() + text.size() || ms < 0 || ms > kMaxSleepMs) {
    return http::error(w, "sleep: give milliseconds from 0 to " + std::to_string(kMaxSleepMs), http::kStatusBadRequest);
  }
  auto [ctx, cancel] = with_timeout(r.context(), std::chrono::milliseconds(ms));
  static_cast<void>(ctx.done().recv());
  cancel();
  if (r.context().err()) throw http::AbortHandler();  // nobody is there to receive an answer
  answer(w, "slept " + std::to_string(ms) + " ms\n");
}

}  // namespace

http::ServeMux make_routes(const app::App& app) {
  http::ServeMux mux;
  mux.handle("GET /{$}", landing_page);
  mux.handle("GET /hello/{name}", hello);
  mux.handle("POST /echo", echo);
  mux.handle("GET /chunked", chunked);
  mux.handle("GET /sleep/{ms}", sleep_a_while);
  mux.handle("GET /healthz", [](http::ResponseWriter& w, http::Request&) { answer(w, "ok\n"); });
  mux.handle("GET /readyz", [&app](http::ResponseWriter& w, http::Request&) {
    if (!app.ready()) return http::error(w, "not ready", http::kStatusServiceUnavailable);
    answer(w, "ready\n");
  });
  return mux;
}

}  // namespace weft::program
