#include "stack/stack.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <new>

#if defined(WEFT_ASAN)
#include <sanitizer/lsan_interface.h>
#endif

#include "debug/debug_root.h"
#include "sched/fatal.h"
#include "sched/goroutine.h"

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

void install_guard(char* page) {
  if (::madvise(page, kPage, MADV_GUARD_INSTALL) == 0) return;
  if (::mprotect(page, kPage, PROT_NONE) == 0) return;
  if (errno == ENOMEM) {
    fatal(
        "no room for another guarded stack: raise vm.max_map_count (sysctl -w vm.max_map_count=262144) or run a kernel "
        ">= 6.13");
  }
  throw std::bad_alloc();
}

struct Pools {
  SpinMutex mutex;
  std::map<std::size_t, std::unique_ptr<StackPool>> by_size;  // guarded by mutex
};

Pools& pools() {
  static auto* const all = new Pools;  // outlives every static destructor
  return *all;
}

}  // namespace

StackPool::StackPool(std::size_t stack_size)
    : stack_size_(round_up(std::max(stack_size, kMinStack), kPage)), stride_(stack_size_ + kPage) {}

G* StackPool::goroutine_at(const Slab& slab, std::size_t slot) const noexcept {
  char* const top = slab.base + (slot + 1) * stride_;
  return reinterpret_cast<G*>(top - goroutine_offset(sizeof(G), slot));
}

void StackPool::add_slab() {
  const std::size_t slots = slabs_.empty() ? kFirstSlab : std::min(slabs_.back().slots * 2, kLargestSlab);
  const std::size_t bytes = slots * stride_;
  void* const base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  ::madvise(base, bytes, MADV_NOHUGEPAGE);  // a huge page would commit eight stacks for one
  ::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, base, bytes, "weft goroutine stacks");
  publish_slab(static_cast<char*>(base), stride_, slots);
  slabs_.push_back({static_cast<char*>(base), slots, 0});
}

G* StackPool::make_slot(Slab& slab) {
  char* const low = slab.base + slab.made * stride_;
  install_guard(low);
  G* const g = ::new (goroutine_at(slab, slab.made)) G;
  g->stack_low = low + kPage;
  g->pool = this;
#if defined(WEFT_ASAN)
  // What only a parked goroutine's stack points to is no leak.
  __lsan_register_root_region(g->stack_low, stack_size_);
#endif
  ++slab.made;
  return g;
}

G* StackPool::take(std::size_t n, G* head) {
  const std::lock_guard lock(mutex_);
  for (; n > 0 && free_ != nullptr; --n) {
    G* const g = free_;
    free_ = g->link;
    g->link = head;
    head = g;
  }
  for (; n > 0 && (head == nullptr || (!slabs_.empty() && slabs_.back().made < slabs_.back().slots)); --n) {
    try {
      if (slabs_.empty() || slabs_.back().made == slabs_.back().slots) add_slab();
      G* const g = make_slot(slabs_.back());
      g->link = head;
      head = g;
    } catch (const std::bad_alloc&) {
      if (head == nullptr) throw;
      break;
    }
  }
  return head;
}

std::vector<StackPool::Slab> StackPool::slabs() const {
  const std::lock_guard lock(mutex_);
  return slabs_;
}

std::size_t StackPool::size() const noexcept {
  const std::lock_guard lock(mutex_);
  std::size_t n = 0;
  for (const Slab& slab : slabs_) n += slab.made;
  return n;
}

void StackPool::give(G* head) noexcept {
  if (head == nullptr) return;
  const std::lock_guard lock(mutex_);
  while (head != nullptr) {
    G* const next = head->link;
    head->link = free_;
    free_ = head;
    head = next;
  }
}

StackPool& stack_pool(std::size_t stack_size) {
  Pools& all = pools();
  const std::lock_guard lock(all.mutex);
  std::unique_ptr<StackPool>& pool = all.by_size[round_up(std::max(stack_size, kMinStack), kPage)];
  if (!pool) pool = std::make_unique<StackPool>(stack_size);
  return *pool;
}

std::vector<StackPool*> stack_pools() {
  Pools& all = pools();
  const std::lock_guard lock(all.mutex);
  std::vector<StackPool*> list;
  for (const auto& [size, pool] : all.by_size) list.push_back(pool.get());
  return list;
}

}  // namespace weft::rt
