// Mutex: one word and a queue. Bits of word_:
//
//   kLocked    somebody holds the mutex, or is having it handed over
//   kWaiters   queue_ is not empty; written with queue_mutex_ held
//   kAwake     one agent is on its way to take the mutex or to queue, so unlock() need not wake another. The agent is
//              an unlocker from the moment it decides to wake, then the waiter it wakes; or an arrival that spins while
//              others wait. Whoever answers for the bit clears it in the step in which it takes the mutex or queues
//   kStarving  a waiter waited too long: unlock() hands the mutex over and nobody else may take it. Implies kLocked. A
//              woken waiter that queues again sets it, in the step that finds the mutex locked; a waiter that had the
//              mutex handed over clears it
//
// No wake-up is lost. A locker queues under queue_mutex_, after one compare-and-swap that finds kLocked set and sets
// kWaiters. The holder's unlock is a later step of the same word, so it finds kWaiters, and either
//   - kAwake is clear: the same step that clears kLocked sets it; the unlocker takes queue_mutex_ after the locker, and
//     wakes the first waiter; or
//   - kAwake is set: whoever answers for it takes the mutex and unlocks it in turn, or finds it locked by somebody else
//     who will unlock it.
// Hence kWaiters without kLocked implies kAwake. kAwake belongs to one agent at a time, and only a woken waiter sets
// kStarving. So while the unlocker answers for kAwake, nobody else pops; and in starvation mode nobody but the holder
// does.
//
// What the last holder did happens before the next lock returns: the compare-and-swap of unlock() releases, every later
// step of the word is a read-modify-write and so carries that on, and the step that sets kLocked acquires. A hand-over
// is ordered by queue_mutex_ and wake().
//
// The bits above these are an RWMutex's readers (sync/rw_mutex.h). Nothing here reads or writes them: every change of
// the word keeps them. Where they are not 0, or other bits are set, the fast paths go on to the slow ones.
//
// The mutex is a template over its atomics and its waiting, so that tests/model/mutex_test.cc can explore it.
#pragma once

#include "runtime/src/base/fatal.h"
#include "runtime/src/sched/park.h"
#include "weft/detail/mutex_core.h"

namespace weft::detail {

template <typename Policy>
typename BasicMutex<Policy>::Taken BasicMutex<Policy>::lock_slow() noexcept {
  using Waiting = typename Policy::Waiting;
  typename Waiting::Time waiting_since{};
  bool waited = false;
  bool awake = false;  // this caller answers for kAwake
  bool starving = false;
  int spins = 0;
  std::uint32_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    if ((word & kLocked) == 0) {
      const std::uint32_t taken = (word | kLocked) & ~(awake ? kAwake : 0u);
      if (word_.compare_exchange_weak(word, taken, std::memory_order_acquire, std::memory_order_relaxed))
        return {word, false};
      continue;
    }
    if ((word & kStarving) == 0 && Waiting::may_spin(spins)) {
      if (!awake && (word & (kWaiters | kAwake)) == kWaiters) {
        awake =
            word_.compare_exchange_strong(word, word | kAwake, std::memory_order_relaxed, std::memory_order_relaxed);
      }
      Waiting::spin();
      ++spins;
      word = word_.load(std::memory_order_relaxed);
      continue;
    }

    if (!waited) waiting_since = Waiting::now();
    queue_mutex_.lock();
    word = word_.load(std::memory_order_relaxed);
    while ((word & kLocked) != 0) {
      const std::uint32_t queued = (word & ~(awake ? kAwake : 0u)) | kWaiters | (starving ? kStarving : 0u);
      if (word_.compare_exchange_weak(word, queued, std::memory_order_relaxed, std::memory_order_relaxed)) break;
    }
    if ((word & kLocked) == 0) {  // unlocked meanwhile
      queue_mutex_.unlock();
      continue;
    }
    WaitNode node;
    if (waited) {
      queue_.push_front(node);
    } else {
      queue_.push_back(node);
    }
    waited = true;
    Waiting::block(node, queue_mutex_, Waiting::kLockReason);

    const bool waited_long = Waiting::is_long_since(waiting_since);
    if (node.success) {  // handed over: kLocked stayed set for us
      if (!waited_long || (word_.load(std::memory_order_relaxed) & kWaiters) == 0) {
        word_.fetch_and(~kStarving, std::memory_order_relaxed);
      }
      return {0, true};
    }
    starving = waited_long;
    awake = true;
    spins = 0;
    word = word_.load(std::memory_order_relaxed);
  }
}

template <typename Policy>
std::uint32_t BasicMutex<Policy>::unlock_slow() noexcept {
  using Waiting = typename Policy::Waiting;
  std::uint32_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    if ((word & kLocked) == 0) rt::fatal(Waiting::kUnlockOfUnlocked);
    if ((word & kStarving) != 0) break;
    const bool wakes = (word & (kWaiters | kAwake)) == kWaiters;
    const std::uint32_t unlocked = (word & ~kLocked) | (wakes ? kAwake : 0u);
    if (!word_.compare_exchange_weak(word, unlocked, std::memory_order_release, std::memory_order_relaxed)) continue;
    if (wakes) {
      queue_mutex_.lock();
      const Waiter waiter = pop_waiter_locked().waiter;
      queue_mutex_.unlock();
      Waiting::wake(waiter);
    }
    return word;
  }

  queue_mutex_.lock();
  WaitNode& next = pop_waiter_locked();
  next.success = true;
  const Waiter waiter = next.waiter;
  queue_mutex_.unlock();
  Waiting::wake_owner(waiter);
  return 0;
}

template <typename Policy>
WaitNode& BasicMutex<Policy>::pop_waiter_locked() noexcept {
  WaitNode* const node = queue_.pop_front();
  WEFT_CHECK(node != nullptr, "a mutex has lost a waiter");
  if (queue_.empty()) word_.fetch_and(~kWaiters, std::memory_order_relaxed);
  return *node;
}

}  // namespace weft::detail
