#include "runtime/src/sched/stack_pool.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "runtime/src/sched/goroutine.h"
#include "runtime/src/stack/slab.h"
#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/stats.h"
#include "weft/sync.h"

namespace {

std::size_t count_mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t n = 0;
  for (std::string line; std::getline(maps, line);) ++n;
  return n;
}

[[maybe_unused]] long peak_rss_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(StackPool, SlotsAreDistinctUsableAndReused) {
  weft::rt::StackPool pool(64 * 1024);
  std::vector<weft::rt::G*> all;
  for (weft::rt::G* g = pool.take(100, nullptr); g != nullptr; g = g->link) all.push_back(g);
  EXPECT_GE(all.size(), 1u);
  for (weft::rt::G* const g : all) {
    char* const top = reinterpret_cast<char*>(g);
    ASSERT_GT(top, g->stack_low);
    ASSERT_GE(static_cast<std::size_t>(top - g->stack_low), 60u * 1024);
    std::memset(g->stack_low, 0x5a, 100);  // the lowest usable bytes
  }
  EXPECT_EQ(std::set<weft::rt::G*>(all.begin(), all.end()).size(), all.size());
  pool.give(all.front());
  std::set<weft::rt::G*> again;
  for (weft::rt::G* g = pool.take(all.size(), nullptr); g != nullptr; g = g->link) again.insert(g);
  EXPECT_EQ(again, std::set<weft::rt::G*>(all.begin(), all.end()));
}

bool is_resident(const void* page) {
  unsigned char in_core = 0;
  const auto at = reinterpret_cast<std::uintptr_t>(page) / weft::rt::page_size() * weft::rt::page_size();
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(at), weft::rt::page_size(), &in_core), 0);
  return (in_core & 1) != 0;
}

// Gives all slots back, and lets them age until their memory has gone.
void age_and_trim(weft::rt::StackPool& pool, weft::rt::G* all) {
  pool.give(all);
  EXPECT_TRUE(pool.has_idle());
  for (int i = 0; i < 2; ++i) {
    pool.age();
    while (pool.trim()) {
    }
  }
  EXPECT_FALSE(pool.has_idle());
}

TEST(StackPool, IdleStacksGiveTheirMemoryBack) {
  weft::rt::StackPool pool(64 * 1024);
  weft::rt::G* all = nullptr;
  std::vector<weft::rt::G*> slots;
  while (slots.size() < 3000) {
    weft::rt::G* const g = pool.take(1, nullptr);
    std::memset(g->stack_low, 0x5a, 60 * 1024);
    g->link = all;
    all = g;
    slots.push_back(g);
  }
  EXPECT_TRUE(is_resident(slots.front()));
  age_and_trim(pool, all);
  for (const weft::rt::G* const g : slots) ASSERT_FALSE(is_resident(g));
  // Their number is known, and they are used again, before new ones are made.
  const std::size_t made = pool.size();
  std::set<weft::rt::G*> again;
  for (weft::rt::G* g = pool.take(slots.size(), nullptr); g != nullptr; g = g->link) {
    again.insert(g);
    ASSERT_EQ(g->pool, &pool);
    ASSERT_EQ(pool.owner_of(g), g);
    g->stack_low[0] = 1;
  }
  EXPECT_EQ(again, std::set<weft::rt::G*>(slots.begin(), slots.end()));
  EXPECT_EQ(pool.size(), made);
}

TEST(StackPool, StacksThatAreUsedAgainKeepTheirMemory) {
  weft::rt::StackPool pool(64 * 1024);
  weft::rt::G* g = pool.take(1, nullptr);
  for (int i = 0; i < 5; ++i) {
    pool.give(g);
    pool.age();
    EXPECT_FALSE(pool.trim());
    EXPECT_EQ(pool.take(1, nullptr), g);
    EXPECT_TRUE(is_resident(g));
  }
}

// A waker that comes late, to a slot that lives again, finds that its epoch is over.
TEST(StackPool, EpochsGoOnWhenTheMemoryHasGone) {
  weft::rt::StackPool pool(64 * 1024);
  weft::rt::G* const g = pool.take(1, nullptr);
  std::uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    g->set_status(weft::rt::Status::running);
    last = g->begin_park();
    ASSERT_TRUE(g->try_ready(last));
    g->set_status(weft::rt::Status::dead);
    age_and_trim(pool, g);
    EXPECT_EQ(g->status(), weft::rt::Status::dead);
    EXPECT_FALSE(g->try_ready(last));
    ASSERT_EQ(pool.take(1, nullptr), g);
    g->set_status(weft::rt::Status::running);
    ASSERT_GT(g->begin_park(), last);
    EXPECT_FALSE(g->try_ready(last));
    g->refuse_park(g->epoch());
  }
}

// Guards are there in every build.
TEST(StackPoolDeathTest, GuardPageStopsAnOverflow) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  weft::rt::StackPool pool(64 * 1024);
  weft::rt::G* const g = pool.take(1, nullptr);
  EXPECT_DEATH(*static_cast<volatile char*>(g->stack_low - 1) = 1, "");
}

TEST(StackPool, GuardsCostNoMappingsWhereTheKernelHasThem) {
  weft::rt::StackPool pool(64 * 1024);
  std::size_t made = 0;
  const std::size_t before = count_mappings();
  while (made < 2000) {
    for (const weft::rt::G* g = pool.take(32, nullptr); g != nullptr; g = g->link) ++made;
  }
  const std::size_t mappings = count_mappings() - before;
  std::printf("%zu stacks, %zu mappings\n", made, mappings);
  // With mprotect there are two mappings for each stack, which is right on an old kernel.
  EXPECT_TRUE(mappings <= made / 50 || mappings >= made) << mappings;
}

#if !defined(WEFT_TSAN) && !defined(WEFT_ASAN)
// The goroutines of a round all live at the same time, because the gate is shut while they are started. Later rounds
// use the stacks of the first one. They take 0.8 GB, so the test also runs on small machines. There are more of them
// than vm.max_map_count allows mappings. `loadtest/micro/run --only parked_1m` runs a million, once.
TEST(Stacks, GoroutinesFiveTimesInTheMemoryOfOnce) {
  weft::run([] {
    constexpr int kGoroutines = 200'000;
    long first = 0;
    for (int round = 1; round <= 5; ++round) {
      std::atomic<int> sum{0};
      auto gate = weft::make_chan<int>();
      weft::WaitGroup finished;
      for (int i = 0; i < kGoroutines; ++i) {
        finished.go([&sum, gate]() mutable {
          gate.recv();
          sum.fetch_add(1, std::memory_order_relaxed);
        });
      }
      gate.close();
      finished.wait();
      ASSERT_EQ(sum.load(std::memory_order_relaxed), kGoroutines);
      const long peak = peak_rss_kib();
      if (round == 1) first = peak;
      std::printf("round %d: peak RSS %ld MiB, %zu stacks\n", round, peak / 1024, weft::runtime_stats().stacks);
      EXPECT_LE(peak, first + first / 5);
    }
  });
}
#endif

}  // namespace
