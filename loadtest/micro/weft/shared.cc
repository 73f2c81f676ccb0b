// Measures what goroutines on all processors use at the same time: pools, maps, values and counters, beside the plain
// ways to do the same.
#include <weft/go.h>
#include <weft/lock_guard.h>
#include <weft/sync.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench.h"

namespace micro {
namespace {

constexpr int kMapUsers = 4;
constexpr std::int64_t kKeys = 1000;
constexpr std::int64_t kStoreEvery = 10;

struct Buffer {
  std::int64_t at = 0;
  std::array<char, 1024> bytes{};
};

// Runs use(n) in as many goroutines as there are processors, and returns the sum of what the calls return. The numbers
// n are parts of `ops`.
template <typename Use>
std::uint64_t on_each_processor(std::int64_t ops, const Use& use) {
  std::vector<std::uint64_t> results(static_cast<std::size_t>(weft::procs()));
  const auto users = static_cast<std::int64_t>(results.size());
  weft::WaitGroup group;
  for (std::int64_t user = 0; user < users; ++user) {
    group.go([&use, &result = results[static_cast<std::size_t>(user)], n = ops / users + (user < ops % users ? 1 : 0)] {
      result = use(n);
    });
  }
  group.wait();
  std::uint64_t sum = 0;
  for (const std::uint64_t result : results) sum += result;
  return sum;
}

// Writes to the buffer, where the compiler can't see that nobody reads it. Returns 1.
std::uint64_t touch(Buffer& buffer, std::int64_t i) {
  buffer.at = i;
  asm volatile("" : : "r"(&buffer) : "memory");
  return 1;
}

// A map with one mutex around it, with the operations of ConcurrentMap that use_map() needs.
class MutexMap {
 public:
  void store(std::int64_t key, std::int64_t value) {
    const weft::LockGuard lock(mutex_);
    map_.insert_or_assign(key, value);
  }
  std::optional<std::int64_t> load(std::int64_t key) {
    const weft::LockGuard lock(mutex_);
    const auto at = map_.find(key);
    if (at == map_.end()) return std::nullopt;
    return at->second;
  }

 private:
  weft::Mutex mutex_;
  std::unordered_map<std::int64_t, std::int64_t> map_ WEFT_GUARDED_BY(mutex_);
};

// A list of free buffers with one mutex around it.
class MutexList {
 public:
  std::unique_ptr<Buffer> get() {
    {
      const weft::LockGuard lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<Buffer> buffer = std::move(free_.back());
        free_.pop_back();
        return buffer;
      }
    }
    return std::make_unique<Buffer>();
  }
  void put(std::unique_ptr<Buffer> buffer) {
    const weft::LockGuard lock(mutex_);
    free_.push_back(std::move(buffer));
  }

 private:
  weft::Mutex mutex_;
  std::vector<std::unique_ptr<Buffer>> free_ WEFT_GUARDED_BY(mutex_);
};

// Key k always has the value k. Returns how many operations found it so.
template <typename Map>
std::uint64_t use_map(Map& map, std::uint64_t seed, std::int64_t ops) {
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

template <typename Map>
std::uint64_t use_map_from_goroutines(std::int64_t ops) {
  Map map;
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

}  // namespace

std::uint64_t rwmutex_read_shared(std::int64_t ops) {
  weft::RWMutex mutex;
  return on_each_processor(ops, [&mutex](std::int64_t n) {
    std::uint64_t counter = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      mutex.lock_shared();
      ++counter;
      mutex.unlock_shared();
    }
    return counter;
  });
}

std::uint64_t pool_shared(std::int64_t ops) {
  weft::Pool<Buffer> pool;
  return on_each_processor(ops, [&pool](std::int64_t n) {
    std::uint64_t touched = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const weft::Pool<Buffer>::Lease buffer = pool.get();
      touched += touch(*buffer, i);
    }
    return touched;
  });
}

std::uint64_t pool_two_shared(std::int64_t ops) {
  weft::Pool<Buffer> pool;
  return on_each_processor(ops, [&pool](std::int64_t n) {
    std::uint64_t touched = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const weft::Pool<Buffer>::Lease first = pool.get();
      const weft::Pool<Buffer>::Lease second = pool.get();
      touch(*first, i);
      touched += touch(*second, i);
    }
    return touched;
  });
}

std::uint64_t list_shared(std::int64_t ops) {
  MutexList list;
  return on_each_processor(ops, [&list](std::int64_t n) {
    std::uint64_t touched = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      std::unique_ptr<Buffer> buffer = list.get();
      touched += touch(*buffer, i);
      list.put(std::move(buffer));
    }
    return touched;
  });
}

std::uint64_t new_shared(std::int64_t ops) {
  return on_each_processor(ops, [](std::int64_t n) {
    std::uint64_t touched = 0;
    for (std::int64_t i = 0; i < n; ++i) touched += touch(*std::make_unique<Buffer>(), i);
    return touched;
  });
}

std::uint64_t concurrent_map(std::int64_t ops) {
  return use_map_from_goroutines<weft::ConcurrentMap<std::int64_t, std::int64_t>>(ops);
}

std::uint64_t mutex_map(std::int64_t ops) { return use_map_from_goroutines<MutexMap>(ops); }

std::uint64_t atomic_value_shared(std::int64_t ops) {
  const weft::AtomicValue<std::uint64_t> value(1);
  return on_each_processor(ops, [&value](std::int64_t n) {
    std::uint64_t sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += *value.load();
    return sum;
  });
}

std::uint64_t mutex_value_shared(std::int64_t ops) {
  weft::Mutex mutex;
  const std::shared_ptr<const std::uint64_t> value = std::make_shared<std::uint64_t>(1);
  return on_each_processor(ops, [&mutex, &value](std::int64_t n) {
    std::uint64_t sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      mutex.lock();
      const std::shared_ptr<const std::uint64_t> mine = value;
      mutex.unlock();
      sum += *mine;
    }
    return sum;
  });
}

std::uint64_t sharded_shared(std::int64_t ops) {
  weft::Sharded<std::atomic<std::uint64_t>> counter;
  on_each_processor(ops, [&counter](std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) counter.get().fetch_add(1, std::memory_order_relaxed);
    return std::uint64_t{0};
  });
  std::uint64_t sum = 0;
  counter.range([&sum](const std::atomic<std::uint64_t>& part) { sum += part.load(std::memory_order_relaxed); });
  return sum;
}

std::uint64_t atomic_shared(std::int64_t ops) {
  std::atomic<std::uint64_t> counter{0};
  on_each_processor(ops, [&counter](std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) counter.fetch_add(1, std::memory_order_relaxed);
    return std::uint64_t{0};
  });
  return counter.load(std::memory_order_relaxed);
}

}  // namespace micro
