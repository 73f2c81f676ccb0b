// The run queue: every goroutine that the owner pushes is taken once, by the owner or by a thief, whatever the
// interleaving. Whoever takes it sees what was written before push().
#include "runtime/src/sched/run_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

// Takes the place of a goroutine.
struct Item {
  Plain<int> payload{"payload", 0};
  Plain<int> taken{"taken", 0};
};

constexpr std::uint32_t kSlots = 2;
constexpr std::uint32_t kNearWrap = 0xffffffff;  // the first push takes the tail over the wrap-around

// The owner pushes, and pops when the ring is full. One or two thieves steal into a queue of their own and empty that
// queue.
template <template <typename> typename Queue, int kPushes>
struct Stealing : Program {
  explicit Stealing(int thieves) : thief_count(thieves) {}

  void run(int thread) override {
    if (thread == 0) {
      own();
    } else {
      auto& mine = thread == 1 ? first : second;
      if (Item* const item = mine.steal_from(victim)) take(item);
      while (Item* const item = mine.pop()) take(item);
    }
  }
  void own() {
    for (int i = 0; i < kPushes; ++i) {
      Item& item = items[static_cast<std::size_t>(i)];
      item.payload.set(i + 1);
      while (!victim.push(&item)) {
        if (Item* const older = victim.pop()) take(older);
      }
    }
    if (Item* const item = victim.pop()) take(item);
  }
  void take(Item* item) {
    require(item != nullptr, "an item was lost");
    require(item->payload.get() != 0, "an item was taken before it was written");
    require(item->taken.get() == 0, "an item was taken twice");
    item->taken.set(1);
  }
  void check() override {
    while (Item* const item = victim.pop()) take(item);
    for (int i = 0; i < kPushes; ++i) require(items[static_cast<std::size_t>(i)].taken.get() == 1, "an item was lost");
  }

  const int thief_count;
  std::array<Item, kPushes> items;
  Label victims{"victim", {"head", "tail"}};
  Queue<ModelAtomics> victim{kNearWrap};
  Label firsts{"first", {"head", "tail"}};
  Queue<ModelAtomics> first{kNearWrap};
  Label seconds{"second", {"head", "tail"}};
  Queue<ModelAtomics> second{kNearWrap};
};

template <typename Atomics>
using RealQueue = rt::RunQueue<Item, kSlots, Atomics>;

TEST(RunQueueModel, OneThief) { expect_holds(explore_program<Stealing<RealQueue, 4>>({"owner", "thief"}, {}, 1)); }

TEST(RunQueueModel, TwoThieves) {
  expect_holds(explore_program<Stealing<RealQueue, 2>>({"owner", "thief 1", "thief 2"}, {}, 2));
}

TEST(RunQueueModel, TwoThievesOfAFullRing) {
  expect_holds(
      explore_program<Stealing<RealQueue, 3>>({"owner", "thief 1", "thief 2"}, {.preemptions = kSanitized ? 1 : 2}, 2));
}

// A wider ring, from which a thief takes several at once.
template <typename Atomics>
using WideQueue = rt::RunQueue<Item, 4, Atomics>;

TEST(RunQueueModel, AThiefThatTakesSeveral) {
  expect_holds(explore_program<Stealing<WideQueue, 4>>({"owner", "thief"}, {}, 1));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

// The queue with one mistake.
enum class Mistake { publish_relaxed, read_after_swap, publish_before_slot, head_relaxed };

template <typename Atomics, Mistake kMistake>
class WrongQueue {
 public:
  explicit WrongQueue(std::uint32_t start) : head_(start), tail_(start) {}

  bool push(Item* item) {
    const std::uint32_t head = head_.load(std::memory_order_acquire);
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head >= kSlots) return false;
    if constexpr (kMistake == Mistake::publish_before_slot) tail_.store(tail + 1, std::memory_order_release);
    slots_[tail % kSlots].store(item, std::memory_order_relaxed);
    if constexpr (kMistake == Mistake::publish_before_slot) return true;
    tail_.store(tail + 1, kMistake == Mistake::publish_relaxed ? std::memory_order_relaxed : std::memory_order_release);
    return true;
  }
  Item* pop() { return take(head_.load(std::memory_order_acquire)); }
  Item* steal_from(WrongQueue& victim) { return victim.take(victim.head_.load(std::memory_order_acquire)); }

 private:
  Item* take(std::uint32_t head) {
    constexpr bool kLate = kMistake == Mistake::read_after_swap;
    constexpr auto kSwap = kMistake == Mistake::head_relaxed ? std::memory_order_relaxed : std::memory_order_acq_rel;
    for (;;) {
      const std::uint32_t tail = tail_.load(std::memory_order_acquire);
      if (tail == head) return nullptr;
      Item* item = kLate ? nullptr : slots_[head % kSlots].load(std::memory_order_relaxed);
      if (!head_.compare_exchange_weak(head, head + 1, kSwap, std::memory_order_acquire)) continue;
      if constexpr (kLate) item = slots_[head % kSlots].load(std::memory_order_relaxed);
      return item;
    }
  }

  Atomic<std::uint32_t> head_;
  Atomic<std::uint32_t> tail_;
  std::array<Atomic<Item*>, kSlots> slots_;
};

template <Mistake kMistake>
struct Wrong {
  template <typename Atomics>
  using Queue = WrongQueue<Atomics, kMistake>;
};

template <Mistake kMistake>
Report explore_wrong() {
  return explore_program<Stealing<Wrong<kMistake>::template Queue, 4>>({"owner", "thief"}, {}, 1);
}

TEST(RunQueueModelFinds, ATailThatIsPublishedWithoutRelease) {
  expect_finds(explore_wrong<Mistake::publish_relaxed>(), "data race: thief reads payload");
}

TEST(RunQueueModelFinds, ATailThatIsPublishedBeforeTheSlot) {
  expect_finds(explore_wrong<Mistake::publish_before_slot>(), "an item was lost");
}

TEST(RunQueueModelFinds, ASlotThatIsReadAfterTheSwap) {
  expect_finds(explore_wrong<Mistake::read_after_swap>(), "data race");
}

// The thief's read of the slot may move after its swap, so that the owner overwrites the slot first.
TEST(RunQueueModelFinds, AHeadThatIsMovedWithoutRelease) {
  expect_finds(explore_wrong<Mistake::head_relaxed>(), "data race");
}

}  // namespace
}  // namespace weft::model
