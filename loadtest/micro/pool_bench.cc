// Taking a buffer and putting it back, on every processor: a Pool against a list under one mutex, and against a new buffer each
// time. Each iteration starts a goroutine per processor, lets each do kEach rounds, and waits for them; the argument is the number
// of processors.
#include "weft/pool.h"

#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/wait_group.h"

namespace {

constexpr std::int64_t kEach = 100'000;

using Buffer = std::array<char, 4096>;

template <typename Use>
void use_everywhere(benchmark::State& state, Use use) {
  const int procs = static_cast<int>(state.range(0));
  weft::run(
      [&] {
        for ([[maybe_unused]] auto _ : state) {
          weft::WaitGroup group;
          for (int p = 0; p < procs; ++p) {
            group.go([&use] {
              for (std::int64_t i = 0; i < kEach; ++i) use();
            });
          }
          group.wait();
        }
      },
      {.procs = procs});
  state.SetItemsProcessed(state.iterations() * procs * kEach);
}

void touch(Buffer& buffer) {
  buffer[0] = 1;
  benchmark::DoNotOptimize(buffer);
}

void pool(benchmark::State& state) {
  weft::Pool<Buffer> buffers;
  use_everywhere(state, [&] {
    const auto buffer = buffers.get();
    touch(*buffer);
  });
}

void pool_of_two(benchmark::State& state) {
  weft::Pool<Buffer> buffers;
  use_everywhere(state, [&] {
    const auto first = buffers.get();
    const auto second = buffers.get();
    touch(*first);
    touch(*second);
  });
}

void list_under_mutex(benchmark::State& state) {
  weft::Mutex mutex;
  std::vector<std::unique_ptr<Buffer>> free;
  use_everywhere(state, [&] {
    std::unique_ptr<Buffer> buffer;
    {
      const std::lock_guard lock(mutex);
      if (!free.empty()) {
        buffer = std::move(free.back());
        free.pop_back();
      }
    }
    if (buffer == nullptr) buffer = std::make_unique<Buffer>();
    touch(*buffer);
    const std::lock_guard lock(mutex);
    free.push_back(std::move(buffer));
  });
}

void new_each_time(benchmark::State& state) {
  use_everywhere(state, [] { touch(*std::make_unique_for_overwrite<Buffer>()); });
}

BENCHMARK(pool)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();
BENCHMARK(pool_of_two)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();
BENCHMARK(list_under_mutex)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();
BENCHMARK(new_each_time)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();

}  // namespace
