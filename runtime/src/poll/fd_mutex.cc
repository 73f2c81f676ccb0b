#include "poll/fd_mutex.h"

#include <mutex>

#include "sched/fatal.h"

namespace weft::rt {

// --- FdSemaphore -----------------------------------------------------------------------------------------------------

bool FdSemaphore::commit(void* node) noexcept {
  static_cast<Node*>(node)->semaphore->mutex_.unlock();
  return true;
}

void FdSemaphore::acquire() noexcept {
  mutex_.lock();
  if (permits_ > 0) {
    --permits_;
    mutex_.unlock();
    return;
  }
  Node node{current_waiter(), nullptr, this};
  (tail_ != nullptr ? tail_->next : head_) = &node;
  tail_ = &node;
  park(&commit, &node, WaitReason::io_wait);  // commit unlocks; release() hands over the permit
}

void FdSemaphore::release() noexcept {
  Waiter waiter;
  {
    const std::lock_guard lock(mutex_);
    if (head_ == nullptr) {
      ++permits_;
      return;
    }
    waiter = head_->waiter;
    head_ = head_->next;
    if (head_ == nullptr) tail_ = nullptr;
  }
  ready(waiter);
}

// --- FdMutex ---------------------------------------------------------------------------------------------------------

bool FdMutex::add_ref() noexcept {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  do {
    if ((word & kClosed) != 0) return false;
    WEFT_CHECK((word & kRefs) != kRefs, "too many operations on one descriptor");
  } while (!word_.compare_exchange_weak(word, word + kRef, std::memory_order_acq_rel, std::memory_order_relaxed));
  return true;
}

bool FdMutex::drop_ref() noexcept {
  const std::uint64_t before = word_.fetch_sub(kRef, std::memory_order_acq_rel);
  WEFT_CHECK((before & kRefs) != 0, "descriptor reference count below zero");
  return ((before - kRef) & (kClosed | kRefs)) == kClosed;
}

bool FdMutex::lock(Side side) noexcept {
  const std::uint64_t bit = lock_bit(side);
  for (;;) {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    std::uint64_t next = 0;
    do {
      if ((word & kClosed) != 0) return false;
      WEFT_CHECK((word & kRefs) != kRefs && (word & waiters(side)) != waiters(side),
                 "too many operations on one descriptor");
      // The lock comes with a reference; waiting for it does not, for the closed bit is looked at again afterwards.
      next = (word & bit) == 0 ? (word | bit) + kRef : word + waiter_unit(side);
    } while (!word_.compare_exchange_weak(word, next, std::memory_order_acq_rel, std::memory_order_relaxed));
    if ((word & bit) == 0) return true;
    turns_[static_cast<unsigned>(side)].acquire();
  }
}

bool FdMutex::unlock(Side side) noexcept {
  const std::uint64_t bit = lock_bit(side);
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    WEFT_CHECK((word & bit) != 0 && (word & kRefs) != 0, "unlock of an unlocked descriptor");
    next = (word & ~bit) - kRef;
    if ((word & waiters(side)) != 0) next -= waiter_unit(side);
  } while (!word_.compare_exchange_weak(word, next, std::memory_order_acq_rel, std::memory_order_relaxed));
  if ((word & waiters(side)) != 0) turns_[static_cast<unsigned>(side)].release();
  return (next & (kClosed | kRefs)) == kClosed;
}

bool FdMutex::close() noexcept {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    if ((word & kClosed) != 0) return false;
    next = (word | kClosed) & ~(waiters(Side::read) | waiters(Side::write));
    // seq_cst: the closed bit is set before the closer looks for goroutines that wait; they look in the opposite order.
  } while (!word_.compare_exchange_weak(word, next, std::memory_order_seq_cst, std::memory_order_relaxed));
  for (const Side side : {Side::read, Side::write}) {
    for (std::uint64_t n = (word & waiters(side)) / waiter_unit(side); n > 0; --n)
      turns_[static_cast<unsigned>(side)].release();
  }
  return true;
}

}  // namespace weft::rt
