// FdMutex: the closed bit, the count of operations in flight and the two operation locks of a descriptor, in one word (Go's fdMutex).
//
// word_     bits    meaning                                     who writes
//   closed  0       no new operation may begin                  close(), once
//   read    1       a read-side operation runs                  lock(read) / unlock(read)
//   write   2       a write-side operation runs                 likewise
//   refs    3-22    who needs the fd number: one for being open, one for each operation in flight
//   rwait   23-42   goroutines that wait for the read lock
//   wwait   43-62   goroutines that wait for the write lock
// The number is closed by whoever takes closed && refs to 0, so that it can't be given to another file while an operation uses it.
// The locks make concurrent reads (and writes) take turns, whole call by whole call.
#pragma once

#include <atomic>
#include <cstdint>

#include "sched/park.h"
#include "sync/spin_mutex.h"

namespace weft::rt {

// The two directions of a descriptor.
enum class Side : unsigned { read = 0, write = 1 };

// A counting semaphore for goroutines, first in first out; close() hands out one permit per waiter.
class FdSemaphore {
 public:
  void acquire() noexcept;
  void release() noexcept;

 private:
  struct Node {
    Waiter waiter;
    Node* next = nullptr;
    FdSemaphore* semaphore = nullptr;
  };
  static bool commit(void* node) noexcept;

  SpinMutex mutex_;
  std::uint32_t permits_ = 0;
  Node* head_ = nullptr;
  Node* tail_ = nullptr;
};

class FdMutex {
 public:
  // One more user of the number; false when it is closed.
  [[nodiscard]] bool add_ref() noexcept;
  // True when the caller must close the number now.
  [[nodiscard]] bool drop_ref() noexcept;

  // Waits for the side's lock, which comes with a reference; false when it is closed. Goroutines only.
  [[nodiscard]] bool lock(Side side) noexcept;
  // True when the caller must close the number now.
  [[nodiscard]] bool unlock(Side side) noexcept;

  // Sets the closed bit and wakes who waits for a lock; false when it was set already. The caller holds the reference of being
  // open, and drops it when the operations in flight have been told.
  [[nodiscard]] bool close() noexcept;

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

  std::atomic<std::uint64_t> word_{kRef};
  FdSemaphore turns_[2];
};

}  // namespace weft::rt
