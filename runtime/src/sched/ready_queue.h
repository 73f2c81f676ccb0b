// ReadyQueue: a processor's own queue of runnable goroutines. First in, first out, without bound.
//
// The oldest lie in a ring, which needs no lock (run_queue.h). What finds the ring full goes to the backlog, and so
// does everything that comes while the backlog holds something. The owner fills the ring from the backlog when the ring
// is empty. So nobody is overtaken: a goroutine waits for those that were queued before it.
//
// Branches are the exception. A goroutine that starts others in its first turn, which start others in theirs, unfolds a
// tree. First in, first out, it would unfold level by level, until all of the last level is alive: a tree of a million
// goroutines takes eight times the memory then, and twice the time (skynet, docs/performance.md). So where the backlog
// is long, new branches wait apart. The newest come first, when the line has become short. Their owner also takes the
// oldest from time to time (pop_oldest_branch()), so that each has its turn.
//
// Thieves take from the ring, from the backlog when the ring is empty, and of the branches when both are.
//
// Empty. Goroutines move from the branches to the backlog or a ring, and from the backlog to a ring, and never back. A
// thread that looks whether there is work looks in that order. While a goroutine is on its way, the size of what it
// comes from counts it (shared_queue.h).
//
// The queue is a template over its atomics and its mutex, so that tests/model/ready_queue_test.cc can explore it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
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
  // For a branch that has had no turn yet.
  void push_branch(T* item) noexcept {
    if (backlog_.size() < kMostInOrder) return push(item);
    branches_.push({&item, 1});
  }
  // Returns null when there is no branch that waits apart.
  T* pop_oldest_branch() noexcept {
    T* oldest = nullptr;
    branches_.move_out(std::numeric_limits<std::size_t>::max(), 1, [&](T* item) { oldest = item; });
    return oldest;
  }
  // Puts the newest branches, at most `most`, in line where the line is short: else a goroutine that only yields would
  // keep them waiting.
  void line_up_branches(std::size_t most) noexcept {
    if (backlog_.empty()) branches_.move_out_newest(most, [this](T* item) { push(item); });
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

  // Gives memory back that an empty queue keeps for goroutines to come.
  void release_memory() noexcept {
    backlog_.release_memory();
    branches_.release_memory();
  }

  // Called by the owner of `this`, which must be empty: moves the older half of what lies in the victim's ring here, or
  // else half of the victim's backlog, or else of its branches, as far as it fits in half a ring. Returns one of these
  // goroutines to run; null when the victim had none.
  T* steal_from(ReadyQueue& victim) noexcept {
    if (T* const item = ring_.steal_from(victim.ring_)) return item;
    T* first = nullptr;
    const auto take = [&](T* item) {
      if (first == nullptr) {
        first = item;
      } else {
        ring_.push(item);
      }
    };
    if (victim.backlog_.move_out(2, kSlots / 2, take) == 0) victim.branches_.move_out(2, kSlots / 2, take);
    return first;
  }

  // --- any thread; the results are a moment old ---
  bool empty() const noexcept { return branches_.empty() && backlog_.empty() && ring_.empty(); }
  std::size_t size() const noexcept { return branches_.size() + backlog_.size() + ring_.size(); }

 private:
  // From so many on that wait in order, branches wait apart.
  static constexpr std::size_t kMostInOrder = 4 * std::size_t{kSlots};

  // Returns false when there is nothing to fill the ring with.
  bool refill() noexcept {
    const auto fill = [this](T* item) { ring_.push(item); };
    return backlog_.move_out(1, kSlots, fill) != 0 || branches_.move_out_newest(kSlots / 2, fill) != 0;
  }

  RunQueue<T, kSlots, Policy> ring_;
  SharedQueue<T, Policy> backlog_;
  SharedQueue<T, Policy> branches_;
};

}  // namespace weft::rt
