// Pages that show a running program from inside, for a server of their own that outsiders can't reach.
//
//   weft::http::Server server({.address = "127.0.0.1:8001", .handler = weft::http::debug::handler()});
//
//   /debug/                     an index
//   /debug/vars                 counters of the runtime and of the servers, as JSON
//   /debug/goroutines           every goroutine, one a line: who started it and where, its labels, what it waits for,
//                               since when
//   /debug/goroutines?debug=2   every goroutine with its stack, in Go's format: weft::stack({.all = true})
//   /debug/hogs                 the latest goroutines that kept their threads for too long, with their stacks:
//                               weft::recent_hogs()
#pragma once

#include <functional>
#include <string>

#include <weft/http/response_writer.h>
#include <weft/http/server.h>

namespace weft::http::debug {

struct Options {
  // The program's name and version, for /debug/vars. Empty: "".
  std::string name = {};
  std::string version = {};

  // The counters shown as "connections" and "requests": those of one server, or the sum of several. Called for each
  // request of /debug/vars, from any goroutine. Empty: zeros.
  std::function<ServerStats()> server_stats = {};
};

// Answers GET and HEAD of the pages above; 404 and 405 for the rest. "uptime_seconds" counts from this call.
// Thread safety: the handler may serve many requests at the same time, and copies of it are equal. Blocking: only the
// writes block; stacks, which may take seconds to make where there are many, are made off the processor.
// Nothing is counted or kept for these pages: a page costs what it takes to make it, when somebody asks for it. The
// first page with stacks loads debug information.
Handler handler(Options options = {});

}  // namespace weft::http::debug
