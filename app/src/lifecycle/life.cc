#include "app/src/lifecycle/life.h"

#include <cerrno>
#include <cstdio>
#include <optional>
#include <system_error>
#include <utility>

#include "app/src/log/fields.h"
#include "app/src/signal/handler.h"
#include "app/src/signal/hub.h"
#include "weft/log.h"
#include "weft/panic.h"
#include "weft/stats.h"
#include "weft/time.h"

namespace weft::app {
namespace {

using detail::field;

// After the servers were closed by force, the run waits this long for the goroutines that notice.
constexpr std::chrono::milliseconds kForceGrace{500};

// Of the goroutines that hang, this many are logged one by one. The others are only counted.
constexpr std::size_t kGoroutinesShown = 32;

AppOptions with_name(AppOptions options) {
  if (options.name.empty()) options.name = program_invocation_short_name;
  return options;
}

// Makes the app's signals end its run: the first signal stops the app, and the second ends the process.
class RunSignals {
 public:
  RunSignals(const AppOptions& options, CancelCauseFunc cancel)
      : RunSignals(detail::signal_mask(options.signals), options.name, cancel) {}
  ~RunSignals() {
    if (subscription_ != nullptr) detail::SignalHub::instance().unsubscribe(*subscription_);
  }
  RunSignals(const RunSignals&) = delete;
  RunSignals& operator=(const RunSignals&) = delete;

 private:
  RunSignals(detail::SignalMask mask, const std::string& program, const CancelCauseFunc& cancel)
      : forced_exit_(mask, program) {
    if (mask == 0) return;
    subscription_ = detail::SignalHub::instance().subscribe(
        mask, [cancel](int signal) { cancel(Error::text("signal " + detail::signal_name(signal) + " received")); });
  }

  const detail::NoSigpipe no_sigpipe_;
  const detail::ForcedExit forced_exit_;
  std::shared_ptr<detail::SignalSubscription> subscription_;
};

}  // namespace

App::Life::Life(AppOptions app_options)
    : options(with_name(std::move(app_options))),
      logger_(options.logger != nullptr ? options.logger : spdlog::default_logger()) {
  std::tie(run_context_, cancel_run_) = with_cancel_cause(background());
}

void App::Life::stop() noexcept { cancel_run_(Error::text("stop requested")); }

int App::Life::run() {
  if (ran_.exchange(true, std::memory_order_relaxed)) panic("app: run called twice");
  std::optional<RunSignals> signals;
  try {
    signals.emplace(options, cancel_run_);
  } catch (const std::system_error& e) {
    start_failed(Error(e.code(), "signal"));
    return 1;
  }
  if (start() == Start::serving) static_cast<void>(run_context_.done().recv());
  return finish();
}

// --- start -----------------------------------------------------------------------------------------------------------

App::Life::Start App::Life::start() {
  if (const Start hooks = run_start_hooks(before_start, "before_start"); hooks != Start::serving) return hooks;
  for (const auto& member : members) {
    if (const Error error = member->server->listen()) {
      start_failed(error);
      return Start::failed;
    }
  }
  serve_all();
  log_start();
  if (const Start hooks = run_start_hooks(after_start, "after_start"); hooks != Start::serving) return hooks;
  ready_.store(true, std::memory_order_release);
  return Start::serving;
}

App::Life::Start App::Life::run_start_hooks(const std::vector<Hook>& hooks, std::string_view kind) {
  for (const Hook& hook : hooks) {
    if (stopping()) return Start::stopped;
    const Error error = hook(run_context_);
    // A hook that gave up because the app was told to stop has not failed.
    if (error && stopping() && error == Condition::canceled) return Start::stopped;
    if (error) {
      start_failed(error.wrap(std::string(kind) + " hook"));
      return Start::failed;
    }
  }
  return stopping() ? Start::stopped : Start::serving;
}

void App::Life::serve_all() {
  serve_begun_ = true;
  for (const auto& member : members) {
    serving_.go([self = shared_from_this(), member] {
      const Error error = member->server->serve();
      member->ended.store(true, std::memory_order_release);
      if (!error) return self->cancel_run_(Error::text(member->server->name() + " server ended"));
      self->failed_.store(true, std::memory_order_relaxed);
      self->log().error("server failed server={} error={}", field(member->server->name()), field(error.message()));
      self->cancel_run_(error);
    });
  }
}

void App::Life::log_start() const {
  const RuntimeStats stats = runtime_stats();
  log().info("starting name={} version={} pid={}", field(options.name), field(options.version), ::getpid());
  log().info("poller name={} reason={}", stats.poller, field(stats.poller_reason));
  log().info("procs count={}", stats.procs);
  for (const auto& member : members) {
    log().info("listening server={} address={}", field(member->server->name()), field(member->server->address()));
  }
}

void App::Life::start_failed(const Error& error) {
  failed_.store(true, std::memory_order_relaxed);
  std::fprintf(stderr, "%s: %s\n", one_line(options.name).c_str(), one_line(error.message()).c_str());
}

// --- stop ------------------------------------------------------------------------------------------------------------

int App::Life::finish() {
  const bool was_ready = ready_.exchange(false, std::memory_order_acq_rel);
  if (was_ready) {
    log().info("stopping reason={} timeout={}", field(cause(run_context_).message()), field(options.stop_timeout));
    sleep(options.drain_delay);
  }
  cancel_run_({});  // tells hooks and servers of a failed start that the run is over

  const bool limited = options.stop_timeout > std::chrono::nanoseconds::zero();
  auto [ctx, cancel] = limited ? with_timeout(background(), options.stop_timeout) : with_cancel(background());
  // The first value decides: true means that the stop is complete, false that time is up.
  const Chan<bool> ends = make_chan<bool>(3);
  const StopFunc disarm = after_func(ctx, [ends] { ends.send(false); });
  go([self = shared_from_this(), limit = ctx, ends] {
    self->stop_gently(limit);
    ends.send(true);
  });
  const bool in_time = *ends.recv();
  if (!in_time) {
    failed_.store(true, std::memory_order_relaxed);
    log_what_hangs();
    for (const auto& member : members) member->server->close();
    const auto [grace, cancel_grace] = with_timeout(background(), kForceGrace);
    const StopFunc disarm_grace = after_func(grace, [ends] { ends.send(false); });
    static_cast<void>(ends.recv());
    disarm_grace();
    cancel_grace();
  }
  disarm();
  cancel();
  const int status = failed_.load(std::memory_order_relaxed) ? 1 : 0;
  if (was_ready) log().info("stopped status={}", status);
  return status;
}

void App::Life::stop_gently(const Context& ctx) {
  if (serve_begun_) run_stop_hooks(before_stop, "before_stop", ctx);
  WaitGroup stops;
  for (const auto& member : members) {
    if (!serve_begun_) {
      member->server->close();
      continue;
    }
    stops.go([this, &server = *member->server, &ctx] { stop_server(server, ctx); });
  }
  stops.wait();
  serving_.wait();
  run_stop_hooks(after_stop, "after_stop", ctx);
}

void App::Life::stop_server(Server& server, const Context& ctx) {
  const Error error = server.stop(ctx);
  if (!error) return;
  failed_.store(true, std::memory_order_relaxed);
  if (ctx.err()) return;  // finish() logs what hangs, and closes the server
  log().error("server did not stop server={} error={}", field(server.name()), field(error.message()));
  server.close();
}

void App::Life::run_stop_hooks(const std::vector<Hook>& hooks, std::string_view kind, const Context& ctx) {
  for (const Hook& hook : hooks) {
    const Error error = hook(ctx);
    if (!error) continue;
    failed_.store(true, std::memory_order_relaxed);
    log().error("hook failed hook={} error={}", kind, field(error.message()));
  }
}

void App::Life::log_what_hangs() const {
  log().warn("stop timeout passed timeout={}", field(options.stop_timeout));
  for (const auto& member : members) {
    if (!serve_begun_ || member->ended.load(std::memory_order_acquire)) continue;
    const Server& server = *member->server;
    const std::string busy = server.busy();
    log().warn("closing by force server={} address={}{}{}", field(server.name()), field(server.address()),
               busy.empty() ? "" : " ", one_line(busy));
  }
  std::size_t more = 0;
  std::size_t shown = 0;
  for (const GoroutineInfo& g : goroutines()) {
    if (g.id == this_goroutine::id()) continue;
    if (shown++ >= kGoroutinesShown) {
      ++more;
      continue;
    }
    log().warn("still there goroutine={} parent={} state={} since={}", g.id, g.parent_id, field(g.status()),
               field(g.waiting_for));
  }
  if (more > 0) log().warn("still there more_goroutines={}", more);
}

}  // namespace weft::app
