// Locks and wait groups.
#include <weft/sync.h>

#include "bench.h"

namespace micro {
namespace {

constexpr int kContenders = 4;

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

}  // namespace micro
