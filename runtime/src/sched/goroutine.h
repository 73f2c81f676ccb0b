// G: a goroutine. It lies in the top page of its own stack, above the closure it runs.
//
// state (sched/state_word.h): one word that its owner and its wakers step through.
//
// Other fields: `link` belongs to the queue or pool that holds the G. `fiber` and `closure` belong to the machine that runs it. What
// dumps read (id, parent, reason, since) is atomic and may be a moment old.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "arch/fiber_switch.h"
#include "sched/park.h"
#include "sched/state_word.h"
#include "weft/go.h"

namespace weft::rt {

struct G : StateWord<> {
  G* link = nullptr;
  Fiber fiber;
  detail::ClosureEntry entry = nullptr;
  void* closure = nullptr;
  char* stack_low = nullptr;

  std::atomic<std::uint64_t> id{0};
  std::atomic<std::uint64_t> parent_id{0};
  std::atomic<WaitReason> reason{WaitReason::none};
  std::atomic<std::int64_t> since{0};  // steady clock, ns: when it parked, to the precision of its processor's clock
};

// A list of Gs through G::link, first in first out.
class GList {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  std::size_t size() const noexcept { return size_; }

  void push_back(G* g) noexcept {
    g->link = nullptr;
    if (tail_ != nullptr) {
      tail_->link = g;
    } else {
      head_ = g;
    }
    tail_ = g;
    ++size_;
  }
  G* pop_front() noexcept {
    G* const g = head_;
    if (g != nullptr) {
      head_ = g->link;
      if (head_ == nullptr) tail_ = nullptr;
      --size_;
    }
    return g;
  }
  void append(GList& other) noexcept {
    if (other.empty()) return;
    if (tail_ != nullptr) {
      tail_->link = other.head_;
    } else {
      head_ = other.head_;
    }
    tail_ = other.tail_;
    size_ += other.size_;
    other = GList();
  }

 private:
  G* head_ = nullptr;
  G* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace weft::rt
