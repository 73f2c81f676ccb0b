// App: the life of a program that serves: start, serve, stop without losing a request.
//
//   int main() {
//     weft::app::App app({.name = "users", .version = "1.4.0"});
//     app.serve(mux, {.address = ":8080"});
//     app.serve_debug({.address = ":8001"});
//     return app.run();                                    // until SIGTERM, then drains
//   }
//
// run() does, in this order:
//   1. hooks the signals, so that one that comes during the start stops the app in an orderly way
//   2. runs the before_start hooks
//   3. binds every listener: from here on clients may connect, and real ports are known
//   4. serves, each server in a goroutine of its own
//   5. runs the after_start hooks; ready() is true
//   6. waits for a signal, stop(), or a server that ends by itself
//   7. ready() is false; waits AppOptions::drain_delay; runs the before_stop hooks
//   8. stops all servers at the same time: no new connections, what is in flight is finished
//   9. runs the after_stop hooks
// A start that fails (a hook's error, a port in use) goes on with 7 for what was started, and leaves out the
// before_stop hooks if it did not get to 4. A hook's error during the stop is logged and the stop goes on.
//
// 7 to 9 may take AppOptions::stop_timeout, without the delay. Past it, run() logs what still hangs (servers and their
// connections, goroutines and what they wait for), closes the servers by force, waits half a second for the goroutines
// that notice, and returns 1. The second signal ends the process at once with status 128 + signal, also when no
// goroutine gets to run.
//
// Not in it: service registration (use after_start and before_stop), configuration, TLS.
#pragma once

#include <chrono>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <weft/app/server.h>
#include <weft/context.h>
#include <weft/error.h>
#include <weft/go.h>
#include <weft/http/server.h>

namespace spdlog {
class logger;
}

namespace weft::app {

struct AppOptions {
  // For log lines and /debug/vars. Empty: the program's file name.
  std::string name = {};
  std::string version = {};
  std::map<std::string, std::string> metadata = {};

  // The longest that the stop may take. Zero or negative: no limit.
  std::chrono::nanoseconds stop_timeout = std::chrono::seconds(10);

  // Between ready() turning false and the first server that stops, so that load balancers notice and send their clients
  // elsewhere. Zero or negative: none.
  std::chrono::nanoseconds drain_delay{0};

  // What stops the app. Empty: no signal does.
  std::vector<int> signals = {SIGINT, SIGTERM};

  // Where the app and its HTTP servers log. Null: spdlog's default logger, see set_up_log() in weft/app/log.h.
  std::shared_ptr<spdlog::logger> logger = {};

  // For a run() that starts the runtime itself.
  RuntimeOptions runtime = {};
};

struct DebugServerOptions {
  // "host:port" or ":port". Whoever can connect sees the program from inside: the default is for this machine alone.
  std::string address = "127.0.0.1:8001";
};

// Thread safety: servers and hooks are added from one thread before run(); stop() and ready() may be called from any
// thread and any goroutine, also before run().
// Lifetime: outlives run(). Servers and hooks live as long as the App, and longer when one of them doesn't end in time.
// Blocking: only run() blocks.
class App {
 public:
  // An error ends the start, or is logged during the stop. The context of a start hook is done when a signal comes or
  // stop() is called; that of a stop hook, when the time for stopping is up.
  using Hook = std::function<Error(const Context&)>;

  explicit App(AppOptions options = {});
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Adds an HTTP server that answers by `handler`, a ServeMux for example. options.handler is not used. Empty
  // options.error_log: the app's logger.
  Server& serve(http::Handler handler, http::ServerOptions options = {});

  // Adds a server of the handlers in weft/http/debug.h, which shows the app's other HTTP servers and the runtime.
  Server& serve_debug(DebugServerOptions options = {});

  // Adds any server. Returns it.
  Server& add(std::shared_ptr<Server> server);

  // Hooks of one kind run one after the other, in the order in which they were added.
  void before_start(Hook hook);
  void after_start(Hook hook);
  void before_stop(Hook hook);
  void after_stop(Hook hook);

  // Starts, serves and stops, as told above. Called in a goroutine, blocks it; else starts the runtime first, with
  // AppOptions::runtime, and blocks the thread. Returns 0 when the app was told to stop and did so in time; 1 after an
  // error, which is on stderr or in the log, or when time ran out. Ignores SIGPIPE while it runs unless the program
  // handles it itself. Once only: a second call throws Panic.
  int run();

  // Begins the stop and returns at once.
  void stop() noexcept;

  // True while the app serves and is not about to stop: the answer to a readiness probe.
  bool ready() const noexcept;

  const AppOptions& options() const noexcept;

 private:
  class Life;
  std::shared_ptr<Life> life_;
};

}  // namespace weft::app
