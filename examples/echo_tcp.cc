// A TCP echo server. Each connection has a goroutine, which blocks like ordinary code and costs a page.
// [echo]
#include <weft/go.h>
#include <weft/net/address.h>
#include <weft/net/listener.h>

#include <chrono>
#include <cstdio>

int main(int argc, char** argv) {
  return weft::run([&] {
    auto listener = weft::net::listen("tcp", argc > 1 ? argv[1] : "127.0.0.1:7007");
    if (!listener) {
      std::fprintf(stderr, "%s\n", listener.error().message().c_str());
      return 1;
    }
    std::printf("listening on %s\n", weft::net::to_string(listener->address()).c_str());
    std::fflush(stdout);
    while (auto conn = listener->accept()) {
      weft::go([c = *conn] {
        char buffer[4096];
        for (;;) {
          c.set_deadline(std::chrono::steady_clock::now() + std::chrono::minutes(1));
          auto [n, ec] = c.read(buffer);
          if (ec || c.write({buffer, n}).ec) return;  // the last handle closes the connection
        }
      });
    }
    return 0;
  });
}
// [echo]
