// micro_bench NAME OPS runs one benchmark, once, at the width that WEFT_PROCS gives. ../run calls it.
#include <sys/resource.h>
#include <weft/go.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "bench.h"

namespace micro {
namespace {

// Warms up with a tenth of the pass, but never with so little that a batch of goroutines would be made for the first
// time under the clock.
template <Pass pass>
void timed(Sample& sample) {
  sample.time(pass, std::min(sample.ops(), std::max<std::int64_t>(sample.ops() / 10, 1024)));
}

template <Pass pass>
void timed_cold(Sample& sample) {
  sample.time(pass, 0);
}

template <Pass pass>
void timed_after_one_like_it(Sample& sample) {
  sample.time(pass, sample.ops());
}

struct Benchmark {
  std::string_view name;
  void (*body)(Sample&);
};

constexpr Benchmark kBenchmarks[] = {
    {"spawn_join", timed<spawn_join>},
    {"spawn_join_one", timed<spawn_join_one>},
    {"spawn_steal", timed<spawn_steal>},
    {"yield_1", timed<yield_1>},
    {"yield_2", timed<yield_2>},
    {"yield_8", timed<yield_8>},
    {"ping_pong", timed<ping_pong>},
    {"chan_buffered", timed<chan_buffered>},
    {"chan_uncontended", timed<chan_uncontended>},
    {"chan_4x4_unbuffered", timed<chan_4x4_unbuffered>},
    {"chan_4x4_buffered", timed<chan_4x4_buffered>},
    {"skynet", timed_cold<skynet>},
    {"skynet_warm", timed_after_one_like_it<skynet>},
    {"select_ready", timed<select_ready>},
    {"select_default", timed<select_default>},
    {"select_blocked", timed<select_blocked>},
    {"select_timeout", timed<select_timeout>},
    {"timer_start_stop", timed<timer_start_stop>},
    {"timer_reset", timed<timer_reset>},
    {"after_func_stop", timed<after_func_stop>},
    {"after_func_fire", timed<after_func_fire>},
    {"after_func_fire_one", timed<after_func_fire_one>},
    {"tickers", tickers},
    {"tickers_spread", tickers_spread},
    {"mutex_free", timed<mutex_free>},
    {"mutex_contended", timed<mutex_contended>},
    {"wait_group", timed<wait_group>},
    {"rwmutex_read", timed<rwmutex_read>},
    {"rwmutex_read_shared", timed<rwmutex_read_shared>},
    {"once", timed<once>},
    {"pool", timed<pool>},
    {"pool_shared", timed<pool_shared>},
    {"pool_two_shared", timed<pool_two_shared>},
    {"list_shared", timed<list_shared>},
    {"new_shared", timed<new_shared>},
    {"concurrent_map", timed<concurrent_map>},
    {"mutex_map", timed<mutex_map>},
    {"atomic_value_shared", timed<atomic_value_shared>},
    {"mutex_value_shared", timed<mutex_value_shared>},
    {"sharded_shared", timed<sharded_shared>},
    {"atomic_shared", timed<atomic_shared>},
    {"context_cancel", timed<context_cancel>},
    {"context_child", timed<context_child>},
    {"context_value", timed<context_value>},
    {"wake", wake},
    {"sleep_late", sleep_late},
    {"hog_echo", hog_echo},
    {"blocking_tick", blocking_tick},
    {"parked", parked},
};

int usage() {
  std::fprintf(stderr, "usage: [WEFT_PROCS=N] micro_bench NAME OPS\nnames:");
  for (const Benchmark& benchmark : kBenchmarks)
    std::fprintf(stderr, " %.*s", static_cast<int>(benchmark.name.size()), benchmark.name.data());
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace

std::int64_t process_cpu_ns() noexcept {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto ns = [](const timeval& t) { return (std::int64_t{t.tv_sec} * 1'000'000 + t.tv_usec) * 1000; };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

void fail(const char* what) {
  std::fprintf(stderr, "micro_bench: %s\n", what);
  std::_Exit(1);
}

void Sample::time(Pass pass, std::int64_t warm_ops) {
  if (warm_ops > 0) pass(warm_ops);
  const std::int64_t cpu = process_cpu_ns();
  const std::int64_t start = now_ns();
  checksum_ = pass(ops_);
  wall_ns_ = now_ns() - start;
  cpu_ns_ = process_cpu_ns() - cpu;
}

void Sample::add_percentiles(std::vector<std::int64_t> nanoseconds, const std::string& prefix) {
  std::sort(nanoseconds.begin(), nanoseconds.end());
  const std::size_t last = nanoseconds.size() - 1;
  add_metric(prefix + "p50", static_cast<double>(nanoseconds[last * 50 / 100]));
  add_metric(prefix + "p99", static_cast<double>(nanoseconds[last * 99 / 100]));
  add_metric(prefix + "max", static_cast<double>(nanoseconds[last]));
}

void Sample::print(int procs) const {
  std::printf(R"({"procs": %d, "ops": %lld, "checksum": %llu, "wall_ns": %lld, "cpu_ns": %lld, "metrics": {)", procs,
              static_cast<long long>(ops_), static_cast<unsigned long long>(checksum_),
              static_cast<long long>(wall_ns_), static_cast<long long>(cpu_ns_));
  const char* separator = "";
  for (const auto& [name, value] : metrics_) {
    std::printf("%s\"%s\": %.10g", separator, name.c_str(), value);
    separator = ", ";
  }
  std::printf("}}\n");
}

}  // namespace micro

int main(int argc, char** argv) {
  if (argc != 3) return micro::usage();
  char* end = nullptr;
  errno = 0;
  const long long ops = std::strtoll(argv[2], &end, 10);
  if (*end != '\0' || errno != 0 || ops < 1) return micro::usage();
  const auto* benchmark = std::find_if(std::begin(micro::kBenchmarks), std::end(micro::kBenchmarks),
                                       [&](const micro::Benchmark& b) { return b.name == argv[1]; });
  if (benchmark == std::end(micro::kBenchmarks)) return micro::usage();
  // The runtime warns of hogs, and some benchmarks are hogs on purpose.
  return weft::run(
      [&] {
        micro::Sample sample(ops);
        benchmark->body(sample);
        sample.print(weft::procs());
      },
      {.log = [](weft::LogLevel, std::string_view) {}});
}
