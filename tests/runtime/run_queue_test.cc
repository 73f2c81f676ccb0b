#include "runtime/src/sched/run_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

struct Item {
  int value = 0;
};
using Queue = weft::rt::RunQueue<Item, 8>;

// Indexes that wrap around while the test runs.
constexpr std::uint32_t kNearWrap = 0xfffffff0u;

TEST(RunQueue, FirstInFirstOutAcrossTheWrapAround) {
  Queue queue(kNearWrap);
  Item items[3];
  for (int round = 0; round < 100; ++round) {
    for (Item& item : items) ASSERT_TRUE(queue.push(&item));
    EXPECT_EQ(queue.size(), 3u);
    for (Item& item : items) ASSERT_EQ(queue.pop(), &item);
    ASSERT_EQ(queue.pop(), nullptr);
    ASSERT_TRUE(queue.empty());
  }
}

TEST(RunQueue, AFullRingTakesNoMore) {
  Queue queue(kNearWrap);
  Item items[9];
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(queue.push(&items[i]));
  EXPECT_FALSE(queue.push(&items[8]));
  EXPECT_EQ(queue.pop(), &items[0]);
  EXPECT_TRUE(queue.push(&items[8]));
}

TEST(RunQueue, ThiefTakesTheOlderHalfRoundedUp) {
  Queue victim(kNearWrap);
  Queue thief(kNearWrap);
  Item items[5];
  EXPECT_EQ(thief.steal_from(victim), nullptr);
  for (Item& item : items) ASSERT_TRUE(victim.push(&item));
  EXPECT_EQ(thief.steal_from(victim), &items[2]);  // three are taken: the last of them runs, the others are queued
  EXPECT_EQ(thief.size(), 2u);
  EXPECT_EQ(thief.pop(), &items[0]);
  EXPECT_EQ(thief.pop(), &items[1]);
  EXPECT_EQ(victim.pop(), &items[3]);
  EXPECT_EQ(victim.pop(), &items[4]);
}

// Every item is taken exactly once, whoever takes it.
TEST(RunQueue, NothingIsLostOrTakenTwiceUnderStealing) {
#ifdef WEFT_TSAN
  constexpr int kItems = 30000;
#else
  constexpr int kItems = 300000;
#endif
  constexpr int kThieves = 3;
  std::vector<std::atomic<int>> taken(kItems);
  std::vector<Item> items(kItems);
  for (int i = 0; i < kItems; ++i) items[static_cast<std::size_t>(i)].value = i;
  Queue queue(kNearWrap);
  std::atomic<bool> done{false};
  const auto take = [&](Item* item) {
    taken[static_cast<std::size_t>(item->value)].fetch_add(1, std::memory_order_relaxed);
  };

  std::vector<std::thread> thieves;
  thieves.reserve(kThieves);
  for (int t = 0; t < kThieves; ++t) {
    thieves.emplace_back([&] {
      Queue own(kNearWrap);
      while (!done.load(std::memory_order_acquire)) {
        if (Item* const item = own.steal_from(queue)) take(item);
        while (Item* const item = own.pop()) take(item);
      }
    });
  }
  for (Item& item : items) {
    while (!queue.push(&item)) {
      if (Item* const older = queue.pop()) take(older);
    }
    if (item.value % 3 == 0) {
      if (Item* const mine = queue.pop()) take(mine);
    }
  }
  while (Item* const item = queue.pop()) take(item);
  done.store(true, std::memory_order_release);
  for (std::thread& thread : thieves) thread.join();
  for (const auto& count : taken) ASSERT_EQ(count.load(std::memory_order_relaxed), 1);
}

}  // namespace
