// An app with an HTTP server that starts, and stops as soon as it has started.
#include <weft/app/app.h>
#include <weft/http/mux.h>
#include <weft/http/request.h>

#include <cstdio>

namespace app = weft::app;
namespace http = weft::http;

int main() {
  http::ServeMux mux;
  mux.handle("GET /", [](http::ResponseWriter& w, http::Request&) { w.write("hello\n"); });

  app::App service({.name = "consumer", .version = "1.0.0"});
  service.serve(mux, {.address = "127.0.0.1:0"});
  service.after_start([&](const weft::Context&) -> weft::Error {
    service.stop();
    return {};
  });
  const int status = service.run();
  std::printf("stopped with %d\n", status);
  return status;
}
