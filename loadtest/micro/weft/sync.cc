// What goroutines share: locks, wait groups, once, pools and maps.
#include <weft/go.h>
#include <weft/sync.h>

#include <array>
#include <vector>

#include "bench.h"

namespace micro {
namespace {

constexpr int kContenders = 4;
constexpr int kMapUsers = 4;
constexpr std::int64_t kKeys = 1000;
constexpr std::int64_t kStoreEvery = 10;

struct Buffer {
  std::int64_t at = 0;
  std::array<char, 1024> bytes{};
};

// Key k has the value k, always. How many operations found it so.
std::uint64_t use_map(weft::ConcurrentMap<std::int64_t, std::int64_t>& map, std::uint64_t seed, std::int64_t ops) {
  std::uint64_t x = seed;
  std::uint64_t good = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    x = x * 6364136223846793005U + 1442695040888963407U;
    const auto key = static_cast<std::int64_t>((x >> 33U) % kKeys);
    if (i % kStoreEvery == 0) {
      map.store(key, key);
      ++good;
    } else if (map.load(key) == key) {
      ++good;
    }
  }
  return good;
}

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

std::uint64_t rwmutex_read_shared(std::int64_t ops) {
  weft::RWMutex mutex;
  std::vector<std::uint64_t> reads(static_cast<std::size_t>(weft::procs()));
  const auto readers = static_cast<std::int64_t>(reads.size());
  weft::WaitGroup group;
  for (std::int64_t r = 0; r < readers; ++r) {
    group.go([&mutex, &result = reads[static_cast<std::size_t>(r)], n = ops / readers + (r < ops % readers ? 1 : 0)] {
      std::uint64_t counter = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        mutex.lock_shared();
        ++counter;
        mutex.unlock_shared();
      }
      result = counter;
    });
  }
  group.wait();
  std::uint64_t sum = 0;
  for (const std::uint64_t n : reads) sum += n;
  return sum;
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

std::uint64_t concurrent_map(std::int64_t ops) {
  weft::ConcurrentMap<std::int64_t, std::int64_t> map;
  for (std::int64_t key = 0; key < kKeys; ++key) map.store(key, key);
  std::array<std::uint64_t, kMapUsers> results{};
  weft::WaitGroup group;
  for (std::size_t user = 0; user < kMapUsers; ++user)
    group.go([&map, &result = results[user], user, n = ops / kMapUsers] { result = use_map(map, user, n); });
  group.wait();
  std::uint64_t sum = 0;
  for (const std::uint64_t good : results) sum += good;
  return sum;
}

}  // namespace micro
