// App::Life holds what an App is made of, and runs it. The App shares it with the goroutines of the run, because a stop
// that takes too long leaves some of them running.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include <spdlog/spdlog.h>

#include "weft/app/app.h"
#include "weft/wait_group.h"

namespace weft::app {

// Thread safety: the lists and options do not change after run() has begun.
class App::Life : public std::enable_shared_from_this<App::Life> {
 public:
  explicit Life(AppOptions app_options);

  int run();
  void stop() noexcept;
  bool ready() const noexcept { return ready_.load(std::memory_order_acquire); }
  const std::shared_ptr<spdlog::logger>& logger() const noexcept { return logger_; }

  struct Member {
    explicit Member(std::shared_ptr<Server> s) noexcept : server(std::move(s)) {}
    const std::shared_ptr<Server> server;
    std::atomic<bool> ended{false};  // serve() has returned
  };

  const AppOptions options;
  std::vector<std::shared_ptr<Member>> members;
  std::vector<Hook> before_start, after_start, before_stop, after_stop;
  // The servers that the debug server shows. The debug server's handler shares this list.
  const std::shared_ptr<std::vector<http::Server>> http_servers = std::make_shared<std::vector<http::Server>>();

 private:
  // Why start() returned.
  enum class Start { serving, stopped, failed };

  Start start();
  Start run_start_hooks(const std::vector<Hook>& hooks, std::string_view kind);
  void run_stop_hooks(const std::vector<Hook>& hooks, std::string_view kind, const Context& ctx);
  void serve_all();
  void log_start() const;
  int finish();
  void stop_gently(const Context& ctx);
  void stop_server(Server& server, const Context& ctx);
  void log_what_hangs() const;
  void start_failed(const Error& error);
  spdlog::logger& log() const noexcept { return *logger_; }
  bool stopping() const noexcept { return static_cast<bool>(run_context_.err()); }

  const std::shared_ptr<spdlog::logger> logger_;
  // Done when a signal arrives, when stop() is called, or when a server ends. The cause tells which.
  Context run_context_;
  CancelCauseFunc cancel_run_;
  WaitGroup serving_;         // the goroutines in Server::serve()
  bool serve_begun_ = false;  // written before the stopping goroutine begins
  std::atomic<bool> ran_{false};
  std::atomic<bool> ready_{false};
  std::atomic<bool> failed_{false};
};

}  // namespace weft::app
