// Calls block their threads, and other goroutines go on.
// [blocking]
#include <weft/chan.h>
#include <weft/go.h>

#include <netdb.h>

#include <cstdio>

int main() {
  return weft::run([] {
    auto errors = weft::make_chan<int>();
    for (const char* const name : {"127.0.0.1", "::1"}) {
      weft::go([=] {
        addrinfo* found = nullptr;
        // getaddrinfo() may wait for a name server. Its thread waits; another thread runs the other goroutines
        // meanwhile.
        const int error = weft::blocking([&] { return ::getaddrinfo(name, "http", nullptr, &found); });
        if (error == 0) ::freeaddrinfo(found);
        errors.send(error);
      });
    }
    for (int n = 0; n < 2; ++n) {
      const int error = errors.recv().value_or(0);
      std::printf("%s\n", error == 0 ? "found" : ::gai_strerror(error));
    }
  });
}
// [blocking]
