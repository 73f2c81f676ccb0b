// Measures locks, wait groups, once and pools.
#include <weft/go.h>
#include <weft/sync.h>

#include <array>

#include "bench.h"

namespace micro {
namespace {

constexpr int kContenders = 4;

struct Buffer {
  std::int64_t at = 0;
  std::array<char, 1024> bytes{};
};

}  // namespace

std::uint64_t mutex_free(std::int64_t ops) {
  weft::Mutex mutex;
  std::uint64_t counter = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    mutex.lock();
    ++counter;
    mutex.unlock();
  }
  return counter;
}

std::uint64_t mutex_contended(std::int64_t ops) {
  weft::Mutex mutex;
  std::uint64_t counter = 0;
  weft::WaitGroup group;
  for (int g = 0; g < kContenders; ++g) {
    group.go([&mutex, &counter, n = ops / kContenders] {
      for (std::int64_t i = 0; i < n; ++i) {
        mutex.lock();
        ++counter;
        mutex.unlock();
      }
    });
  }
  group.wait();
  return counter;
}

std::uint64_t wait_group(std::int64_t ops) {
  weft::WaitGroup group;
  std::uint64_t rounds = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    group.add(1);
    group.done();
    group.wait();
    ++rounds;
  }
  return rounds;
}

std::uint64_t rwmutex_read(std::int64_t ops) {
  weft::RWMutex mutex;
  std::uint64_t counter = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    mutex.lock_shared();
    ++counter;
    mutex.unlock_shared();
  }
  return counter;
}

std::uint64_t once(std::int64_t ops) {
  weft::Once once;
  std::uint64_t runs = 0;
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    once.do_once([&runs] { ++runs; });
    sum += runs;
  }
  return sum;
}

std::uint64_t pool(std::int64_t ops) {
  weft::Pool<Buffer> pool;
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    const weft::Pool<Buffer>::Lease buffer = pool.get();
    buffer->at = i;
    sum += static_cast<std::uint64_t>(buffer->at);
  }
  return sum;
}

}  // namespace micro
