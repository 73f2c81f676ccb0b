// Goroutine stacks: reserved by the slab, guarded, committed as they are touched, and pooled.
//
// A slab is one mapping (stack/slab.h) that is cut into slots. A slot holds, from its low end:
//   [guard page][stack ... grows down from the top][G and its closure, in the stack's top page]
// The stride from slot to slot is the stack and its guard, which is no power of two, and each slot's G is shifted by a
// few cache lines. Otherwise every G would fall into the same few sets of every cache.
//
// Slots are never unmapped. A G outlives its goroutine, so that a late waker may still look at its state word, and the
// list of all goroutines is a walk over the slabs.
//
// Memory goes back. age() is called every few seconds, and what lay idle over two calls is emptied by trim(): the
// kernel takes the slot's pages, and whoever looks at such a G reads zeros. So zeros must mean a dead G, which nobody
// can ready: status dead is 0. When the slot is used again its epoch begins above all that were there before, so that a
// Waiter of an earlier life still never matches.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/src/base/spin_mutex.h"

namespace weft::rt {

struct G;

// How far below the top of its slot a G of `size` bytes lies.
inline constexpr std::size_t kSlotColours = 16;
inline constexpr std::size_t kSlotColourStep = 64;  // a cache line
constexpr std::size_t goroutine_offset(std::size_t size, std::size_t slot) noexcept {
  return (size + kSlotColourStep - 1) / kSlotColourStep * kSlotColourStep + (slot % kSlotColours) * kSlotColourStep;
}

// A slab as it was cut, for whoever looks at the process from outside (symbols/debug_root.h). A record is never freed,
// because its slab is never unmapped.
struct SlabRecord {
  const SlabRecord* next;
  const char* base;
  std::uint64_t stride;
  std::uint64_t slots;
};

// Records are put in front of the list when they are complete (release).
extern std::atomic<const SlabRecord*> first_slab_record;

// All slots of one stack size. Thread-safe.
class StackPool {
 public:
  // `stack_size` in bytes; rounded up to whole pages.
  explicit StackPool(std::size_t stack_size);
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // Puts one to `n` idle Gs in front of the list `head` (linked by G::link) and returns the new head. Makes new ones,
  // and maps a slab for them, when none is left or when another thread is just giving back the rest of what it took.
  // Throws std::bad_alloc when the kernel has no more memory. Where guards cost mappings and there are no more, it ends
  // the process.
  G* take(std::size_t n, G* head);
  // Gives the whole list back.
  void give(G* head) noexcept;
  // What was given back before the last call, and not taken since, is left to trim().
  void age() noexcept;
  // Gives the memory of some stacks back to the kernel. Returns false when age() has left nothing more.
  bool trim() noexcept;
  // Returns whether later calls of age() would find something.
  bool has_idle() const noexcept;

  // Calls visit(G&) for every slot that was ever in use; the caller sorts out which goroutines live. Takes no lock, so
  // that a process that is broken can still be dumped.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const Slab* slab = first_.load(std::memory_order_acquire); slab != nullptr;
         slab = slab->next.load(std::memory_order_acquire)) {
      const std::size_t made = slab->made.load(std::memory_order_acquire);
      for (std::size_t i = 0; i < made; ++i) visit(*goroutine_at(*slab, i));
    }
  }

  // Returns the goroutine on whose stack (or guard page) `address` lies; null when it is none of this pool's. Takes no
  // lock.
  G* owner_of(const void* address) const noexcept;

  // Returns the number of slots that were ever in use.
  std::size_t size() const noexcept;

  std::size_t stack_size() const noexcept { return stack_size_; }

 private:
  friend StackPool& stack_pool(std::size_t stack_size);
  template <typename Visit>
  friend void for_each_stack_pool(Visit visit);

  // Slabs are linked at the end of the list and stay, each as soon as it is mapped; `made` grows as soon as the slot's
  // G is made. Both are published by a release store.
  struct Slab {
    char* base;
    std::size_t slots;
    std::atomic<std::size_t> made{0};  // slots below this one hold a G
    std::atomic<Slab*> next{nullptr};
    // Slots that trim() has emptied, a stack of their numbers. Guarded by the pool's mutex.
    std::unique_ptr<std::uint32_t[]> bare;
    std::size_t bare_count = 0;
  };

  bool last_slab_is_full_locked() const noexcept WEFT_REQUIRES(mutex_);
  G* goroutine_at(const Slab& slab, std::size_t slot) const noexcept;
  G* take_list() noexcept;
  Slab* slab_of(const void* address) const noexcept;
  void empty_slot(Slab& slab, G& g) noexcept;
  G* refill_slot_locked() noexcept WEFT_REQUIRES(mutex_);
  void add_slab_locked() WEFT_REQUIRES(mutex_);
  G* make_slot_locked(Slab& slab) WEFT_REQUIRES(mutex_);

  const std::size_t stack_size_;
  const std::size_t stride_;
  std::atomic<Slab*> first_{nullptr};
  StackPool* next_pool_ = nullptr;  // in the list that begins at first_stack_pool

  // Guards all below, and the changes of the list. It is held over the system calls that make a slot.
  mutable SpinMutex mutex_;
  Slab* last_ WEFT_GUARDED_BY(mutex_) = nullptr;
  // Lists of idle Gs, linked by G::next_list: one lock and one cache line for a whole list. A list lies in the first
  // until the next age(), then in the second, then in the third, from which trim() takes it.
  G* fresh_ WEFT_GUARDED_BY(mutex_) = nullptr;
  G* stale_ WEFT_GUARDED_BY(mutex_) = nullptr;
  G* doomed_ WEFT_GUARDED_BY(mutex_) = nullptr;
  std::size_t bare_slots_ WEFT_GUARDED_BY(mutex_) = 0;    // in all slabs
  std::uint64_t bare_epoch_ WEFT_GUARDED_BY(mutex_) = 0;  // the largest of a G that was emptied
};

// Returns the pool for stacks of that size; the pool lives as long as the process.
StackPool& stack_pool(std::size_t stack_size);

// Pools are put in front of the list when they are complete (release), and stay.
extern std::atomic<StackPool*> first_stack_pool;

// Calls visit(StackPool&) for each pool of stack_pool(). Takes no lock.
template <typename Visit>
void for_each_stack_pool(Visit visit) {
  for (StackPool* pool = first_stack_pool.load(std::memory_order_acquire); pool != nullptr; pool = pool->next_pool_) {
    visit(*pool);
  }
}

// Calls visit(G&) for every slot of every size that was ever in use. Takes no lock.
template <typename Visit>
void for_each_goroutine_slot(Visit visit) {
  for_each_stack_pool([&](StackPool& pool) { pool.for_each(visit); });
}

}  // namespace weft::rt
