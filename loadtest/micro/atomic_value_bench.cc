// Reading a configuration from every processor: an AtomicValue against one std::shared_ptr under a mutex. Each iteration
// starts a goroutine per processor, lets each read kEach times, and waits for them; the argument is the number of
// processors.
#include "weft/atomic_value.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <mutex>

#include "weft/detail/spin_mutex.h"
#include "weft/go.h"
#include "weft/wait_group.h"

namespace {

constexpr std::int64_t kEach = 100'000;

template <typename Read>
void read_everywhere(benchmark::State& state, Read read) {
  const int procs = static_cast<int>(state.range(0));
  weft::run(
      [&] {
        for ([[maybe_unused]] auto _ : state) {
          weft::WaitGroup group;
          for (int p = 0; p < procs; ++p) {
            group.go([&read] {
              for (std::int64_t i = 0; i < kEach; ++i) benchmark::DoNotOptimize(*read());
            });
          }
          group.wait();
        }
      },
      {.procs = procs});
  state.SetItemsProcessed(state.iterations() * procs * kEach);
}

void atomic_value(benchmark::State& state) {
  const weft::AtomicValue<int> value(1);
  read_everywhere(state, [&] { return value.load(); });
}

void one_pointer(benchmark::State& state) {
  weft::rt::SpinMutex mutex;
  const std::shared_ptr<const int> value = std::make_shared<int>(1);
  read_everywhere(state, [&] {
    const std::lock_guard lock(mutex);
    return value;
  });
}

BENCHMARK(atomic_value)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();
BENCHMARK(one_pointer)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();

}  // namespace
