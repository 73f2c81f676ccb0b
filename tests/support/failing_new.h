// Makes memory run out. Replaces operator new in the program that includes this file, in one of its sources.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "weft/go.h"

namespace weft::testing {

// Stores the goroutine, not the thread, because any call of the runtime may switch to another goroutine.
inline std::atomic<std::uint64_t> allocates_no_more{0};
inline std::atomic<int> allocations_before{0};

// From its construction to the end of the scope, the calling goroutine gets `n` allocations; all later ones throw
// std::bad_alloc. One at a time.
class AllocationsFailAfter {
 public:
  explicit AllocationsFailAfter(int n) {
    allocations_before.store(n, std::memory_order_relaxed);
    allocates_no_more.store(this_goroutine::id(), std::memory_order_relaxed);
  }
  AllocationsFailAfter(const AllocationsFailAfter&) = delete;
  AllocationsFailAfter& operator=(const AllocationsFailAfter&) = delete;
  ~AllocationsFailAfter() { allocates_no_more.store(0, std::memory_order_relaxed); }
};

inline bool allocation_fails() {
  const std::uint64_t id = allocates_no_more.load(std::memory_order_relaxed);
  if (id == 0 || id != this_goroutine::id()) return false;
  return allocations_before.fetch_sub(1, std::memory_order_relaxed) <= 0;
}

inline void* allocate(std::size_t size, std::size_t alignment) {
  if (!allocation_fails()) {
    const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
    if (void* const memory = std::aligned_alloc(alignment, rounded)) return memory;
  }
  throw std::bad_alloc();
}

}  // namespace weft::testing

// Not inlined, or GCC would compare the malloc of one with the delete of the other.
// NOLINTBEGIN(misc-definitions-in-headers): one file of a program includes this, and a replacement can't be inline
[[gnu::noinline]] void* operator new(std::size_t size) {
  return weft::testing::allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return weft::testing::allocate(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
// NOLINTEND(misc-definitions-in-headers)
