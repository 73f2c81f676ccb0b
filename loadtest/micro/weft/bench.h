// This header has what the micro-benchmarks share: the sample, how a sample is timed, and the bodies.
//
// Each file here has its twin under ../go. Twins do the same operations in the same order. The checksum, which depends
// on each operation, proves that: ../run knows what the checksum must be.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace micro {

// Does `ops` operations and returns a checksum over them.
using Pass = std::uint64_t (*)(std::int64_t ops);

// The result of one process. It is either a timed pass or a set of named metrics.
class Sample {
 public:
  explicit Sample(std::int64_t ops) : ops_(ops) {}

  std::int64_t ops() const noexcept { return ops_; }

  // Runs one pass under the clock. Before that, a pass of `warm_ops` touches the stacks, the heap and the caches for
  // the first time. With 0 there is no such pass, and the first touch is part of the measure.
  void time(Pass pass, std::int64_t warm_ops);

  void set_checksum(std::uint64_t checksum) { checksum_ = checksum; }
  void add_metric(std::string name, double value) { metrics_.emplace_back(std::move(name), value); }

  // Adds the metrics p50, p99 and max, with `prefix` before each name.
  void add_percentiles(std::vector<std::int64_t> nanoseconds, const std::string& prefix = {});

  // Prints the sample on stdout as one line of JSON.
  void print(int procs) const;

 private:
  std::int64_t ops_;
  std::uint64_t checksum_ = 0;
  std::int64_t wall_ns_ = 0;
  std::int64_t cpu_ns_ = 0;  // of the whole process, user and kernel
  std::vector<std::pair<std::string, double>> metrics_;
};

inline std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Returns the CPU time of the whole process, user and kernel.
std::int64_t process_cpu_ns() noexcept;

// Ends the process with status 1 and one line on stderr.
[[noreturn]] void fail(const char* what);

// spawn.cc
std::uint64_t spawn_join(std::int64_t ops);
std::uint64_t spawn_join_one(std::int64_t ops);
std::uint64_t spawn_steal(std::int64_t ops);
std::uint64_t yield_1(std::int64_t ops);
std::uint64_t yield_2(std::int64_t ops);
std::uint64_t yield_8(std::int64_t ops);

// chan.cc
std::uint64_t ping_pong(std::int64_t ops);
std::uint64_t chan_buffered(std::int64_t ops);
std::uint64_t chan_uncontended(std::int64_t ops);
std::uint64_t chan_4x4_unbuffered(std::int64_t ops);
std::uint64_t chan_4x4_buffered(std::int64_t ops);
std::uint64_t skynet(std::int64_t leaves);

// select.cc
std::uint64_t select_ready(std::int64_t ops);
std::uint64_t select_default(std::int64_t ops);
std::uint64_t select_blocked(std::int64_t ops);
std::uint64_t select_timeout(std::int64_t ops);

// time.cc
std::uint64_t timer_start_stop(std::int64_t ops);
std::uint64_t timer_reset(std::int64_t ops);
std::uint64_t after_func_stop(std::int64_t ops);
std::uint64_t after_func_fire(std::int64_t ops);
std::uint64_t after_func_fire_one(std::int64_t ops);
void tickers(Sample& sample);
void tickers_spread(Sample& sample);

// sync.cc
std::uint64_t mutex_free(std::int64_t ops);
std::uint64_t mutex_contended(std::int64_t ops);
std::uint64_t wait_group(std::int64_t ops);
std::uint64_t rwmutex_read(std::int64_t ops);
std::uint64_t once(std::int64_t ops);
std::uint64_t pool(std::int64_t ops);

// shared.cc
std::uint64_t rwmutex_read_shared(std::int64_t ops);
std::uint64_t pool_shared(std::int64_t ops);
std::uint64_t pool_two_shared(std::int64_t ops);
std::uint64_t list_shared(std::int64_t ops);
std::uint64_t new_shared(std::int64_t ops);
std::uint64_t concurrent_map(std::int64_t ops);
std::uint64_t mutex_map(std::int64_t ops);
std::uint64_t atomic_value_shared(std::int64_t ops);
std::uint64_t mutex_value_shared(std::int64_t ops);
std::uint64_t sharded_shared(std::int64_t ops);
std::uint64_t atomic_shared(std::int64_t ops);

// context.cc
std::uint64_t context_cancel(std::int64_t ops);
std::uint64_t context_child(std::int64_t ops);
std::uint64_t context_value(std::int64_t ops);

// latency.cc
void wake(Sample& sample);
void sleep_late(Sample& sample);

// stalls.cc
void hog_echo(Sample& sample);
void blocking_tick(Sample& sample);

// memory.cc
void parked(Sample& sample);

}  // namespace micro
