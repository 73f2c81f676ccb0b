// Measures starting goroutines, waiting for their end, and giving way.
#include <weft/go.h>
#include <weft/wait_group.h>

#include <algorithm>
#include <vector>

#include "bench.h"

namespace micro {
namespace {

constexpr std::int64_t kBatch = 1000;  // goroutines between two waits

// Computes for about 1 µs: each step needs the result of the one before.
constexpr int kTaskSteps = 750;
constexpr std::uint64_t kTaskSeeds = 64;

[[gnu::noinline]] std::uint64_t task(std::uint64_t x) {
  for (int i = 0; i < kTaskSteps; ++i) x = x * 6364136223846793005U + 1442695040888963407U;
  return x;
}

// Starts body(i) for each i below `ops` in a goroutine of its own, in batches. Returns the sum of what the bodies
// return.
template <typename Body>
std::uint64_t in_batches(std::int64_t ops, Body body) {
  std::vector<std::uint64_t> results(kBatch);
  std::uint64_t sum = 0;
  weft::WaitGroup group;
  for (std::int64_t first = 0; first < ops; first += kBatch) {
    const std::int64_t n = std::min(kBatch, ops - first);
    for (std::int64_t i = 0; i < n; ++i) {
      group.go([&result = results[static_cast<std::size_t>(i)], index = static_cast<std::uint64_t>(first + i), body] {
        result = body(index);
      });
    }
    group.wait();
    for (std::int64_t i = 0; i < n; ++i) sum += results[static_cast<std::size_t>(i)];
  }
  return sum;
}

std::uint64_t yield_in(std::int64_t ops) {
  std::uint64_t yields = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    weft::yield();
    ++yields;
  }
  return yields;
}

std::uint64_t yield_among(std::size_t goroutines, std::int64_t ops) {
  std::vector<std::uint64_t> yields(goroutines);
  weft::WaitGroup group;
  for (std::size_t g = 0; g < goroutines; ++g)
    group.go([&result = yields[g], n = ops / static_cast<std::int64_t>(goroutines)] { result = yield_in(n); });
  group.wait();
  std::uint64_t sum = 0;
  for (const std::uint64_t n : yields) sum += n;
  return sum;
}

}  // namespace

std::uint64_t spawn_join(std::int64_t ops) {
  return in_batches(ops, [](std::uint64_t index) { return index; });
}

std::uint64_t spawn_join_one(std::int64_t ops) {
  std::uint64_t sum = 0;
  weft::WaitGroup group;
  for (std::int64_t i = 0; i < ops; ++i) {
    group.go([&sum, i] { sum += static_cast<std::uint64_t>(i); });
    group.wait();
  }
  return sum;
}

std::uint64_t spawn_steal(std::int64_t ops) {
  return in_batches(ops, [](std::uint64_t index) { return task(index % kTaskSeeds); });
}

std::uint64_t yield_1(std::int64_t ops) { return yield_in(ops); }
std::uint64_t yield_2(std::int64_t ops) { return yield_among(2, ops); }
std::uint64_t yield_8(std::int64_t ops) { return yield_among(8, ops); }

}  // namespace micro
