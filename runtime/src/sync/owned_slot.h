// OwnedSlot: a place for one pointer. Its owner fills and empties it without a locked instruction, and another thread,
// the emptier, may empty it now and then. SlotGate: what the emptier closes first, for any number of slots.
//
//   in_use_    the owner is inside take() or put(). The owner alone writes it
//   closed_    (the gate's) the owners must leave their slots alone. The emptier alone writes it
//   item_      the owner's while in_use_ is set and the owner has found the gate open; else the emptier's while it has
//              the gate closed
//
// Owner and emptier. The owner comes by all the time and must not pay; the emptier comes once a minute or so.
//   owner: take(), put()                       emptier: close(), empty()
//     1. in_use_ = true                          1. closed_ = true
//     2. light barrier                           2. heavy barrier
//     3. read closed_; set: hands off            3. read in_use_; set: hands off
//     4. use item_                               4. use item_
//     5. in_use_ = false                         5. closed_ = false (open())
// Each writes before it reads what the other wrote, so at least one sees the other and stays away. Whoever reads what
// the other wrote last, at 5 (release), acquires what the other did with item_.
//
// There is one owner at a time, and each owner comes after the one before it. There is one emptier at a time. The slot
// is a template over the atomics, so that a model checker can run the same source.
#pragma once

#include <atomic>
#include <utility>

#include "runtime/src/base/membarrier.h"

namespace weft::rt {

struct OwnedSlotAtomics {
  template <typename T>
  using Atomic = std::atomic<T>;
  template <typename T>
  using Plain = T;
  static void light_barrier() noexcept { rt::light_barrier(); }
  static bool heavy_barrier() noexcept { return rt::heavy_barrier(); }
};

template <typename Atomics = OwnedSlotAtomics>
class SlotGate {
 public:
  // Returns false where the kernel has no heavy barrier; then the slots must be left alone.
  bool close() noexcept {
    closed_.store(true, std::memory_order_relaxed);
    return Atomics::heavy_barrier();
  }
  void open() noexcept { closed_.store(false, std::memory_order_release); }
  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

 private:
  typename Atomics::template Atomic<bool> closed_{false};
};

template <typename Item, typename Atomics = OwnedSlotAtomics>
class OwnedSlot {
 public:
  using Gate = SlotGate<Atomics>;

  // --- the owner ---
  // Returns what was in the slot; null when nothing was, and while the gate is closed.
  Item* take(const Gate& gate) noexcept {
    Item* taken = nullptr;
    if (enter(gate)) {
      taken = item_;
      if (taken != nullptr) item_ = nullptr;
    }
    leave();
    return taken;
  }
  // Returns false when the slot is full, and while the gate is closed.
  bool put(const Gate& gate, Item* item) noexcept {
    bool put = false;
    if (enter(gate) && static_cast<Item*>(item_) == nullptr) {
      item_ = item;
      put = true;
    }
    leave();
    return put;
  }

  // --- the emptier, after close() returned true ---
  // Returns what was in the slot; null when nothing was, or when the owner is just using it.
  Item* empty() noexcept {
    if (in_use_.load(std::memory_order_acquire)) return nullptr;
    Item* const taken = item_;
    item_ = nullptr;
    return taken;
  }

 private:
  bool enter(const Gate& gate) noexcept {
    in_use_.store(true, std::memory_order_relaxed);
    Atomics::light_barrier();
    return !gate.closed();
  }
  void leave() noexcept { in_use_.store(false, std::memory_order_release); }

  typename Atomics::template Atomic<bool> in_use_{false};
  typename Atomics::template Plain<Item*> item_{nullptr};
};

}  // namespace weft::rt
