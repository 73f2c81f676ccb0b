#include "runtime/src/sched/stack_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <utility>

#if defined(WEFT_ASAN)
#include <sanitizer/lsan_interface.h>
#endif

#include "runtime/src/sched/goroutine.h"
#include "runtime/src/stack/slab.h"

namespace weft::rt {

constinit std::atomic<StackPool*> first_stack_pool{nullptr};
constinit std::atomic<const SlabRecord*> first_slab_record{nullptr};

namespace {

constexpr std::size_t kMinStack = 16 * 1024;

// Slots of the first and of the largest slab; each slab has twice as many as the one before.
constexpr std::size_t kFirstSlab = 64;
constexpr std::size_t kLargestSlab = 4096;

// The caller of trim() has other things to look after, and a stack takes a microsecond.
constexpr std::size_t kTrimAtOnce = 1024;

// Returns a stack's size in whole pages.
std::size_t whole_stack(std::size_t size) noexcept { return round_up(std::max(size, kMinStack), page_size()); }

void add_slab_record(const char* base, std::size_t stride, std::size_t slots) {
  auto* const record = new SlabRecord{nullptr, base, stride, slots};
  // Release: whoever finds the record by an acquire load finds its fields.
  record->next = first_slab_record.load(std::memory_order_relaxed);
  while (!first_slab_record.compare_exchange_weak(record->next, record, std::memory_order_release,
                                                  std::memory_order_relaxed)) {
  }
}

}  // namespace

StackPool::StackPool(std::size_t stack_size)
    : stack_size_(whole_stack(stack_size)), stride_(stack_size_ + page_size()) {}

StackPool::~StackPool() {
  for (const Slab* slab = first_.load(std::memory_order_relaxed); slab != nullptr;) {
    const Slab* const next = slab->next.load(std::memory_order_relaxed);
    delete slab;
    slab = next;
  }
}

G* StackPool::goroutine_at(const Slab& slab, std::size_t slot) const noexcept {
  char* const top = slab.base + (slot + 1) * stride_;
  return reinterpret_cast<G*>(top - goroutine_offset(sizeof(G), slot));
}

StackPool::Slab* StackPool::slab_of(const void* address) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (Slab* slab = first_.load(std::memory_order_acquire); slab != nullptr;
       slab = slab->next.load(std::memory_order_acquire)) {
    const auto base = reinterpret_cast<std::uintptr_t>(slab->base);
    if (at >= base && at - base < slab->made.load(std::memory_order_acquire) * stride_) return slab;
  }
  return nullptr;
}

G* StackPool::owner_of(const void* address) const noexcept {
  const Slab* const slab = slab_of(address);
  if (slab == nullptr) return nullptr;
  return goroutine_at(*slab, static_cast<std::size_t>(static_cast<const char*>(address) - slab->base) / stride_);
}

bool StackPool::last_slab_is_full_locked() const noexcept {
  return last_ == nullptr || last_->made.load(std::memory_order_relaxed) == last_->slots;
}

void StackPool::add_slab_locked() {
  const std::size_t slots = last_ == nullptr ? kFirstSlab : std::min(last_->slots * 2, kLargestSlab);
  auto slab = std::make_unique<Slab>();
  char* const base = map_slab(slots * stride_);
  add_slab_record(base, stride_, slots);
  slab->bare = std::make_unique_for_overwrite<std::uint32_t[]>(slots);
  slab->base = base;
  slab->slots = slots;
  std::atomic<Slab*>& place = last_ == nullptr ? first_ : last_->next;
  last_ = slab.release();
  place.store(last_, std::memory_order_release);
}

G* StackPool::make_slot_locked(Slab& slab) {
  const std::size_t slot = slab.made.load(std::memory_order_relaxed);
  char* const low = slab.base + slot * stride_;
  install_guard(low);
  G* const g = ::new (goroutine_at(slab, slot)) G;
  g->stack_low = low + page_size();
  g->pool = this;
#if defined(WEFT_ASAN)
  // Memory that only a parked goroutine's stack points to is no leak.
  __lsan_register_root_region(g->stack_low, stack_size_);
#endif
  slab.made.store(slot + 1, std::memory_order_release);
  return g;
}

G* StackPool::take(std::size_t n, G* head) {
  if (G* const list = take_list()) {
    G* last = list;
    while (--n > 0 && last->link != nullptr) last = last->link;
    give(std::exchange(last->link, head));
    return list;
  }
  const LockGuard lock(mutex_);
  for (; n > 0 && bare_slots_ > 0; --n) {
    G* const g = refill_slot_locked();
    g->link = head;
    head = g;
  }
  for (; n > 0 && (head == nullptr || !last_slab_is_full_locked()); --n) {
    try {
      if (last_slab_is_full_locked()) add_slab_locked();
      G* const g = make_slot_locked(*last_);
      g->link = head;
      head = g;
    } catch (const std::bad_alloc&) {
      if (head == nullptr) throw;
      break;
    }
  }
  return head;
}

std::size_t StackPool::size() const noexcept {
  std::size_t n = 0;
  for (const Slab* slab = first_.load(std::memory_order_acquire); slab != nullptr;
       slab = slab->next.load(std::memory_order_acquire)) {
    n += slab->made.load(std::memory_order_acquire);
  }
  return n;
}

void StackPool::give(G* head) noexcept {
  if (head == nullptr) return;
  const LockGuard lock(mutex_);
  head->next_list = fresh_;
  fresh_ = head;
}

G* StackPool::take_list() noexcept {
  const LockGuard lock(mutex_);
  G*& lists = fresh_ != nullptr ? fresh_ : stale_ != nullptr ? stale_ : doomed_;
  G* const list = lists;
  if (list != nullptr) lists = list->next_list;
  return list;
}

bool StackPool::has_idle() const noexcept {
  const LockGuard lock(mutex_);
  return fresh_ != nullptr || stale_ != nullptr || doomed_ != nullptr;
}

void StackPool::age() noexcept {
  const LockGuard lock(mutex_);
  if (doomed_ != nullptr) return;
  doomed_ = std::exchange(stale_, std::exchange(fresh_, nullptr));
}

bool StackPool::trim() noexcept {
  for (std::size_t n = 0; n < kTrimAtOnce;) {
    G* list = nullptr;
    {
      const LockGuard lock(mutex_);
      list = doomed_;
      if (list == nullptr) return false;
      doomed_ = list->next_list;
    }
    for (; list != nullptr; ++n) {
      G& g = *list;
      list = g.link;
      empty_slot(*slab_of(&g), g);
    }
  }
  return true;
}

// The caller has the slot for itself. Where the kernel does not take the pages (they are locked), they stay what they
// are, which is as good.
void StackPool::empty_slot(Slab& slab, G& g) noexcept {
  const std::uint64_t epoch = g.epoch();
  const std::size_t slot = static_cast<std::size_t>(g.stack_low - slab.base) / stride_;
  ::madvise(g.stack_low, stack_size_, MADV_DONTNEED);
  const LockGuard lock(mutex_);
  bare_epoch_ = std::max(bare_epoch_, epoch);
  slab.bare[slab.bare_count++] = static_cast<std::uint32_t>(slot);
  ++bare_slots_;
}

// Dumps may look at the G meanwhile, so what they read is stored atomically.
G* StackPool::refill_slot_locked() noexcept {
  Slab* slab = first_.load(std::memory_order_relaxed);
  while (slab->bare_count == 0) slab = slab->next.load(std::memory_order_relaxed);
  const std::size_t slot = slab->bare[--slab->bare_count];
  --bare_slots_;
  G* const g = goroutine_at(*slab, slot);
  g->state.store(G::pack(bare_epoch_, Status::dead), std::memory_order_release);
  g->mode.store(Mode::user, std::memory_order_relaxed);
  g->stack_low = slab->base + slot * stride_ + page_size();
  g->pool = this;
  return g;
}

StackPool& stack_pool(std::size_t stack_size) {
  static SpinMutex mutex;
  static auto* const pools = new std::map<std::size_t, std::unique_ptr<StackPool>>;  // outlives every static destructor
  const LockGuard lock(mutex);
  std::unique_ptr<StackPool>& pool = (*pools)[whole_stack(stack_size)];
  if (!pool) {
    pool = std::make_unique<StackPool>(stack_size);
    pool->next_pool_ = first_stack_pool.load(std::memory_order_relaxed);
    first_stack_pool.store(pool.get(), std::memory_order_release);
  }
  return *pool;
}

}  // namespace weft::rt
