// Semaphore: a number of units that goroutines take and give back, several at a time (Go's x/sync/semaphore.Weighted).
//
//   weft::Semaphore memory(512 << 20);
//   ...
//   const auto held = memory.hold(ctx, image.size());       // until the end of the scope
//   if (!held) return held.error();
//   resize(image);
//
// Thread safety: goroutines and plain threads alike. Units have no owner: anybody may release them. A SemaphoreLock is
// used by one goroutine or thread at a time.
// Lifetime: the semaphore stays in place while it is in use, and outlives its SemaphoreLocks. It may be destroyed when
// no acquire() waits and those that got their units have returned; a release() may still be about to return then.
// Blocking: acquire() and hold() park the calling goroutine (a plain thread sleeps) until it gets its units. In the
// functions that take a context, the context cancels the wait. The other functions don't block.
// Fairness: strictly first come, first served. A waiter that wants much keeps those after it waiting, though there may
// be enough for them.
// Numbers of units are 0 or more; a negative one throws Panic("semaphore: negative weight").
#pragma once

#include <cstdint>
#include <utility>

#include <weft/detail/spin_mutex.h>
#include <weft/detail/wait_queue.h>
#include <weft/error.h>
#include <weft/panic.h>

namespace weft {

class Context;
class SemaphoreLock;

namespace detail {
class WaitStop;
}

class Semaphore {
 public:
  // Makes a semaphore with `size` units, all of them free.
  explicit Semaphore(std::int64_t size);
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // Waits for `n` units. Returns the context's error if the context is done, before or meanwhile: then the caller has
  // no units, though some may be free. A call for more units than there are at all waits until the context is done, and
  // keeps nobody else waiting.
  Error acquire(const Context& context, std::int64_t n = 1);

  // Does the same without a context: a call for more units than there are at all waits for ever.
  void acquire(std::int64_t n = 1);

  // Never waits. Returns false when `n` units are not free, or when others wait.
  bool try_acquire(std::int64_t n = 1);

  // Gives `n` units back. Throws Panic("semaphore: released more than held") when fewer are taken.
  void release(std::int64_t n = 1);

  // Do the same for units that are given back at the end of a scope, however the scope is left. try_hold() returns an
  // empty lock where try_acquire() returns false.
  [[nodiscard]] Result<SemaphoreLock> hold(const Context& context, std::int64_t n = 1);
  [[nodiscard]] SemaphoreLock hold(std::int64_t n = 1);
  [[nodiscard]] SemaphoreLock try_hold(std::int64_t n = 1);

 private:
  struct Node;

  Error acquire_until(detail::WaitStop& stop, std::int64_t n);
  bool take_locked(std::int64_t n) noexcept WEFT_REQUIRES(mutex_);
  detail::WaitNode* grant_locked() noexcept WEFT_REQUIRES(mutex_);
  static void cancel(void* waiter) noexcept;

  const std::int64_t size_;
  detail::SpinMutex mutex_;
  std::int64_t taken_ WEFT_GUARDED_BY(mutex_) = 0;
  detail::WaitQueue waiters_ WEFT_GUARDED_BY(mutex_);  // of Nodes
};

// Owns units of a semaphore, and releases them at its end. It can be moved; it is empty when moved from.
class SemaphoreLock {
 public:
  SemaphoreLock() noexcept = default;
  SemaphoreLock(SemaphoreLock&& other) noexcept : semaphore_(std::exchange(other.semaphore_, nullptr)), n_(other.n_) {}
  SemaphoreLock& operator=(SemaphoreLock&& other) noexcept {
    SemaphoreLock(std::move(other)).swap(*this);
    return *this;
  }
  ~SemaphoreLock() { release(); }

  explicit operator bool() const noexcept { return semaphore_ != nullptr; }

  // Gives the units back now; the lock is empty then.
  void release() {
    if (semaphore_ != nullptr) std::exchange(semaphore_, nullptr)->release(n_);
  }

  void swap(SemaphoreLock& other) noexcept {
    std::swap(semaphore_, other.semaphore_);
    std::swap(n_, other.n_);
  }

 private:
  friend class Semaphore;
  SemaphoreLock(Semaphore& semaphore, std::int64_t n) noexcept : semaphore_(&semaphore), n_(n) {}

  Semaphore* semaphore_ = nullptr;
  std::int64_t n_ = 0;
};

}  // namespace weft
