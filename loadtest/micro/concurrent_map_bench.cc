// Nine loads and a store, of keys all over a map: a ConcurrentMap against a std::unordered_map under one mutex. Each iteration
// starts a goroutine per processor, lets each do kEach operations, and waits for them; the argument is the number of
// processors.
#include "weft/concurrent_map.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "weft/go.h"
#include "weft/mutex.h"
#include "weft/wait_group.h"

namespace {

constexpr std::uint64_t kKeys = 1024;
constexpr std::uint64_t kEach = 100'000;

template <typename Load, typename Store>
void use_everywhere(benchmark::State& state, Load load, Store store) {
  const int procs = static_cast<int>(state.range(0));
  for (std::uint64_t key = 0; key < kKeys; ++key) store(key, key);
  weft::run(
      [&] {
        for ([[maybe_unused]] auto _ : state) {
          weft::WaitGroup group;
          for (int p = 0; p < procs; ++p) {
            group.go([&load, &store, p] {
              std::uint64_t random = 88'172'645'463'325'252 + static_cast<std::uint64_t>(p);
              for (std::uint64_t i = 0; i < kEach; ++i) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                const std::uint64_t key = random % kKeys;
                if (i % 10 == 0) {
                  store(key, i);
                } else {
                  benchmark::DoNotOptimize(load(key));
                }
              }
            });
          }
          group.wait();
        }
      },
      {.procs = procs});
  state.SetItemsProcessed(state.iterations() * procs * static_cast<std::int64_t>(kEach));
}

void concurrent_map(benchmark::State& state) {
  weft::ConcurrentMap<std::uint64_t, std::uint64_t> map;
  use_everywhere(
      state, [&](std::uint64_t key) { return map.load(key); },
      [&](std::uint64_t key, std::uint64_t value) { map.store(key, value); });
}

void one_mutex(benchmark::State& state) {
  weft::Mutex mutex;
  std::unordered_map<std::uint64_t, std::uint64_t> map;
  use_everywhere(
      state,
      [&](std::uint64_t key) -> std::optional<std::uint64_t> {
        const std::lock_guard lock(mutex);
        const auto at = map.find(key);
        return at == map.end() ? std::nullopt : std::optional(at->second);
      },
      [&](std::uint64_t key, std::uint64_t value) {
        const std::lock_guard lock(mutex);
        map.insert_or_assign(key, value);
      });
}

BENCHMARK(concurrent_map)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();
BENCHMARK(one_mutex)->RangeMultiplier(2)->Range(1, 8)->UseRealTime();

}  // namespace
