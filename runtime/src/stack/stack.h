// Goroutine stacks: reserved by the slab, guarded, committed as they are touched, pooled for ever.
//
// A slab is one mapping cut into slots. A slot, from its low end:
//   [guard page][stack ... grows down from the top][G and its closure, in the stack's top page]
// The guard is MADV_GUARD_INSTALL where the kernel has it (it costs no mapping), else mprotect (two mappings a stack, so that
// vm.max_map_count bounds how many there can be). The stride is the stack and its guard, which is no power of two, and each slot's G is
// shifted by a few cache lines: otherwise every G would fall into the same few sets of every cache.
//
// Slots are never unmapped: a G outlives its goroutine, so that a late waker may still look at its state word, and the list of all
// goroutines is a walk over the slabs.
#pragma once

#include <cstddef>
#include <vector>

#include "sync/spin_mutex.h"

namespace weft::rt {

struct G;

// How far below the top of its slot a G of `size` bytes lies.
inline constexpr std::size_t kSlotColours = 16;
inline constexpr std::size_t kSlotColourStep = 64;  // a cache line
constexpr std::size_t goroutine_offset(std::size_t size, std::size_t slot) noexcept {
  return (size + kSlotColourStep - 1) / kSlotColourStep * kSlotColourStep + (slot % kSlotColours) * kSlotColourStep;
}

// All slots of one stack size. Thread-safe.
class StackPool {
 public:
  // `stack_size` in bytes; rounded up to whole pages.
  explicit StackPool(std::size_t stack_size);
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // Puts up to `n` idle Gs in front of the list `head` (linked by G::link) and returns the new head. Maps a slab when none is left; throws
  // std::bad_alloc when the kernel has no more memory or mappings.
  G* take(std::size_t n, G* head);
  // Gives the whole list back.
  void give(G* head) noexcept;

  // Calls visit(G&) for every slot that was ever in use; the caller sorts out which goroutines live.
  template <typename Visit>
  void for_each(Visit visit) {
    for (const Slab& slab : slabs()) {
      for (std::size_t i = 0; i < slab.made; ++i) visit(*goroutine_at(slab, i));
    }
  }

  // Slots that were ever in use.
  std::size_t size() const noexcept;

  std::size_t stack_size() const noexcept { return stack_size_; }

 private:
  struct Slab {
    char* base;
    std::size_t slots;
    std::size_t made;  // slots below this one hold a G
  };

  std::vector<Slab> slabs() const;  // a copy: slots stay where they are
  G* goroutine_at(const Slab& slab, std::size_t slot) const noexcept;
  void add_slab();
  G* make_slot(Slab& slab);

  const std::size_t stack_size_;
  const std::size_t stride_;
  mutable SpinMutex mutex_;  // guards all below; held over the system calls that make a slot
  std::vector<Slab> slabs_;
  G* free_ = nullptr;
};

// The pool for stacks of that size; it lives as long as the process.
StackPool& stack_pool(std::size_t stack_size);

// Every pool there is.
std::vector<StackPool*> stack_pools();

// Calls visit(G&) for every slot of every size that was ever in use.
template <typename Visit>
void for_each_goroutine_slot(Visit visit) {
  for (StackPool* const pool : stack_pools()) pool->for_each(visit);
}

}  // namespace weft::rt
