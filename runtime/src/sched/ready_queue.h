// ReadyQueue: a processor's own queue of runnable goroutines. First in, first out, without bound.
//
// The oldest lie in a ring, which needs no lock (run_queue.h). What finds the ring full goes to the backlog, and so
// does everything that comes while the backlog holds something. The owner fills the ring from the backlog when the ring
// is empty. So nobody is overtaken: a goroutine waits for those that were queued before it.
//
// Thieves take from the ring, and from the backlog when the ring is empty.
//
// Empty. Goroutines move from the backlog to a ring, and never back. A thread that looks whether there is work looks at
// the backlog first. While a goroutine is on its way, the backlog's size counts it (shared_queue.h).
//
// The queue is a template over its atomics and its mutex, so that tests/model/ready_queue_test.cc can explore it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/src/sched/run_queue.h"
#include "runtime/src/sched/shared_queue.h"

namespace weft::rt {

template <typename T, std::uint32_t kSlots, typename Policy = SharedQueuePolicy>
class ReadyQueue {
 public:
  explicit ReadyQueue(std::uint32_t start = 0) noexcept : ring_(start) {}

  // --- the owner ---
  void push(T* item) noexcept {
    // Only the owner fills the backlog, so what the owner finds empty stays so.
    if (backlog_.empty() && ring_.push(item)) [[likely]] {
      return;
    }
    backlog_.push({&item, 1});
  }
  // Returns null when the queue is empty.
  T* pop() noexcept {
    do {
      if (T* const item = ring_.pop()) return item;
    } while (refill());
    return nullptr;
  }
  // Does the same where there are no thieves.
  T* pop_exclusively() noexcept {
    do {
      if (T* const item = ring_.pop_exclusively()) return item;
    } while (refill());
    return nullptr;
  }
  // For a prefetch: returns an item that pop() returns after `ahead` others, if the ring has it. It may be taken
  // already.
  T* peek(std::uint32_t ahead) const noexcept { return ring_.peek(ahead); }

  // Called by the owner of `this`, which must be empty: moves the older half of what lies in the victim's ring here, or
  // else half of the victim's backlog, as far as it fits in half a ring. Returns one of these goroutines to run; null
  // when the victim had none.
  T* steal_from(ReadyQueue& victim) noexcept {
    if (T* const item = ring_.steal_from(victim.ring_)) return item;
    T* first = nullptr;
    victim.backlog_.move_out(2, kSlots / 2, [&](T* item) {
      if (first == nullptr) {
        first = item;
      } else {
        ring_.push(item);
      }
    });
    return first;
  }

  // --- any thread; the results are a moment old ---
  bool empty() const noexcept { return backlog_.empty() && ring_.empty(); }
  std::size_t size() const noexcept { return backlog_.size() + ring_.size(); }

 private:
  // Returns false when the backlog is empty.
  bool refill() noexcept {
    return backlog_.move_out(1, kSlots, [this](T* item) { ring_.push(item); }) != 0;
  }

  RunQueue<T, kSlots, Policy> ring_;
  SharedQueue<T, Policy> backlog_;
};

}  // namespace weft::rt
