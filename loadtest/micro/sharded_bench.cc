// Counting from every goroutine: a Sharded counter against one atomic and against one under a mutex. Each iteration starts a
// goroutine per processor, lets each count kEach times, and waits for them; the argument is the number of processors.
#include "weft/sharded.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <mutex>

#include "weft/go.h"
#include "weft/wait_group.h"

namespace {

constexpr std::int64_t kEach = 100'000;

template <typename Count>
void count_everywhere(benchmark::State& state, Count count) {
  const int procs = static_cast<int>(state.range(0));
  weft::run(
      [&] {
        for ([[maybe_unused]] auto _ : state) {
          weft::WaitGroup group;
          for (int p = 0; p < procs; ++p) {
            group.go([&count] {
              for (std::int64_t i = 0; i < kEach; ++i) count();
            });
          }
          group.wait();
        }
      },
      {.procs = procs});
  state.SetItemsProcessed(state.iterations() * procs * kEach);
}

void sharded(benchmark::State& state) {
  weft::Sharded<std::atomic<std::uint64_t>> counter;
  count_everywhere(state, [&] { counter.get().fetch_add(1, std::memory_order_relaxed); });
}

void one_atomic(benchmark::State& state) {
  std::atomic<std::uint64_t> counter{0};
  count_everywhere(state, [&] { counter.fetch_add(1, std::memory_order_relaxed); });
}

void one_mutex(benchmark::State& state) {
  std::mutex mutex;
  std::uint64_t counter = 0;
  count_everywhere(state, [&] {
    const std::lock_guard lock(mutex);
    benchmark::DoNotOptimize(++counter);
  });
}

BENCHMARK(sharded)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();
BENCHMARK(one_atomic)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();
BENCHMARK(one_mutex)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();

}  // namespace
