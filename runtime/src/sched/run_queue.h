// RunQueue: a ring of runnable goroutines. One producer (the processor's machine), many consumers.
//
// head_ and tail_ count up for ever and wrap; tail_ - head_ is the length, slot i lies at i % kSlots.
//   tail_  written by the owner alone; the release store publishes the slots below it.
//   head_  the owner and thieves advance it by compare-and-swap; whoever wins has taken the goroutines [old, new).
// A slot is overwritten only after head_ has passed it: the owner's acquire load of head_ in push() pairs with the
// consumers' release.
// A consumer reads the slots first and takes them by the swap afterwards. So a read may race with an overwrite; then
// the swap fails.
//
// The queue is a template over its atomics, so that tests/model/run_queue_test.cc can explore it.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/src/base/atomics.h"

namespace weft::rt {

template <typename T, std::uint32_t kSlots, typename Atomics = StdAtomics>
class RunQueue {
  static_assert((kSlots & (kSlots - 1)) == 0, "the slot index is a mask");

 public:
  explicit RunQueue(std::uint32_t start = 0) noexcept : head_(start), tail_(start) {}

  // For the owner only. Returns false when the queue is full.
  bool push(T* item) noexcept {
    const std::uint32_t head = head_.load(std::memory_order_acquire);
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head >= kSlots) return false;
    slots_[tail % kSlots].store(item, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // For the owner only. Returns null when the queue is empty.
  T* pop() noexcept {
    std::uint32_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
      if (tail == head) return nullptr;
      T* const item = slots_[head % kSlots].load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel, std::memory_order_acquire))
        return item;
    }
  }

  // Does the same where there are no thieves.
  T* pop_exclusively() noexcept {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    if (tail_.load(std::memory_order_relaxed) == head) return nullptr;
    T* const item = slots_[head % kSlots].load(std::memory_order_relaxed);
    head_.store(head + 1, std::memory_order_release);
    return item;
  }

  // For the owner only, for a prefetch: returns the item that pop() returns after `ahead` others; null when there is
  // none. The item may be taken already.
  T* peek(std::uint32_t ahead) const noexcept {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    if (tail_.load(std::memory_order_relaxed) - head <= ahead) return nullptr;
    return slots_[(head + ahead) % kSlots].load(std::memory_order_relaxed);
  }

  // Called by the owner of `this`: moves the older half of `victim` here and returns one of these goroutines to run;
  // null when `victim` had none. `this` must be empty.
  T* steal_from(RunQueue& victim) noexcept {
    const std::uint32_t to = tail_.load(std::memory_order_relaxed);
    std::uint32_t n = 0;
    for (;;) {
      std::uint32_t head = victim.head_.load(std::memory_order_acquire);
      const std::uint32_t tail = victim.tail_.load(std::memory_order_acquire);
      n = tail - head;
      n -= n / 2;
      if (n == 0) return nullptr;
      if (n > kSlots / 2) {  // head and tail are of two different moments
        Atomics::pause();
        continue;
      }
      for (std::uint32_t i = 0; i < n; ++i) {
        slots_[(to + i) % kSlots].store(victim.slots_[(head + i) % kSlots].load(std::memory_order_relaxed),
                                        std::memory_order_relaxed);
      }
      if (victim.head_.compare_exchange_strong(head, head + n, std::memory_order_acq_rel, std::memory_order_relaxed))
        break;
    }
    --n;
    T* const item = slots_[(to + n) % kSlots].load(std::memory_order_relaxed);
    if (n > 0) tail_.store(to + n, std::memory_order_release);
    return item;
  }

  // Any thread may call these; the results are a moment old.
  bool empty() const noexcept { return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire); }
  std::uint32_t size() const noexcept {
    const std::uint32_t head = head_.load(std::memory_order_acquire);
    const std::uint32_t n = tail_.load(std::memory_order_acquire) - head;
    return n > kSlots ? kSlots : n;
  }

 private:
  template <typename U>
  using Atomic = typename Atomics::template Atomic<U>;

  Atomic<std::uint32_t> head_;
  Atomic<std::uint32_t> tail_;
  Atomic<T*> slots_[kSlots] = {};
};

}  // namespace weft::rt
