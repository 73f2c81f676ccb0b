// App: the life of a program that serves: start, serve, stop without losing a request.
//
//   int main() {
//     weft::app::App app({.name = "users", .version = "1.4.0"});
//     app.serve(mux, {.address = ":8080"});
//     app.serve_debug();                                   // on 127.0.0.1:8001
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
//   8. stops all servers at the same time: nobody new connects, and whoever has connected and sent a request gets a
//      response. An HTTP server ends a connection without a request after half a second (http::Server::shutdown)
//   9. runs the after_stop hooks
// A start that fails (a hook's error, a port in use) continues with step 7 for what was started. Such a run leaves out
// the before_stop hooks if it did not reach step 4. A hook's error during the stop is logged, and the stop continues.
//
// Steps 7 to 9 together may take AppOptions::stop_timeout; the drain delay does not count. When that time is up, run()
// logs what still hangs (servers and their connections, goroutines and what they wait for), closes the servers by
// force, waits half a second for the goroutines that notice, and returns 1. The second signal ends the process at once
// with status 128 + signal, even if no goroutine gets to run any more.
//
// The App does not do these: service registration (use after_start and before_stop), configuration, TLS.
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
#include <weft/panic.h>

namespace spdlog {
class logger;
}

namespace weft::app {

struct AppOptions {
  // Appears in log lines and in /debug/vars. Empty: the program's file name.
  std::string name = {};
  std::string version = {};
  std::map<std::string, std::string> metadata = {};

  // The longest that the stop may take. Zero or negative: no limit.
  std::chrono::nanoseconds stop_timeout = std::chrono::seconds(10);

  // The time between ready() turning false and the stop of the first server. In it, load balancers notice and send
  // their clients elsewhere. Zero or negative: no delay.
  std::chrono::nanoseconds drain_delay{0};

  // The signals that stop the app. Empty: no signal stops it.
  std::vector<int> signals = {SIGINT, SIGTERM};

  // The logger of the app and of its HTTP servers. Null: spdlog's default logger, see set_up_log() in weft/app/log.h.
  std::shared_ptr<spdlog::logger> logger = {};

  // The options of the runtime, for a run() that starts the runtime itself. Empty runtime.log: the app's logger.
  RuntimeOptions runtime = {};
};

struct DebugServerOptions {
  // "host:port" or ":port". Whoever can connect sees the program from inside, so the default accepts only clients on
  // this machine.
  std::string address = "127.0.0.1:8001";
};

// App runs servers and hooks, as described at the top of this file.
//
// Thread safety: servers and hooks are added from one thread before run(). stop() and ready() may be called from any
// thread and any goroutine, also before run().
//
// Lifetime: an App outlives its run(). Servers and hooks live as long as the App, and longer when one of them doesn't
// end in time.
//
// Blocking: only run() blocks.
class App {
 public:
  // Does something at a step of the start or of the stop. An error ends the start, or is logged during the stop. The
  // context of a start hook is done when a signal comes or stop() is called. The context of a stop hook is done when
  // the time for stopping is up.
  using Hook = std::function<Error(const Context&)>;

  explicit App(AppOptions options = {});
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Adds an HTTP server that answers with `handler`, for example a ServeMux. options.handler is not used. If
  // options.log is empty, the server logs to the app's logger.
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

  // Starts, serves and stops, as described at the top of this file. In a goroutine, run() blocks that goroutine.
  // Elsewhere run() first starts the runtime with AppOptions::runtime, and blocks the thread. Returns 0 when the app
  // was told to stop and did so in time. Returns 1 after an error, which is on stderr or in the log, or when time ran
  // out. Ignores SIGPIPE while it runs, unless the program handles SIGPIPE itself. May be called only once: a second
  // call throws Panic.
  int run();

  // Begins the stop and returns at once.
  void stop() noexcept;

  // True while the app serves and is not about to stop. This is the answer to a readiness probe.
  bool ready() const noexcept;

  const AppOptions& options() const noexcept;

 private:
  class Life;
  std::shared_ptr<Life> life_;
};

}  // namespace weft::app
