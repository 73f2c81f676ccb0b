// Counters of the running runtime, for dashboards and tests. Any thread; a snapshot that is a moment old.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace weft {

struct RuntimeStats {
  std::size_t goroutines = 0;
  int procs = 0;
  int idle_procs = 0;
  int machines = 0;           // threads for goroutines
  int idle_machines = 0;      // of these, the ones that wait for a processor
  std::string poller;         // "io_uring", "io_uring_plain" or "epoll"
  std::string poller_reason;  // why that one
  std::uint64_t spawned = 0;  // goroutines started since the runtime did
  std::uint64_t parks = 0;
  std::uint64_t steals = 0;     // times a processor took goroutines from another
  std::uint64_t polls = 0;      // looks at the poller
  std::uint64_t rounds = 0;     // times that a goroutine was switched to
  std::uint64_t hogs = 0;       // times that a goroutine computed for so long that it lost its processor
  std::size_t timers = 0;       // armed
  std::size_t descriptors = 0;  // open sockets and files of the poller
  std::size_t stacks = 0;       // goroutine stacks ever made, in use or pooled
};

// All zero when no runtime runs.
RuntimeStats runtime_stats();

// A goroutine that computed for so long that its processor was given to another thread.
struct HogInfo {
  std::uint64_t goroutine = 0;
  int processor = 0;
  std::chrono::system_clock::time_point when;
  std::chrono::nanoseconds computed{};  // when it was noticed
  std::string stack;                    // then
};

// The latest 32, oldest first. Any thread.
std::vector<HogInfo> recent_hogs();

}  // namespace weft
