#include "runtime/src/sched/stack_pool.h"

#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "runtime/src/sched/goroutine.h"
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
// use the stacks of the first one.
TEST(Stacks, MillionGoroutinesFiveTimesInTheMemoryOfOnce) {
  weft::run([] {
    constexpr int kGoroutines = 1'000'000;
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
