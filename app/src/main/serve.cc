#include "app/src/main/serve.h"

#include <malloc.h>
#include <sys/resource.h>

#include <cstdlib>

#include "app/src/main/routes.h"
#include "weft/app/app.h"
#include "weft/app/log.h"

namespace weft::program {
namespace {

// A poller named on the command line takes precedence over the one in the environment.
PollerChoice choose_poller(const std::string& poller) {
  if (poller == "io_uring") return PollerChoice::io_uring;
  if (poller == "io_uring_plain") return PollerChoice::io_uring_plain;
  if (poller == "epoll") return PollerChoice::epoll;
  if (!poller.empty()) ::setenv("WEFT_POLLER", poller.c_str(), 1);
  return PollerChoice::automatic;
}

// The usual soft limit of 1024 descriptors is meant for programs that use select(2).
void raise_file_limit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Bounds what glibc keeps at the end of each arena. The first number is glibc's default, but glibc raises it, to 64 MiB
// at the most, as larger blocks are freed, unless it is set. When more than that is free, all but the second number of
// bytes goes back. Setting either also leaves M_MMAP_THRESHOLD at 128 KiB: a larger block is a mapping of its own.
void bound_free_memory() {
  ::mallopt(M_TRIM_THRESHOLD, 128 * 1024);
  ::mallopt(M_TOP_PAD, 16 * 1024);
}

}  // namespace

int serve(const ServeCommand& command) {
  raise_file_limit();
  bound_free_memory();
  app::set_up_log({.level = spdlog::level::from_str(command.log_level)});
  app::App app({
      .name = "weft",
      .version = WEFT_VERSION,
      .stop_timeout = command.stop_timeout,
      .drain_delay = command.drain_delay,
      .runtime = {.procs = command.procs, .poller = choose_poller(command.poller)},
  });
  app.serve(make_routes(app), {.address = command.address});
  if (!command.debug_address.empty()) app.serve_debug({.address = command.debug_address});
  return app.run();
}

}  // namespace weft::program
