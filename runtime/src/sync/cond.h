// Cond: a queue under a spin mutex. Between enter() and wait() the waiter unlocks its lock, which may park. During that
// time the waiter lies in the queue but can't be woken, because its node has no Waiter yet. A signaller that takes such
// a node out marks it with `success` and goes on; the waiter finds the mark in wait() and does not sleep. Both happen
// under mutex_, so either the signaller finds the Waiter that block() has set, or the waiter finds the mark.
//
//   waiter                                       signaller
//     enter(): queue the node                      change what is waited for, with the lock
//     unlock the lock                              read whether the queue is empty
//     wait(): marked? else set waiter, sleep       take the first out: waiter? wake it; else mark it
//
// The signaller reads whether the queue is empty without mutex_. Before that, it has held the lock after the waiter
// unlocked it, or has learnt of the unlock in another way; else the waiter has not begun its wait. So the node's place
// in the queue happens before the read.
//
// Until the mark or the wake-up, the waiter keeps the object alive. After the wake-up the signaller touches nothing of
// the object. After the mark it touches mutex_ alone, for which the waiter has to wait.
//
// The queue is a template over its atomics and its waiting, so that tests/model/cond_test.cc can explore it.
#pragma once

#include "weft/cond.h"

namespace weft::detail {

template <typename Policy>
void BasicCondQueue<Policy>::enter(Node& node) noexcept {
  mutex_.lock();
  queue_.push_back(node);
  mutex_.unlock();
}

template <typename Policy>
void BasicCondQueue<Policy>::wait(Node& node) noexcept {
  mutex_.lock();
  if (node.success) {
    mutex_.unlock();
    return;
  }
  Policy::block(node, mutex_);
}

template <typename Policy>
void BasicCondQueue<Policy>::signal() noexcept {
  if (queue_.empty()) return;
  mutex_.lock();
  Node* const node = queue_.pop_front();
  typename Policy::Waits::Waiter waiter;
  const bool asleep = node != nullptr && sleeps(*node);
  if (asleep) {
    waiter = node->waiter;
  } else if (node != nullptr) {
    node->success = true;
  }
  mutex_.unlock();
  if (asleep) Policy::Waits::wake(waiter);
}

template <typename Policy>
void BasicCondQueue<Policy>::broadcast() noexcept {
  if (queue_.empty()) return;
  Node* asleep = nullptr;
  Node** last = &asleep;
  mutex_.lock();
  for (Node* node = queue_.take_all(); node != nullptr; node = node->next) {
    if (sleeps(*node)) {
      *last = node;
      last = &node->next;
    } else {
      node->success = true;
    }
  }
  *last = nullptr;
  mutex_.unlock();
  wake_all(asleep);
}

}  // namespace weft::detail
