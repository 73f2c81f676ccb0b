// Not part of the API: what the templates of weft/chan.h and its neighbours are made of.
//
// WaitNode and WaitQueue are for goroutines and plain threads that wait for one thing; the first to come is the first
// served. Selection is for one that waits for several things, with a node in the queue of each.
//
// A waiter has a WaitNode on its own stack, queues it under the lock of the thing, and blocks; blocking releases the
// lock once the waiter may be woken (sync/block.h). A waker, under the same lock, takes the node out, does what the
// waiter waited for (moves an element, sets `success`), copies the Waiter and releases the lock. Then it calls
// wake(waiter). The node belongs to
//   the waiter         until it is queued, and again after it was woken;
//   the lock's holder  while it is queued;
//   the waker          from taking it out until wake(); not after, since the waiter's frame may be gone then, which is
//                      why the Waiter is copied.
// Exactly one waker takes a node out, so a waiter is woken exactly once, and its wait never ends without a reason.
//
// With a Selection, the nodes lie in several queues under several locks, and several wakers may come at the same time.
// The first one to set `winner`, from null to the node that it took out, has won: it goes on as above, and only it
// wakes. The others leave the node alone, out of the queue and marked as `dequeued`, and look for another waiter. The
// waiter takes out the nodes that are still queued, each under its lock, before its frame goes.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/spin_mutex.h>
#include <weft/detail/waiter.h>

namespace weft::detail {

// Lets the waiter go on. Everything before the call happens before the waiter's return from block(). Call it without
// locks, from any thread.
void wake(Waiter waiter) noexcept;

// The policy of waiting; tests/model explores channels, select and the queue with another one.
struct WaitPolicy {
  template <typename T>
  using Atomic = std::atomic<T>;
  using Mutex = SpinMutex;
  using Waiter = detail::Waiter;

  static void wake(Waiter waiter) noexcept { detail::wake(waiter); }
};

template <typename Policy>
struct BasicWaitNode;

// Lies on the stack of the waiter.
template <typename Policy>
struct BasicSelection {
  typename Policy::template Atomic<BasicWaitNode<Policy>*> winner{nullptr};
};

template <typename Policy>
struct BasicWaitNode {
  // Called by a waker that took the node out. Returns whether the waker may go on, because nobody was faster.
  bool claim() noexcept {
    if (selection == nullptr) return true;
    BasicWaitNode* none = nullptr;
    // Relaxed is enough: the winner tells the waiter by wake(), the losers tell it by the locks of their queues.
    if (selection->winner.compare_exchange_strong(none, this, std::memory_order_relaxed, std::memory_order_relaxed))
      return true;
    dequeued = true;
    return false;
  }

  BasicWaitNode* next = nullptr;
  BasicWaitNode* prev = nullptr;
  typename Policy::Waiter waiter;
  void* element = nullptr;                      // for a channel: the T to take from, or the std::optional<T> to fill
  BasicSelection<Policy>* selection = nullptr;  // null: the waiter's only node
  bool success = false;   // written by the waker: the wait ended as it should, not because of a close
  bool dequeued = false;  // set by a waker that came too late; under the queue's lock
};

// A doubly linked list, because a waiter may have to leave from the middle. Everything but empty() needs the owner's
// lock.
template <typename Policy>
class BasicWaitQueue {
 public:
  using Node = BasicWaitNode<Policy>;

  constexpr BasicWaitQueue() noexcept {}  // NOLINT(modernize-use-equals-default): constexpr for each policy that can
  BasicWaitQueue(const BasicWaitQueue&) = delete;
  BasicWaitQueue& operator=(const BasicWaitQueue&) = delete;

  // Any thread may call it. Without the lock the answer may be a moment old; what the caller loads after this call is
  // not loaded before it.
  bool empty() const noexcept { return first_.load(std::memory_order_acquire) == nullptr; }

  void push_back(Node& node) noexcept {
    node.next = nullptr;
    node.prev = last_;
    if (last_ != nullptr) {
      last_->next = &node;
    } else {
      first_.store(&node, std::memory_order_relaxed);
    }
    last_ = &node;
  }

  void push_front(Node& node) noexcept {
    Node* const second = first_.load(std::memory_order_relaxed);
    node.next = second;
    node.prev = nullptr;
    (second != nullptr ? second->prev : last_) = &node;
    first_.store(&node, std::memory_order_relaxed);
  }

  // Takes out the node that waits longest and returns it; null when nobody waits.
  Node* pop_front() noexcept {
    Node* const node = first_.load(std::memory_order_relaxed);
    if (node != nullptr) remove(*node);
    return node;
  }

  // Takes out the node that waits longest and may be woken, and returns it; null when there is none.
  Node* claim_front() noexcept {
    Node* node = pop_front();
    while (node != nullptr && !node->claim()) node = pop_front();
    return node;
  }

  void remove(Node& node) noexcept {
    if (node.prev != nullptr) {
      node.prev->next = node.next;
    } else {
      first_.store(node.next, std::memory_order_relaxed);
    }
    (node.next != nullptr ? node.next->prev : last_) = node.prev;
  }

  // Takes all nodes out and returns them, the oldest first, chained through `next`. The store is a release: whoever
  // finds the queue empty because of it, without the lock, also sees what the taker did before.
  Node* take_all() noexcept {
    Node* const first = first_.load(std::memory_order_relaxed);
    first_.store(nullptr, std::memory_order_release);
    last_ = nullptr;
    return first;
  }

  // Does the same, without the nodes that may not be woken.
  Node* claim_all() noexcept {
    Node* claimed = nullptr;
    Node** end = &claimed;
    for (Node* node = take_all(); node != nullptr;) {
      Node* const next = node->next;
      if (node->claim()) {
        *end = node;
        end = &node->next;
      }
      node = next;
    }
    *end = nullptr;
    return claimed;
  }

 private:
  typename Policy::template Atomic<Node*> first_{nullptr};
  Node* last_ = nullptr;
};

// Wakes the waiters of a chain that take_all() or claim_all() returned, in its order.
template <typename Policy>
void wake_all(BasicWaitNode<Policy>* chain) noexcept {
  while (chain != nullptr) {
    const typename Policy::Waiter waiter = chain->waiter;
    chain = chain->next;  // wake() ends the node's life
    Policy::wake(waiter);
  }
}

using WaitNode = BasicWaitNode<WaitPolicy>;
using WaitQueue = BasicWaitQueue<WaitPolicy>;
using Selection = BasicSelection<WaitPolicy>;

}  // namespace weft::detail
