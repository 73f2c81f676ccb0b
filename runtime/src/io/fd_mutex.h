// FdMutex: the closed bit, the count of operations in flight and the two operation locks of a descriptor, in one word
// (Go's fdMutex).
//
// word_     bits    meaning                                     who writes
//   closed  0       no new operation may begin                  close(), once
//   read    1       a read-side operation runs                  lock(read), unlock(read)
//   write   2       a write-side operation runs                 likewise
//   refs    3-22    who needs the fd number: one for being      add_ref(), drop_ref(), and the locks
//                   open, one for each operation in flight
//   rwait   23-42   goroutines that wait for the read lock      lock(read), unlock(read), close()
//   wwait   43-62   goroutines that wait for the write lock     likewise
//
// Whoever takes `refs` to 0 after `closed` was set closes the number. So the number can't be given to another file
// while an operation uses it.
// The locks make concurrent reads take turns, whole call by whole call, and so they do with writes.
//
// The classes are templates over atomics, mutex and parking: tests/model/fd_mutex_test.cc explores them.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/src/base/atomics.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/sched/park.h"
#include "runtime/src/sched/parking.h"
#include "weft/lock_guard.h"
#include "weft/thread_annotations.h"

namespace weft::rt {

// The two directions of a descriptor.
enum class Side : unsigned { read = 0, write = 1 };

// A counting semaphore for goroutines, first in, first out. FdMutex::close() hands out one permit for each waiter.
template <typename Policy>
class BasicFdSemaphore {
 public:
  void acquire() noexcept;
  void release() noexcept;

 private:
  struct Node {
    typename Policy::Parking::Waiter waiter;
    Node* next = nullptr;
    BasicFdSemaphore* semaphore = nullptr;
  };
  static bool commit(void* node) noexcept;

  typename Policy::Mutex mutex_;
  std::uint32_t permits_ WEFT_GUARDED_BY(mutex_) = 0;
  Node* head_ WEFT_GUARDED_BY(mutex_) = nullptr;  // who waits, the oldest first
  Node* tail_ WEFT_GUARDED_BY(mutex_) = nullptr;
};

template <typename Policy>
class BasicFdMutex {
 public:
  // Adds a user of the number. Returns false when the descriptor is closed.
  [[nodiscard]] bool add_ref() noexcept;
  // Returns true when the caller must close the number now.
  [[nodiscard]] bool drop_ref() noexcept;

  // Waits for the side's lock, which comes with a reference. Returns false when the descriptor is closed. Goroutines
  // only.
  [[nodiscard]] bool lock(Side side) noexcept;
  // Returns true when the caller must close the number now.
  [[nodiscard]] bool unlock(Side side) noexcept;

  // Sets the closed bit and wakes who waits for a lock. Returns false when the bit was set already. The caller has the
  // reference of being open, and drops it when the operations in flight have been told.
  [[nodiscard]] bool close() noexcept;

  // Tells whether an operation of that side runs.
  bool locked(Side side) const noexcept { return (word_.load(std::memory_order_acquire) & lock_bit(side)) != 0; }
  bool closed() const noexcept { return (word_.load(std::memory_order_seq_cst) & kClosed) != 0; }

 private:
  static constexpr std::uint64_t kClosed = 1;
  static constexpr std::uint64_t kRef = std::uint64_t{1} << 3;
  static constexpr std::uint64_t kField = (std::uint64_t{1} << 20) - 1;
  static constexpr std::uint64_t kRefs = kField << 3;

  static constexpr std::uint64_t lock_bit(Side side) noexcept { return side == Side::read ? 2 : 4; }
  static constexpr std::uint64_t waiter_unit(Side side) noexcept {
    return std::uint64_t{1} << (side == Side::read ? 23 : 43);
  }
  static constexpr std::uint64_t waiters(Side side) noexcept { return kField << (side == Side::read ? 23 : 43); }

  typename Policy::template Atomic<std::uint64_t> word_{kRef};
  BasicFdSemaphore<Policy> turns_[2];
};

struct FdMutexPolicy : StdAtomics {
  using Mutex = SpinMutex;
  using Parking = StdParking;
};
using FdSemaphore = BasicFdSemaphore<FdMutexPolicy>;
using FdMutex = BasicFdMutex<FdMutexPolicy>;

// --- FdSemaphore -----------------------------------------------------------------------------------------------------

// Releases the mutex that acquire() holds when it parks. Clang can't follow that.
template <typename Policy>
bool BasicFdSemaphore<Policy>::commit(void* node) noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS {
  static_cast<Node*>(node)->semaphore->mutex_.unlock();
  return true;
}

// Returns without the mutex when it parks: commit() has released it.
template <typename Policy>
void BasicFdSemaphore<Policy>::acquire() noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS {
  mutex_.lock();
  if (permits_ > 0) {
    --permits_;
    mutex_.unlock();
    return;
  }
  Node node{Policy::Parking::current_waiter(), nullptr, this};
  (tail_ != nullptr ? tail_->next : head_) = &node;
  tail_ = &node;
  Policy::Parking::park(&commit, &node, WaitReason::io_wait);  // commit unlocks; release() hands over the permit
}

template <typename Policy>
void BasicFdSemaphore<Policy>::release() noexcept {
  typename Policy::Parking::Waiter waiter;
  {
    const LockGuard lock(mutex_);
    if (head_ == nullptr) {
      ++permits_;
      return;
    }
    waiter = head_->waiter;
    head_ = head_->next;
    if (head_ == nullptr) tail_ = nullptr;
  }
  Policy::Parking::ready(waiter);
}

// --- FdMutex ---------------------------------------------------------------------------------------------------------

template <typename Policy>
bool BasicFdMutex<Policy>::add_ref() noexcept {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  do {
    if ((word & kClosed) != 0) return false;
    WEFT_CHECK((word & kRefs) != kRefs, "too many operations on one descriptor");
  } while (!word_.compare_exchange_weak(word, word + kRef, std::memory_order_acq_rel, std::memory_order_relaxed));
  return true;
}

template <typename Policy>
bool BasicFdMutex<Policy>::drop_ref() noexcept {
  const std::uint64_t before = word_.fetch_sub(kRef, std::memory_order_acq_rel);
  WEFT_CHECK((before & kRefs) != 0, "descriptor reference count below zero");
  return ((before - kRef) & (kClosed | kRefs)) == kClosed;
}

template <typename Policy>
bool BasicFdMutex<Policy>::lock(Side side) noexcept {
  const std::uint64_t bit = lock_bit(side);
  for (;;) {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    std::uint64_t next = 0;
    do {
      if ((word & kClosed) != 0) return false;
      WEFT_CHECK((word & kRefs) != kRefs && (word & waiters(side)) != waiters(side),
                 "too many operations on one descriptor");
      // The lock comes with a reference. Waiting for the lock does not need one, because the closed bit is looked at
      // again afterwards.
      next = (word & bit) == 0 ? (word | bit) + kRef : word + waiter_unit(side);
    } while (!word_.compare_exchange_weak(word, next, std::memory_order_acq_rel, std::memory_order_relaxed));
    if ((word & bit) == 0) return true;
    turns_[static_cast<unsigned>(side)].acquire();
  }
}

template <typename Policy>
bool BasicFdMutex<Policy>::unlock(Side side) noexcept {
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

template <typename Policy>
bool BasicFdMutex<Policy>::close() noexcept {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    if ((word & kClosed) != 0) return false;
    next = (word | kClosed) & ~(waiters(Side::read) | waiters(Side::write));
    // seq_cst: the closed bit is set before the closer looks for goroutines that wait. A goroutine that is about to
    // wait writes first, too, and then reads the bit; see wait_word.h. Acquire and release would let both reads come
    // first.
  } while (!word_.compare_exchange_weak(word, next, std::memory_order_seq_cst, std::memory_order_relaxed));
  for (const Side side : {Side::read, Side::write}) {
    for (std::uint64_t n = (word & waiters(side)) / waiter_unit(side); n > 0; --n)
      turns_[static_cast<unsigned>(side)].release();
  }
  return true;
}

extern template class BasicFdSemaphore<FdMutexPolicy>;
extern template class BasicFdMutex<FdMutexPolicy>;

}  // namespace weft::rt
