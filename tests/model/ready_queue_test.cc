// A processor's own queue past the size of its ring: every goroutine is taken once, the owner takes them in the order
// in which they came, and nobody finds the queue empty while something lies in it or is on its way.
#include "runtime/src/sched/ready_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

// Takes the place of a goroutine.
struct Item {
  int number = 0;
  Plain<int> payload{"payload", 0};
  Plain<int> taken{"taken", 0};
};

struct QueuePolicy : ModelAtomics {
  using Mutex = model::Mutex;
};

constexpr std::uint32_t kSlots = 2;
constexpr std::uint32_t kNearWrap = 0xffffffff;  // the first push takes the tail over the wrap-around

using Queue = rt::ReadyQueue<Item, kSlots, QueuePolicy>;

void take(Item* item) {
  require(item != nullptr, "an item was lost");
  require(item->payload.get() != 0, "an item was taken before it was written");
  require(item->taken.get() == 0, "an item was taken twice");
  item->taken.set(1);
}

// The owner pushes more than the ring holds, and pops some. Each thief steals once into a queue of its own, and empties
// that queue.
template <int kPushes, int kPops>
struct Stealing : Program {
  explicit Stealing(int thieves) : thief_count(thieves) {}

  void run(int thread) override {
    if (thread == 0) {
      own();
    } else {
      Queue& mine = thread == 1 ? first : second;
      if (Item* const item = mine.steal_from(victim)) take(item);
      while (Item* const item = mine.pop()) take(item);
    }
  }
  void own() {
    for (std::size_t i = 0; i < kPushes; ++i) {
      items[i].number = static_cast<int>(i);
      items[i].payload.set(1);
      victim.push(&items[i]);
    }
    for (int i = 0; i < kPops; ++i) pop_in_order();
  }
  bool pop_in_order() {
    Item* const item = victim.pop();
    if (item == nullptr) return false;
    require(item->number > last, "an item was overtaken");
    last = item->number;
    take(item);
    return true;
  }
  void check() override {
    while (pop_in_order()) {
    }
    require(victim.empty() && victim.size() == 0, "an empty queue says that it is not");
    for (Item& item : items) require(item.taken.get() == 1, "an item was lost");
  }

  const int thief_count;
  int last = -1;
  std::array<Item, kPushes> items;
  Label victims{"victim", {"head", "tail"}};
  Queue victim{kNearWrap};
  Label firsts{"first", {"head", "tail"}};
  Queue first{kNearWrap};
  Label seconds{"second", {"head", "tail"}};
  Queue second{kNearWrap};
};

TEST(ReadyQueueModel, OneThief) { expect_holds(explore_program<Stealing<4, 2>>({"owner", "thief"}, {}, 1)); }

TEST(ReadyQueueModel, TwoThieves) {
  expect_holds(
      explore_program<Stealing<3, 1>>({"owner", "thief 1", "thief 2"}, {.preemptions = kSanitized ? 1 : 2}, 2));
}

// A backlog gives its memory back while a thief is at work, if it is empty, and then takes what comes.
struct Releasing : Program {
  Releasing() {
    push(0, 3);  // the third finds the ring full
  }
  void push(std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) {
      items[i].payload.set(1);
      queue.push(&items[i]);
    }
  }
  void run(int thread) override {
    if (thread == 1) {
      if (Item* const item = thiefs.steal_from(queue)) take(item);
      while (Item* const item = thiefs.pop()) take(item);
      return;
    }
    queue.release_memory();
    for (int i = 0; i < 3; ++i) {
      if (Item* const item = queue.pop()) take(item);
    }
    queue.release_memory();
    push(3, 6);
  }
  void check() override {
    while (Item* const item = queue.pop()) take(item);
    for (Item& item : items) require(item.taken.get() == 1, "an item was lost");
  }

  std::array<Item, 6> items;
  Label queue_label{"queue", {"head", "tail"}};
  Queue queue{kNearWrap};
  Label thiefs_label{"thief", {"head", "tail"}};
  Queue thiefs{kNearWrap};
};

TEST(ReadyQueueModel, MemoryGoesBack) {
  expect_holds(explore_program<Releasing>({"owner", "thief"}, {.preemptions = kSanitized ? 1 : 2}));
}

// The same for branches, some of which wait apart. The owner takes the oldest of these first, and then what pop()
// finds.
struct Branching : Program {
  void run(int thread) override {
    if (thread == 1) {
      if (Item* const item = thiefs.steal_from(owners)) take(item);
      while (Item* const item = thiefs.pop()) take(item);
      return;
    }
    for (Item& item : items) {
      item.payload.set(1);
      owners.push_branch(&item);
    }
    if (Item* const item = owners.pop_oldest_branch()) take(item);
    if (Item* const item = owners.pop()) take(item);
  }
  void check() override {
    while (Item* const item = owners.pop()) take(item);
    require(owners.empty() && owners.size() == 0, "an empty queue says that it is not");
    for (Item& item : items) require(item.taken.get() == 1, "an item was lost");
  }

  // As many as the ring and the backlog take before branches wait apart, and two more.
  std::array<Item, kSlots + 4 * kSlots + 2> items;
  Label owners_label{"owner", {"head", "tail"}};
  Queue owners{kNearWrap};
  Label thiefs_label{"thief", {"head", "tail"}};
  Queue thiefs{kNearWrap};
};

TEST(ReadyQueueModel, Branches) { expect_holds(explore_program<Branching>({"owner", "thief"}, {})); }

// Branches get in line where the backlog is empty, while a thief is at work, and while somebody looks whether there is
// any.
struct LiningUp : Program {
  LiningUp() {
    for (Item& item : items) {
      item.payload.set(1);
      queue.push_branch(&item);
    }
    while (left > 3) pop();  // until the backlog is empty: one is left in the ring, and two branches
  }
  void pop() {
    take(queue.pop());
    --left;
  }
  void run(int thread) override {
    if (thread == 0) {
      queue.line_up_branches(2);
      if (Item* const item = queue.pop()) take(item);
    } else if (thread == 1) {
      if (Item* const item = thiefs.steal_from(queue)) take(item);
      while (Item* const item = thiefs.pop()) take(item);
    } else {
      // The owner takes one, and the thief may take two of the three.
      seen_empty = queue.empty();
    }
  }
  void check() override {
    bool some_left = false;
    while (Item* const item = queue.pop()) {
      take(item);
      some_left = true;
    }
    require(!(some_left && seen_empty), "a queue that is not empty says it is");
    require(queue.empty() && queue.size() == 0, "an empty queue says that it is not");
    for (Item& item : items) require(item.taken.get() == 1, "an item was lost");
  }

  std::array<Item, kSlots + 4 * kSlots + 2> items;
  std::size_t left = items.size();
  bool seen_empty = false;
  Label queue_label{"queue", {"head", "tail"}};
  Queue queue{kNearWrap};
  Label thiefs_label{"thief", {"head", "tail"}};
  Queue thiefs{kNearWrap};
};

TEST(ReadyQueueModel, BranchesGetInLine) {
  expect_holds(explore_program<LiningUp>({"owner", "thief", "looker"}, {.preemptions = kSanitized ? 1 : 2}));
}

// Somebody who is about to sleep looks whether the owner's queue is empty while the owner moves items from the backlog
// to the ring.
struct Looking : Program {
  Looking() {
    for (Item& item : items) {
      item.payload.set(1);
      queue.push(&item);
    }
  }
  void run(int thread) override {
    if (thread == 0) {
      for (std::size_t i = 0; i < items.size(); ++i) {
        popped.store(i + 1, std::memory_order_relaxed);
        take(queue.pop());
      }
    } else {
      const bool empty = queue.empty();
      require(!empty || popped.load(std::memory_order_relaxed) == items.size(), "a queue that is not empty says it is");
    }
  }
  void check() override { require(queue.empty(), "an empty queue says that it is not"); }

  std::array<Item, 4> items;
  Atomic<std::size_t> popped{0};
  Queue queue{kNearWrap};
};

TEST(ReadyQueueModel, NobodyFindsItEmptyTooEarly) { expect_holds(explore_program<Looking>({"owner", "looker"}, {})); }

}  // namespace
}  // namespace weft::model
