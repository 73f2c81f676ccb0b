// OwnedSlot: its owner and the thread that empties it never use the item at the same time. Each sees what the other did
// with the item, and no item is lost or given twice.
#include "runtime/src/sync/owned_slot.h"

#include <gtest/gtest.h>

#include <atomic>

#include "model/explorer.h"
#include "model/model_test.h"

namespace weft::model {
namespace {

struct Right : ModelAtomics {
  template <typename T>
  struct Plain : model::Plain<T> {
    Plain(T value) : model::Plain<T>("the slot's item", value) {}  // NOLINT(google-explicit-constructor)
    Plain& operator=(T value) {
      this->set(value);
      return *this;
    }
    operator T() const { return this->get(); }  // NOLINT(google-explicit-constructor)
  };
};

struct Item {
  model::Plain<int> uses{"the item", 0};
  void use() { uses.set(uses.get() + 1); }
};

// Thread 0 owns the slot, in which there is an item. It takes the item out, uses it and puts it back, twice. Thread 1
// empties the slot meanwhile.
template <typename Atomics, template <typename, typename> typename Slot = rt::OwnedSlot>
struct Emptying : Program {
  Emptying() { require(slot.put(gate, &item), "the slot is full at first"); }

  void run(int thread) override {
    if (thread == 0) {
      for (int i = 0; i < 2; ++i) {
        Item* const taken = slot.take(gate);
        if (taken == nullptr) continue;
        taken->use();
        if (!slot.put(gate, taken)) owner_keeps = taken;
      }
    } else {
      if (!gate.close()) return;
      emptied = slot.empty();
      if (emptied != nullptr) emptied->use();
      gate.open();
    }
  }

  void check() override {
    const bool in_slot = slot.take(gate) != nullptr;
    require(in_slot + (owner_keeps != nullptr) + (emptied != nullptr) == 1, "an item is lost or there twice");
  }

  Label names{"slot", {"closed", "in use"}};
  rt::SlotGate<Atomics> gate;
  Slot<Item, Atomics> slot;
  Item item;
  Item* owner_keeps = nullptr;
  Item* emptied = nullptr;
};

TEST(OwnedSlotModel, OwnerAndEmptier) { expect_holds(explore_program<Emptying<Right>>({"owner", "emptier"}, {})); }

// The slot goes from one owner to the next one. The threads of one machine follow each other in this way, and so do
// machines of the same number in successive runtimes.
struct TwoOwners : Emptying<Right> {
  void run(int thread) override {
    if (thread == 1) return Emptying<Right>::run(1);
    if (thread == 2) next.sleep();
    if (Item* const taken = slot.take(gate)) {
      taken->use();
      if (!slot.put(gate, taken)) owner_keeps = taken;
    }
    if (thread == 0) next.interrupt();
  }
  Sleep next;
};

TEST(OwnedSlotModel, TwoOwnersAndEmptier) {
  expect_holds(explore_program<TwoOwners>({"owner", "emptier", "next owner"}, {.preemptions = kSanitized ? 2 : 4}));
}

// --- planted bugs ----------------------------------------------------------------------------------------------------

struct NoBarrier : Right {
  static bool heavy_barrier() { return true; }
};

TEST(OwnedSlotModelFinds, AnEmptierWithoutTheHeavyBarrier) {
  expect_finds(explore_program<Emptying<NoBarrier>>({"owner", "emptier"}, {}), "data race");
}

// The last step of neither side releases anything.
struct LeavesRelaxed : Right {
  template <typename T>
  struct Relaxed : model::Atomic<T> {
    using model::Atomic<T>::Atomic;
    void store(T value, std::memory_order) { model::Atomic<T>::store(value, std::memory_order_relaxed); }
  };
  template <typename T>
  using Atomic = Relaxed<T>;
};

TEST(OwnedSlotModelFinds, SidesThatLeaveWithoutRelease) {
  expect_finds(explore_program<Emptying<LeavesRelaxed>>({"owner", "emptier"}, {}), "data race");
}

// An emptier that does not look whether the owner is there.
template <typename ItemType, typename Atomics>
struct Rude : rt::OwnedSlot<ItemType, Atomics> {
  using rt::OwnedSlot<ItemType, Atomics>::take;
  ItemType* empty() noexcept { return take(open_gate); }
  rt::SlotGate<Atomics> open_gate;
};

TEST(OwnedSlotModelFinds, AnEmptierThatDoesNotLook) {
  expect_finds(explore_program<Emptying<Right, Rude>>({"owner", "emptier"}, {}), "");
}

}  // namespace
}  // namespace weft::model
