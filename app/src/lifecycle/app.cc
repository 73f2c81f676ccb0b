#include "weft/app/app.h"

#include <utility>

#include "app/src/lifecycle/http_server.h"
#include "app/src/lifecycle/life.h"
#include "weft/app/log.h"
#include "weft/http/debug.h"

namespace weft::app {

App::App(AppOptions options) : life_(std::make_shared<Life>(std::move(options))) {}
App::~App() = default;

Server& App::serve(http::Handler handler, http::ServerOptions options) {
  options.handler = std::move(handler);
  if (!options.log) options.log = log_sink(life_->logger());
  auto server = std::make_shared<detail::HttpServer>("http", std::move(options));
  life_->http_servers->push_back(server->server());
  return add(std::move(server));
}

Server& App::serve_debug(DebugServerOptions options) {
  http::debug::Options shown{.name = life_->options.name, .version = life_->options.version};
  shown.server_stats = [servers = life_->http_servers] {
    http::ServerStats sum;
    for (const http::Server& server : *servers) {
      const http::ServerStats stats = server.stats();
      sum.connections += stats.connections;
      sum.requests += stats.requests;
      sum.stalled += stats.stalled;
      sum.open += stats.open;
      sum.active += stats.active;
      sum.idle += stats.idle;
    }
    return sum;
  };
  http::ServerOptions server_options;
  server_options.address = std::move(options.address);
  server_options.handler = http::debug::handler(std::move(shown));
  server_options.log = log_sink(life_->logger());
  return add(std::make_shared<detail::HttpServer>("debug", std::move(server_options)));
}

Server& App::add(std::shared_ptr<Server> server) {
  return *life_->members.emplace_back(std::make_shared<Life::Member>(std::move(server)))->server;
}

void App::before_start(Hook hook) { life_->before_start.push_back(std::move(hook)); }
void App::after_start(Hook hook) { life_->after_start.push_back(std::move(hook)); }
void App::before_stop(Hook hook) { life_->before_stop.push_back(std::move(hook)); }
void App::after_stop(Hook hook) { life_->after_stop.push_back(std::move(hook)); }

int App::run() {
  if (this_goroutine::id() != 0) return life_->run();
  RuntimeOptions runtime = life_->options.runtime;
  if (!runtime.log) runtime.log = log_sink(life_->logger());
  return weft::run([this] { return life_->run(); }, std::move(runtime));
}

void App::stop() noexcept { life_->stop(); }
bool App::ready() const noexcept { return life_->ready(); }
const AppOptions& App::options() const noexcept { return life_->options; }

}  // namespace weft::app
