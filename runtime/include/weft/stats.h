// Counters of the running runtime, for dashboards and tests. Any thread may read them; they are a snapshot, a moment
// old.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <weft/labels.h>
#include <weft/source_location.h>

namespace weft {

struct RuntimeStats {
  std::size_t goroutines = 0;
  int procs = 0;
  int idle_procs = 0;
  int machines = 0;           // threads for goroutines
  int idle_machines = 0;      // of these, the ones that wait for a processor
  std::string poller;         // "io_uring", "io_uring_plain" or "epoll"
  std::string poller_reason;  // why that one
  std::uint64_t spawned = 0;  // goroutines started since the runtime started
  std::uint64_t parks = 0;
  std::uint64_t steals = 0;     // times a processor took goroutines from another
  std::uint64_t polls = 0;      // looks at the poller
  std::uint64_t rounds = 0;     // times that a goroutine was switched to
  std::uint64_t hogs = 0;       // times that a goroutine kept its thread for so long that it lost its processor
  std::size_t timers = 0;       // armed
  std::size_t descriptors = 0;  // connections, listeners and Pollables that are not closed
  std::size_t stacks = 0;       // goroutine stacks ever made, in use or pooled
};

// Returns zeros when no runtime runs.
RuntimeStats runtime_stats();

// What a thread was doing when its goroutine was noticed. It is one look, not an account of all the time.
enum class HogThread {
  unknown,   // /proc did not say
  computes,  // it runs, or waits for a CPU
  sleeps,    // in a system call, or on a lock that is not weft's
};

// A goroutine that kept its thread for so long, without a scheduling point and outside blocking(), that its processor
// was given to another thread.
struct HogInfo {
  std::uint64_t goroutine = 0;
  std::uint64_t parent_id = 0;
  SourceLocation creator;  // where go() was called; nowhere for main
  Labels labels{};
  int processor = 0;                           // the one that it lost
  std::chrono::system_clock::time_point when;  // the time at which it was noticed
  std::chrono::nanoseconds kept{};             // how long it had kept its thread by then
  HogThread thread = HogThread::unknown;
  // Its stack soon after, in the format of weft::stack(); of a deep stack, the innermost 64 KiB. It is empty when the
  // thread sleeps (asking it would interrupt its system call), when the goroutine had come back by then, when its stack
  // was asked for within the second before, without RuntimeOptions::crash_reports, and under TSan.
  std::string stack;
};

// Returns the latest 32 hogs, the oldest first. Any thread. When there are stacks that nobody has read yet, it blocks
// the thread as weft::stack() does; in a goroutine, call it inside blocking().
std::vector<HogInfo> recent_hogs();

}  // namespace weft
