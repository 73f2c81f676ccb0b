// GlobalQueue: the goroutines that no processor has. First in, first out, without bound.
//
// An array of pointers, not a list through the goroutines: to queue a thousand of them, or to take them out, touches none of their memory,
// which is a cache miss each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/src/sched/goroutine.h"

namespace weft::rt {

// Not thread-safe.
class GlobalQueue {
 public:
  std::size_t size() const noexcept { return size_; }

  void push(std::span<G* const> goroutines) noexcept {
    if (size_ + goroutines.size() > slots_.size()) grow(size_ + goroutines.size());
    for (G* const g : goroutines) slots_[(first_ + size_++) & (slots_.size() - 1)] = g;
  }
  // The oldest, as many as fit into `to` and are there; says how many.
  std::size_t pop(std::span<G*> to) noexcept {
    const std::size_t n = std::min(to.size(), size_);
    for (std::size_t i = 0; i < n; ++i) to[i] = slots_[(first_ + i) & (slots_.size() - 1)];
    first_ += n;
    size_ -= n;
    return n;
  }

 private:
  static constexpr std::size_t kFirstSlots = 256;

  // Out of memory ends the process: noexcept.
  void grow(std::size_t at_least) noexcept {
    std::size_t n = std::max(slots_.size(), kFirstSlots);
    while (n < at_least) n *= 2;
    std::vector<G*> larger(n);
    size_ = pop(larger);
    slots_.swap(larger);
    first_ = 0;
  }

  std::vector<G*> slots_;  // a power of two of them
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weft::rt
