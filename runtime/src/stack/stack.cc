#include "runtime/src/stack/stack.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#if defined(WEFT_ASAN)
#include <sanitizer/lsan_interface.h>
#endif

#include "runtime/src/base/fatal.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/symbols/debug_root.h"

// In the kernel since 6.13; Debian 12's headers are older.
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

namespace weft::rt {
namespace {

const std::size_t kPage = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
constexpr std::size_t kMinStack = 16 * 1024;

// Slots of the first and of the largest slab; each slab is twice the one before.
constexpr std::size_t kFirstSlab = 64;
constexpr std::size_t kLargestSlab = 4096;

std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

// Where guards cost mappings, some are kept back for the report that there are no more: it allocates memory and maps the debug information,
// and each of them may take a mapping. What keeps them is a row of pages, of which each differs from its neighbours. Null before the first
// such guard, and when they are given back.
constexpr std::size_t kMappingsKept = 256;
std::atomic<char*> kept_mappings{nullptr};

void keep_mappings() noexcept {
  const std::size_t bytes = kMappingsKept * kPage;
  void* const pages = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return;
  for (std::size_t i = 1; i < kMappingsKept; i += 2) {
    ::mprotect(static_cast<char*>(pages) + i * kPage, kPage, PROT_READ);  // where it fails fewer are kept
  }
  kept_mappings.store(static_cast<char*>(pages), std::memory_order_release);
}

// False when none are kept. The outermost pages stay: they may have become one mapping with what lies beside them, which would have to
// be split, and there is no mapping left for that.
bool release_mappings() noexcept {
  char* const pages = kept_mappings.exchange(nullptr, std::memory_order_acq_rel);
  return pages != nullptr && ::munmap(pages + kPage, (kMappingsKept - 2) * kPage) == 0;
}

[[noreturn]] void no_more_mappings() noexcept {
  fatal(
      "no room for another guarded stack: raise vm.max_map_count (sysctl -w vm.max_map_count=262144) or run a kernel "
      ">= 6.13");
}

void install_guard(char* page) {
  if (::madvise(page, kPage, MADV_GUARD_INSTALL) == 0) return;
  if (::mprotect(page, kPage, PROT_NONE) == 0) {
    [[maybe_unused]] static const bool once = (keep_mappings(), true);
    return;
  }
  if (errno != ENOMEM) throw std::bad_alloc();
  release_mappings();
  no_more_mappings();
}

void* map(std::size_t bytes) noexcept {
  return ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

// Null when there is no memory. The kernel says the same when there are no mappings, but then not a page can be had, either.
char* map_slab(std::size_t bytes) noexcept {
  void* const base = map(bytes);
  if (base != MAP_FAILED) return static_cast<char*>(base);
  if (void* const page = map(kPage); page != MAP_FAILED) {
    ::munmap(page, kPage);
  } else if (release_mappings()) {
    no_more_mappings();
  }
  return nullptr;
}

}  // namespace

constinit std::atomic<StackPool*> first_stack_pool{nullptr};

StackPool::StackPool(std::size_t stack_size)
    : stack_size_(round_up(std::max(stack_size, kMinStack), kPage)), stride_(stack_size_ + kPage) {}

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

G* StackPool::owner_of(const void* address) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (const Slab* slab = first_.load(std::memory_order_acquire); slab != nullptr;
       slab = slab->next.load(std::memory_order_acquire)) {
    const auto base = reinterpret_cast<std::uintptr_t>(slab->base);
    if (at < base || at - base >= slab->made.load(std::memory_order_acquire) * stride_) continue;
    return goroutine_at(*slab, (at - base) / stride_);
  }
  return nullptr;
}

bool StackPool::last_slab_is_full_locked() const noexcept {
  return last_ == nullptr || last_->made.load(std::memory_order_relaxed) == last_->slots;
}

void StackPool::add_slab_locked() {
  const std::size_t slots = last_ == nullptr ? kFirstSlab : std::min(last_->slots * 2, kLargestSlab);
  const std::size_t bytes = slots * stride_;
  auto slab = std::make_unique<Slab>();
  char* const base = map_slab(bytes);
  if (base == nullptr) throw std::bad_alloc();
  ::madvise(base, bytes, MADV_NOHUGEPAGE);  // a huge page would commit eight stacks for one
  ::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, base, bytes, "weft goroutine stacks");
  publish_slab(base, stride_, slots);
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
  g->stack_low = low + kPage;
  g->pool = this;
#if defined(WEFT_ASAN)
  // What only a parked goroutine's stack points to is no leak.
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
  const std::lock_guard lock(mutex_);
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
  const std::lock_guard lock(mutex_);
  head->next_list = free_;
  free_ = head;
}

G* StackPool::take_list() noexcept {
  const std::lock_guard lock(mutex_);
  G* const list = free_;
  if (list != nullptr) free_ = list->next_list;
  return list;
}

StackPool& stack_pool(std::size_t stack_size) {
  static SpinMutex mutex;
  static auto* const pools = new std::map<std::size_t, std::unique_ptr<StackPool>>;  // outlives every static destructor
  const std::lock_guard lock(mutex);
  std::unique_ptr<StackPool>& pool = (*pools)[round_up(std::max(stack_size, kMinStack), kPage)];
  if (!pool) {
    pool = std::make_unique<StackPool>(stack_size);
    pool->next_pool_ = first_stack_pool.load(std::memory_order_relaxed);
    first_stack_pool.store(pool.get(), std::memory_order_release);
  }
  return *pool;
}

}  // namespace weft::rt
