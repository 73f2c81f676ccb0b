// SharedQueue: goroutines that any thread may queue and take. First in, first out, without bound, under a lock.
//
// It is an array of pointers, not a list through the goroutines. So to queue a thousand goroutines, or to take them
// out, touches none of their memory, which would be a cache miss for each.
//
// Empty. A thread that is about to sleep looks at the size without the lock. So the size counts a goroutine until it
// lies where it goes next: whoever finds this queue empty (acquire) finds there what has left it.
//
// The queue is a template over its atomics and its mutex, so that tests/model/ready_queue_test.cc can explore it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/src/base/atomics.h"
#include "runtime/src/base/spin_mutex.h"

namespace weft::rt {

struct SharedQueuePolicy : StdAtomics {
  using Mutex = SpinMutex;
};

template <typename T, typename Policy = SharedQueuePolicy>
class SharedQueue {
 public:
  bool empty() const noexcept { return size() == 0; }
  std::size_t size() const noexcept { return size_.load(std::memory_order_acquire); }

  void push(std::span<T* const> items) noexcept {
    const LockGuard lock(mutex_);
    const std::size_t n = size_.load(std::memory_order_relaxed);
    if (n + items.size() > slots_.size()) grow(n, n + items.size());
    for (std::size_t i = 0; i < items.size(); ++i) slots_[(first_ + n + i) & (slots_.size() - 1)] = items[i];
    size_.store(n + items.size(), std::memory_order_release);
  }

  // Hands the oldest items to sink(T*), oldest first: one more than one in `parts`, but at most `most`. Returns how
  // many. The sink must not use this queue.
  template <typename Sink>
  std::size_t move_out(std::size_t parts, std::size_t most, Sink sink) noexcept {
    if (empty()) return 0;
    const LockGuard lock(mutex_);
    const std::size_t size = size_.load(std::memory_order_relaxed);
    const std::size_t n = std::min({size, size / parts + 1, most});
    for (std::size_t i = 0; i < n; ++i) sink(slots_[(first_ + i) & (slots_.size() - 1)]);
    first_ += n;
    size_.store(size - n, std::memory_order_release);
    return n;
  }
  // The same for the newest items, at most `most` of them, the oldest of these first.
  template <typename Sink>
  std::size_t move_out_newest(std::size_t most, Sink sink) noexcept {
    if (empty()) return 0;
    const LockGuard lock(mutex_);
    const std::size_t size = size_.load(std::memory_order_relaxed);
    const std::size_t n = std::min(size, most);
    for (std::size_t i = size - n; i < size; ++i) sink(slots_[(first_ + i) & (slots_.size() - 1)]);
    size_.store(size - n, std::memory_order_release);
    return n;
  }

  // Gives the array back if nothing lies in it.
  void release_memory() noexcept {
    std::vector<T*> slots;
    const LockGuard lock(mutex_);
    if (size_.load(std::memory_order_relaxed) == 0) slots_.swap(slots);
  }

 private:
  static constexpr std::size_t kFirstSlots = 256;

  // Running out of memory ends the process, because the function is noexcept.
  void grow(std::size_t size, std::size_t at_least) noexcept WEFT_REQUIRES(mutex_) {
    std::size_t n = std::max(slots_.size(), kFirstSlots);
    while (n < at_least) n *= 2;
    std::vector<T*> larger(n);
    for (std::size_t i = 0; i < size; ++i) larger[i] = slots_[(first_ + i) & (slots_.size() - 1)];
    slots_.swap(larger);
    first_ = 0;
  }

  typename Policy::Mutex mutex_;
  std::vector<T*> slots_ WEFT_GUARDED_BY(mutex_);  // their number is a power of two
  std::size_t first_ WEFT_GUARDED_BY(mutex_) = 0;
  typename Policy::template Atomic<std::size_t> size_{0};  // written under the mutex
};

}  // namespace weft::rt
