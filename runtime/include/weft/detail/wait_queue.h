// Not part of the API: what the templates of weft/chan.h and its neighbours are made of.
//
// WaitNode and WaitQueue: goroutines and plain threads that wait for one thing, first come first served.
//
// A waiter lays a WaitNode on its own stack, queues it under the lock of the thing, and blocks; blocking releases the
// lock once the waiter may be woken (sync/block.h). A waker, under the same lock, takes the node out, does what the
// waiter waited for (moves an element, sets `success`), copies the token and releases the lock; then it calls
// wake(token). The node belongs to
//   the waiter         until it is queued, and again after it was woken;
//   the lock's holder  while it is queued;
//   the waker          from taking it out until wake(); not after, since the waiter's frame may be gone then, which is
//                      why the token is copied.
// Exactly one waker takes a node out, so a waiter is woken exactly once and its wait never ends for nothing.
#pragma once

#include <atomic>
#include <cstdint>

namespace weft::rt {
struct G;
}

namespace weft::detail {

// Whom to wake: a goroutine in the park that `key` counts, or, when g is null, the thread that sleeps on the futex word
// at address `key`.
struct WaitToken {
  rt::G* g = nullptr;
  std::uint64_t key = 0;
};

// Lets the waiter go on. Everything before it happens before the waiter's return from block(). Call it without locks;
// any thread.
void wake(WaitToken token) noexcept;

struct WaitNode {
  WaitNode* next = nullptr;
  WaitNode* prev = nullptr;
  WaitToken token;
  void* element = nullptr;  // a channel's: the T to take from, or the std::optional<T> to fill
  bool success = false;     // written by the waker: the wait ended as it should, not because of a close
};

// Doubly linked, because a waiter may have to leave from the middle. Everything but empty() needs the owner's lock.
class WaitQueue {
 public:
  constexpr WaitQueue() noexcept = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  // Any thread. Without the lock the answer may be a moment old; what the caller loads after it, it loads later.
  bool empty() const noexcept { return first_.load(std::memory_order_acquire) == nullptr; }

  void push_back(WaitNode& node) noexcept {
    node.next = nullptr;
    node.prev = last_;
    if (last_ != nullptr) {
      last_->next = &node;
    } else {
      first_.store(&node, std::memory_order_relaxed);
    }
    last_ = &node;
  }

  void push_front(WaitNode& node) noexcept {
    WaitNode* const second = first_.load(std::memory_order_relaxed);
    node.next = second;
    node.prev = nullptr;
    (second != nullptr ? second->prev : last_) = &node;
    first_.store(&node, std::memory_order_relaxed);
  }

  // The one that waits longest; null when nobody does.
  WaitNode* pop_front() noexcept {
    WaitNode* const node = first_.load(std::memory_order_relaxed);
    if (node != nullptr) remove(*node);
    return node;
  }

  void remove(WaitNode& node) noexcept {
    if (node.prev != nullptr) {
      node.prev->next = node.next;
    } else {
      first_.store(node.next, std::memory_order_relaxed);
    }
    (node.next != nullptr ? node.next->prev : last_) = node.prev;
  }

  // All of them, the oldest first, chained through `next`. A release store: who finds the queue empty because of it,
  // without the lock, also sees what its taker did before.
  WaitNode* take_all() noexcept {
    WaitNode* const first = first_.load(std::memory_order_relaxed);
    first_.store(nullptr, std::memory_order_release);
    last_ = nullptr;
    return first;
  }

 private:
  std::atomic<WaitNode*> first_{nullptr};
  WaitNode* last_ = nullptr;
};

// Wakes a chain that take_all() gave, in its order.
void wake_all(WaitNode* chain) noexcept;

}  // namespace weft::detail
