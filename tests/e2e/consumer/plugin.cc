// A shared object with a runtime of its own. It exports one C function.
#include <string>

#include <weft/chan.h>
#include <weft/context.h>
#include <weft/go.h>
#include <weft/net/dial.h>
#include <weft/net/listener.h>
#include <weft/sync.h>
#include <weft/time.h>

namespace {

// Returns what a connection on loopback has carried.
std::string echo_of(const std::string& text) {
  const weft::net::Listener listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  weft::WaitGroup group;
  group.go([&] {
    const weft::net::Conn conn = listener.accept().value();
    std::string buffer(text.size(), '\0');
    if (!conn.read_full(buffer).ec) static_cast<void>(conn.write(buffer));
  });
  const auto conn = weft::net::dial(weft::background(), "tcp", weft::net::to_string(listener.address())).value();
  std::string echo(text.size(), '\0');
  static_cast<void>(conn.write(text));
  static_cast<void>(conn.read_full(echo));
  group.wait();
  return echo;
}

int main_goroutine() {
  const auto sums = weft::make_chan<int>();
  weft::WaitGroup group;
  for (int i = 1; i <= 10; ++i) group.go([=] { sums.send(i); });
  int sum = 0;
  for (int i = 1; i <= 10; ++i) sum += sums.recv().value_or(0);
  group.wait();
  weft::sleep(std::chrono::milliseconds(1));
  return sum == 55 && echo_of("hello, plugin") == "hello, plugin" ? 7 : 1;
}

}  // namespace

// Runs a runtime on the poller of that name, and returns 7.
extern "C" [[gnu::visibility("default")]] int run_plugin(const char* poller) {
  const bool epoll = std::string(poller) == "epoll";
  return weft::run(main_goroutine,
                   {.procs = 2, .poller = epoll ? weft::PollerChoice::epoll : weft::PollerChoice::automatic});
}
