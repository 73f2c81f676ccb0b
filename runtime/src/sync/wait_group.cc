// WaitGroup: the counter and the number of waiters in one word, so that whoever takes the counter to zero learns in the
// same step whether anybody waits.
//
// wait() and the add() that reaches zero. wait() raises the number of waiters by compare-and-swap from a word whose
// counter is not zero, and holds queue_mutex_ until its node is queued. The add() that reaches zero is a later step of
// the word, so it sees the waiter, and takes queue_mutex_ after it. From then on the word may not change (an add would
// be misuse, and a wait sees the counter zero and returns). So the word is set to zero, and everybody in the queue is
// woken. Without waiters, the last done() touches nothing after its step of the word. With waiters, it touches nothing
// after it has released queue_mutex_, because the first waiter to go on may destroy the group.
#include "weft/wait_group.h"

#include "runtime/src/sync/block.h"
#include "weft/panic.h"

namespace weft {

void WaitGroup::add(int delta) {
  const std::uint64_t change = static_cast<std::uint64_t>(static_cast<std::int64_t>(delta)) << kCounterShift;
  // Releases what this done() must order before the waits; acquires what the earlier calls of done() released.
  const std::uint64_t state = state_.fetch_add(change, std::memory_order_acq_rel) + change;
  const auto counter = static_cast<std::int32_t>(state >> kCounterShift);
  const auto waiters = static_cast<std::uint32_t>(state);
  if (counter < 0) panic("sync: negative WaitGroup counter");
  if (waiters == 0) return;
  if (delta > 0 && counter == delta) panic("sync: WaitGroup misuse: Add called concurrently with Wait");
  if (counter == 0) release_waiters(state);
}

void WaitGroup::release_waiters(std::uint64_t state) {
  if (!state_.compare_exchange_strong(state, 0, std::memory_order_acq_rel, std::memory_order_relaxed)) {
    panic("sync: WaitGroup misuse: Add called concurrently with Wait");
  }
  queue_mutex_.lock();
  detail::WaitNode* const waiters = queue_.take_all();
  queue_mutex_.unlock();
  detail::wake_all(waiters);
}

void WaitGroup::wait() {
  std::uint64_t state = state_.load(std::memory_order_acquire);
  if (state >> kCounterShift == 0) return;
  queue_mutex_.lock();
  do {
    if (state >> kCounterShift == 0) {
      queue_mutex_.unlock();
      return;
    }
  } while (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire));
  detail::WaitNode node;
  queue_.push_back(node);
  detail::block(node, queue_mutex_, rt::WaitReason::wait_group_wait);
  if (state_.load(std::memory_order_relaxed) != 0) panic("sync: WaitGroup is reused before previous Wait has returned");
}

}  // namespace weft
