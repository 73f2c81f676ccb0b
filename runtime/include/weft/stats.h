// Counters of the running runtime, for dashboards and tests. Any thread; a snapshot that is a moment old.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace weft {

struct RuntimeStats {
  std::size_t goroutines = 0;
  int procs = 0;
  int idle_procs = 0;
  int machines = 0;           // threads that run goroutines
  std::string poller;         // "io_uring", "io_uring_plain" or "epoll"
  std::string poller_reason;  // why that one
  std::uint64_t spawned = 0;  // goroutines started since the runtime did
  std::uint64_t parks = 0;
  std::uint64_t steals = 0;     // times a processor took goroutines from another
  std::uint64_t polls = 0;      // looks at the poller
  std::uint64_t rounds = 0;     // scheduling rounds
  std::size_t timers = 0;       // armed
  std::size_t descriptors = 0;  // open sockets and files of the poller
  std::size_t stacks = 0;       // goroutine stacks ever made, in use or pooled
};

// All zero when no runtime runs.
RuntimeStats runtime_stats();

}  // namespace weft
