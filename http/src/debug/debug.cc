#include "weft/http/debug.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "http/src/debug/process.h"
#include "weft/debug.h"
#include "weft/go.h"
#include "weft/http/mux.h"
#include "weft/stats.h"

namespace weft::http::debug {
namespace {

using Clock = std::chrono::steady_clock;

// A long page is written in pieces of about this size.
constexpr std::size_t kPiece = 32 * 1024;

void begin(ResponseWriter& w, std::string_view type) {
  w.header().set("Content-Type", type);
  w.header().set("X-Content-Type-Options", "nosniff");
  w.header().set("Cache-Control", "no-store");
}

// One variable a line, sorted, as in Go's expvar.
std::string render(const nlohmann::json& vars) {
  std::string text = "{\n";
  for (auto var = vars.begin(); var != vars.end(); ++var) {
    if (var != vars.begin()) text += ",\n";
    text +=
        nlohmann::json(var.key()).dump() + ": " + var->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return text + "\n}\n";
}

nlohmann::json variables(const Options& options, Clock::time_point start) {
  const RuntimeStats runtime = runtime_stats();
  const ProcessStatus process = process_status();
  const ServerStats servers = options.server_stats ? options.server_stats() : ServerStats();
  return {
      {"cmdline", command_line()},
      {"connections",
       {{"active", servers.active},
        {"idle", servers.idle},
        {"stalled", servers.stalled},
        {"total", servers.connections}}},
      {"descriptors", runtime.descriptors},
      {"goroutines", runtime.goroutines},
      {"hogs", runtime.hogs},
      {"idle_machines", runtime.idle_machines},
      {"idle_procs", runtime.idle_procs},
      {"machines", runtime.machines},
      {"name", options.name},
      {"parks", runtime.parks},
      {"poller", runtime.poller},
      {"poller_reason", runtime.poller_reason},
      {"polls", runtime.polls},
      {"procs", runtime.procs},
      {"requests", servers.requests},
      {"rounds", runtime.rounds},
      {"rss_bytes", process.rss_bytes},
      {"spawned", runtime.spawned},
      {"stacks", runtime.stacks},
      {"steals", runtime.steals},
      {"threads", process.threads},
      {"timers", runtime.timers},
      {"uptime_seconds", std::chrono::duration<double>(Clock::now() - start).count()},
      {"version", options.version},
  };
}

// The text in quotes, with what could break the line or the quotes escaped as in JSON.
std::string in_quotes(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Appends: creator="src/server.cc:111" function="void serve()" labels={"tenant":"a"}. The main goroutine has no
// creator, and most goroutines have no labels.
void append_origin(std::string& text, const SourceLocation& creator, const Labels& labels) {
  if (creator) {
    fmt::format_to(std::back_inserter(text), " creator={} function={}",
                   in_quotes(fmt::format("{}:{}", creator.file, creator.line)), in_quotes(creator.function));
  }
  if (labels.empty()) return;
  std::string_view separator = " labels={";
  for (const Label& label : labels) {
    fmt::format_to(std::back_inserter(text), "{}{}:{}", separator, in_quotes(label.key), in_quotes(label.value));
    separator = ",";
  }
  text += '}';
}

// Appends in one line: goroutine 17 parent=5 state=waiting reason="IO wait" since=1.250s, then its origin.
void append_line(std::string& text, const GoroutineInfo& g) {
  fmt::format_to(std::back_inserter(text), "goroutine {} parent={} state={}", g.id, g.parent_id, to_string(g.state));
  if (g.state == GoroutineState::waiting) {
    const double seconds = std::chrono::duration<double>(g.waiting_for).count();
    fmt::format_to(std::back_inserter(text), " reason=\"{}\" since={:.3f}s", g.wait_reason, seconds);
  }
  append_origin(text, g.creator, g.labels);
  text += '\n';
}

// Writes Go's text. The stacks are made off the processor, because loading debug information takes a while.
void serve_stacks(ResponseWriter& w) {
  static_cast<void>(w.write(blocking([] { return stack({.all = true}); })));
}

void serve_goroutines(ResponseWriter& w, Request& r) {
  begin(w, "text/plain; charset=utf-8");
  if (r.query_value("debug") == "2") return serve_stacks(w);
  const std::vector<GoroutineInfo> all = goroutines();
  std::string text = fmt::format("goroutines: total {}\n", all.size());
  for (const GoroutineInfo& g : all) {
    append_line(text, g);
    if (text.size() < kPiece) continue;
    if (w.write(text).ec) return;
    text.clear();
  }
  static_cast<void>(w.write(text));
}

std::string_view thread_name(HogThread thread) {
  switch (thread) {
    case HogThread::computes:
      return "computes";
    case HogThread::sleeps:
      return "sleeps";
    case HogThread::unknown:
      break;
  }
  return "unknown";
}

// Appends: 2026-11-21T12:10:14.250Z goroutine 17 parent=5 processor=0 kept=0.012s thread=computes, then its origin,
// and on the next lines its stack.
void append_hog(std::string& text, const HogInfo& hog) {
  const auto when = std::chrono::floor<std::chrono::milliseconds>(hog.when);
  const auto second = std::chrono::floor<std::chrono::seconds>(when);
  fmt::format_to(
      std::back_inserter(text), "\n{:%FT%T}.{:03}Z goroutine {} parent={} processor={} kept={:.3f}s thread={}",
      fmt::gmtime(std::chrono::system_clock::to_time_t(second)), (when - second).count(), hog.goroutine, hog.parent_id,
      hog.processor, std::chrono::duration<double>(hog.kept).count(), thread_name(hog.thread));
  append_origin(text, hog.creator, hog.labels);
  text += '\n';
  text += hog.stack;
}

void serve_hogs(ResponseWriter& w, Request&) {
  begin(w, "text/plain; charset=utf-8");
  std::vector<HogInfo> hogs = blocking([] { return recent_hogs(); });
  std::ranges::reverse(hogs);
  std::string text = fmt::format("hogs: total {}, the latest {}:\n", runtime_stats().hogs, hogs.size());
  for (const HogInfo& hog : hogs) append_hog(text, hog);
  static_cast<void>(w.write(text));
}

void serve_index(ResponseWriter& w, Request&) {
  begin(w, "text/html; charset=utf-8");
  static_cast<void>(
      w.write("<!DOCTYPE html>\n"
              "<html><head><title>/debug/</title></head><body>\n"
              "<h1>/debug/</h1>\n"
              "<ul>\n"
              "<li><a href=\"/debug/vars\">vars</a>: counters of the runtime and of the servers, as JSON</li>\n"
              "<li><a href=\"/debug/goroutines\">goroutines</a>: each one, and what it waits for; "
              "<a href=\"/debug/goroutines?debug=2\">with stacks</a></li>\n"
              "<li><a href=\"/debug/hogs\">hogs</a>: goroutines that kept their threads for too long</li>\n"
              "</ul>\n"
              "</body></html>\n"));
}

}  // namespace

Handler handler(Options options) {
  ServeMux mux;
  mux.handle("GET /debug/{$}", serve_index);
  mux.handle("GET /debug/goroutines", serve_goroutines);
  mux.handle("GET /debug/hogs", serve_hogs);
  mux.handle("GET /debug/vars", [options = std::make_shared<const Options>(std::move(options)), start = Clock::now()](
                                    ResponseWriter& w, Request&) {
    begin(w, "application/json; charset=utf-8");
    static_cast<void>(w.write(render(variables(*options, start))));
  });
  return mux;
}

}  // namespace weft::http::debug
