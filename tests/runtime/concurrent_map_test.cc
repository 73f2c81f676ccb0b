#include "weft/concurrent_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/matrix.h"
#include "weft/go.h"
#include "weft/wait_group.h"

namespace weft {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kRounds = 500;
#else
constexpr int kRounds = 5'000;
#endif

using Names = ConcurrentMap<std::string, std::string>;

std::map<std::string, std::string> contents(const Names& names) {
  std::map<std::string, std::string> all;
  names.range([&](const std::string& key, const std::string& value) {
    EXPECT_TRUE(all.emplace(key, value).second) << key << " twice";
    return true;
  });
  return all;
}

TEST(ConcurrentMap, LoadsWhatWasStored) {
  Names names;
  EXPECT_EQ(names.load("a"), std::nullopt);
  EXPECT_FALSE(names.contains("a"));
  names.store("a", "1");
  names.store("b", "2");
  EXPECT_EQ(names.load("a"), "1");
  EXPECT_TRUE(names.contains("b"));
  names.store("a", "3");
  EXPECT_EQ(names.load("a"), "3");
  EXPECT_EQ(names.size(), 2u);
}

TEST(ConcurrentMap, LoadOrStoreKeepsTheFirst) {
  Names names;
  const auto [stored, was_there] = names.load_or_store("a", "1");
  EXPECT_EQ(stored, "1");
  EXPECT_FALSE(was_there);
  const auto [found, is_there] = names.load_or_store("a", "2");
  EXPECT_EQ(found, "1");
  EXPECT_TRUE(is_there);
  EXPECT_EQ(names.load("a"), "1");
}

TEST(ConcurrentMap, RemovesAndReturnsWhatWasThere) {
  Names names;
  EXPECT_EQ(names.load_and_delete("a"), std::nullopt);
  EXPECT_FALSE(names.erase("a"));
  EXPECT_EQ(names.swap("a", "1"), std::nullopt);
  EXPECT_EQ(names.swap("a", "2"), "1");
  EXPECT_EQ(names.load_and_delete("a"), "2");
  EXPECT_EQ(names.load("a"), std::nullopt);
  names.store("a", "3");
  EXPECT_TRUE(names.erase("a"));
  EXPECT_EQ(names.size(), 0u);
}

TEST(ConcurrentMap, ComparesBeforeItReplacesOrRemoves) {
  Names names;
  EXPECT_FALSE(names.compare_and_swap("a", "", "1"));
  EXPECT_FALSE(names.compare_and_delete("a", ""));
  EXPECT_EQ(names.size(), 0u);
  names.store("a", "1");
  EXPECT_FALSE(names.compare_and_swap("a", "2", "3"));
  EXPECT_TRUE(names.compare_and_swap("a", "1", "3"));
  EXPECT_EQ(names.load("a"), "3");
  EXPECT_FALSE(names.compare_and_delete("a", "1"));
  EXPECT_TRUE(names.compare_and_delete("a", "3"));
  EXPECT_FALSE(names.contains("a"));
  EXPECT_EQ(names.size(), 0u);
}

TEST(ConcurrentMap, ClearRemovesAll) {
  Names names({.shards = 1});
  for (int i = 0; i < 100; ++i) names.store(std::to_string(i), "value");
  EXPECT_EQ(names.size(), 100u);
  EXPECT_EQ(contents(names).size(), 100u);
  names.clear();
  EXPECT_EQ(names.size(), 0u);
  EXPECT_TRUE(contents(names).empty());
  EXPECT_EQ(names.load("5"), std::nullopt);
}

TEST(ConcurrentMap, RangeStopsWhenTold) {
  ConcurrentMap<int, int> squares;
  for (int i = 0; i < 100; ++i) squares.store(i, i * i);
  int visited = 0;
  squares.range([&](int key, int value) {
    EXPECT_EQ(value, key * key);
    return ++visited < 10;
  });
  EXPECT_EQ(visited, 10);
}

// The function of range() may call everything, also for the key that it is given.
TEST(ConcurrentMap, RangeHoldsNoLock) {
  ConcurrentMap<int, int> map({.shards = 4});
  for (int i = 0; i < 100; ++i) map.store(i, i);
  int visited = 0;
  map.range([&](int key, int value) {
    ++visited;
    EXPECT_EQ(map.load(key), value);
    map.store(key, value + 1);
    EXPECT_TRUE(map.compare_and_swap(key, value + 1, value));
    map.load_or_store(key, 0);
    EXPECT_EQ(map.erase(key), true);
    if (key % 2 == 0) map.store(key, value);
    int inner = 0;
    map.range([&](int, int) { return ++inner < 3; });
    return true;
  });
  EXPECT_EQ(visited, 100);
  EXPECT_EQ(map.size(), 50u);
}

TEST(ConcurrentMap, HoldsWhatOnlyMoves) {
  ConcurrentMap<int, std::unique_ptr<int>> map;
  map.store(1, std::make_unique<int>(10));
  EXPECT_EQ(*map.swap(1, std::make_unique<int>(11)).value(), 10);
  EXPECT_TRUE(map.contains(1));
  EXPECT_EQ(*map.load_and_delete(1).value(), 11);
  map.store(2, nullptr);
  EXPECT_TRUE(map.erase(2));
  map.store(3, nullptr);
  map.clear();
  EXPECT_FALSE(map.contains(3));
}

TEST(ConcurrentMap, TakesAHashAndAnEqualityOfTheUsers) {
  struct NoCase {
    static std::string lower(std::string text) {
      std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
      return text;
    }
    std::size_t operator()(const std::string& text) const { return std::hash<std::string>()(lower(text)); }
    bool operator()(const std::string& a, const std::string& b) const { return lower(a) == lower(b); }
  };
  ConcurrentMap<std::string, int, NoCase, NoCase> map;
  map.store("Host", 1);
  EXPECT_EQ(map.load("HOST"), 1);
  map.store("hosT", 2);
  EXPECT_EQ(map.size(), 1u);
}

TEST(ConcurrentMap, BadHashesOnlyCostTime) {
  struct Same {
    std::size_t operator()(int) const { return 0; }
  };
  ConcurrentMap<int, int, Same> map;
  for (int i = 0; i < 200; ++i) map.store(i, i);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(map.load(i), i);
  EXPECT_EQ(map.size(), 200u);
}

struct Counted {
  explicit Counted(int n) : number(n) { alive.fetch_add(1, std::memory_order_relaxed); }
  Counted(const Counted& other) : number(other.number) { alive.fetch_add(1, std::memory_order_relaxed); }
  Counted& operator=(const Counted&) = default;
  ~Counted() { alive.fetch_sub(1, std::memory_order_relaxed); }
  bool operator==(const Counted&) const = default;
  int number;
  static std::atomic<int> alive;
};
std::atomic<int> Counted::alive{0};

// Runs all operations at once. Each value belongs to its key, and all values are destroyed.
WEFT_PROCS_TEST(ConcurrentMap, EveryOperationAtOnce) {
  {
    constexpr int kKeys = 50;
    ConcurrentMap<int, Counted> map({.shards = 4});
    std::atomic<int> wrong{0};
    const auto value_of = [](int key, int i) { return Counted(key + kKeys * (i % 3)); };
    const auto check = [&](int key, const std::optional<Counted>& value) {
      wrong += value && value->number % kKeys != key;
    };
    const auto body = [&] {
      for (int i = 0; i < kRounds; ++i) {
        const int key = i * 7 % kKeys;
        switch (i % 10) {
          case 0:
            map.store(key, value_of(key, i));
            break;
          case 1:
            check(key, map.load_or_store(key, value_of(key, i)).actual);
            break;
          case 2:
            check(key, map.load_and_delete(key));
            break;
          case 3:
            check(key, map.swap(key, value_of(key, i)));
            break;
          case 4:
            map.compare_and_swap(key, value_of(key, i), value_of(key, i + 1));
            break;
          case 5:
            map.compare_and_delete(key, value_of(key, i));
            break;
          case 6:
            if (i % 100 == 6)
              map.range([&](int k, const Counted& value) {
                check(k, value);
                return true;
              });
            break;
          case 7:
            if (i % 500 == 7) map.clear();
            break;
          default:
            check(key, map.load(key));
        }
        if (i % 32 == 0) yield();
      }
    };
    WaitGroup group;
    for (int g = 0; g < 6; ++g) group.go(body);
    std::vector<std::thread> threads;
    threads.reserve(2);
    for (int t = 0; t < 2; ++t) threads.emplace_back(body);
    for (std::thread& thread : threads) thread.join();
    group.wait();
    EXPECT_EQ(wrong, 0);
    std::size_t entries = 0;
    map.range([&](int, const Counted&) { return ++entries > 0; });
    EXPECT_EQ(map.size(), entries);
    EXPECT_EQ(Counted::alive, static_cast<int>(entries));
  }
  EXPECT_EQ(Counted::alive, 0);
}

WEFT_PROCS_TEST(ConcurrentMap, OneOfManyStores) {
  for (int round = 0; round < 20; ++round) {
    ConcurrentMap<int, int> map;
    std::atomic<int> stored{0};
    std::atomic<int> removed{0};
    std::vector<int> seen(50);
    WaitGroup group;
    for (std::size_t g = 0; g < seen.size(); ++g) {
      group.go([&, g] {
        const auto result = map.load_or_store(1, static_cast<int>(g));
        stored += !result.loaded;
        seen[g] = result.actual;
      });
    }
    group.wait();
    EXPECT_EQ(stored, 1);
    for (const int each : seen) EXPECT_EQ(each, map.load(1));
    for (std::size_t g = 0; g < seen.size(); ++g) group.go([&] { removed += map.load_and_delete(1).has_value(); });
    group.wait();
    EXPECT_EQ(removed, 1);
  }
}

WEFT_PROCS_TEST(ConcurrentMap, CompareAndSwapLosesNothing) {
  ConcurrentMap<std::string, int> map;
  map.store("n", 0);
  WaitGroup group;
  for (int g = 0; g < 8; ++g) {
    group.go([&] {
      for (int i = 0; i < kRounds / 10; ++i) {
        int n = *map.load("n");
        while (!map.compare_and_swap("n", n, n + 1)) n = *map.load("n");
        if (i % 16 == 0) yield();
      }
    });
  }
  group.wait();
  EXPECT_EQ(map.load("n"), 8 * (kRounds / 10));
}

// While other keys come and go, those that stay are visited once each, every time.
WEFT_PROCS_TEST(ConcurrentMap, RangeVisitsWhatStays) {
  constexpr int kStay = 200;
  ConcurrentMap<int, int> map;
  for (int i = 0; i < kStay; ++i) map.store(i, 0);
  std::atomic<bool> stop{false};
  WaitGroup group;
  for (int g = 1; g <= 4; ++g) {
    group.go([&, g] {
      for (int i = 0; !stop; ++i) {
        const int passer = kStay + g * 10'000 + i % 5'000;
        map.store(passer, 0);
        map.store(i % kStay, i);
        map.erase(passer - 20);
        if (i % 16 == 0) yield();
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    std::vector<int> visits(kStay);
    map.range([&](int key, int) {
      if (key < kStay) ++visits[static_cast<std::size_t>(key)];
      yield();
      return true;
    });
    EXPECT_EQ(std::ranges::count(visits, 1), kStay);
  }
  stop = true;
  group.wait();
}

}  // namespace
}  // namespace weft
