// GlobalQueue: the goroutines that no processor has. First in, first out, without bound.
//
// It is an array of pointers, not a list through the goroutines. So to queue a thousand goroutines, or to take them
// out, touches none of their memory, which would be a cache miss for each.
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
  // Moves the oldest goroutines into `to`, as many as fit and are there, and returns how many.
  std::size_t pop(std::span<G*> to) noexcept {
    const std::size_t n = std::min(to.size(), size_);
    for (std::size_t i = 0; i < n; ++i) to[i] = slots_[(first_ + i) & (slots_.size() - 1)];
    first_ += n;
    size_ -= n;
    return n;
  }

 private:
  static constexpr std::size_t kFirstSlots = 256;

  // Running out of memory ends the process, because the function is noexcept.
  void grow(std::size_t at_least) noexcept {
    std::size_t n = std::max(slots_.size(), kFirstSlots);
    while (n < at_least) n *= 2;
    std::vector<G*> larger(n);
    size_ = pop(larger);
    slots_.swap(larger);
    first_ = 0;
  }

  std::vector<G*> slots_;  // their number is a power of two
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weft::rt
