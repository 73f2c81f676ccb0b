// A service in one file: routes, a debug server, and a stop that loses no request.
// [service]
#include <weft/app/app.h>
#include <weft/http/mux.h>
#include <weft/http/request.h>

#include <string>

namespace app = weft::app;
namespace http = weft::http;

int main(int argc, char** argv) {
  http::ServeMux mux;
  mux.handle("GET /hello/{name}", [](http::ResponseWriter& w, http::Request& r) {
    w.write("hello, " + std::string(r.path_value("name")) + "\n");
  });

  app::App app({.name = "hello", .version = "1.0.0"});
  app.serve(mux, {.address = argc > 1 ? argv[1] : ":8080"});
  app.serve_debug({.address = argc > 2 ? argv[2] : "127.0.0.1:8001"});
  return app.run();  // until SIGTERM, then drains
}
// [service]
