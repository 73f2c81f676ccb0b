// Semaphore: a number of units that goroutines take and give back, several at a time (Go's x/sync/semaphore.Weighted).
//
//   weft::Semaphore memory(512 << 20);
//   ...
//   if (weft::Error error = memory.acquire(ctx, image.size())) return error;
//   resize(image);
//   memory.release(image.size());
//
// Thread safety: goroutines and plain threads alike. Units have no owner: whoever releases them releases them.
// Lifetime: stays in place while in use. It may be destroyed when no acquire() waits and those that were let in have
// returned; a release() may still be about to return then.
// Blocking: acquire() parks the calling goroutine (a plain thread sleeps) until it gets its units; the context of the
// one that has one cancels it. The others don't block.
// Fairness: strictly first come, first served. One that wants much keeps those behind it waiting, though there may be
// enough for them.
// Numbers of units are 0 or more; a negative one throws Panic("semaphore: negative weight").
#pragma once

#include <cstdint>

#include <weft/context.h>
#include <weft/detail/spin_mutex.h>
#include <weft/detail/wait_queue.h>
#include <weft/error.h>

namespace weft {

class Semaphore {
 public:
  // With `size` units, all of them free.
  explicit Semaphore(std::int64_t size);
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // Waits for `n` units. The context's error if it is done, before or meanwhile: then the caller has no units, though
  // some may be free. For more units than there are at all it waits until the context is done, and keeps nobody else
  // waiting.
  Error acquire(const Context& context, std::int64_t n = 1);

  // The same without a context: more units than there are at all wait for ever.
  void acquire(std::int64_t n = 1);

  // Never waits. False when `n` units are not free, or others wait.
  bool try_acquire(std::int64_t n = 1);

  // Gives `n` units back. Throws Panic("semaphore: released more than held") when fewer are taken.
  void release(std::int64_t n = 1);

 private:
  struct Waiter;

  bool take_locked(std::int64_t n) noexcept;
  detail::WaitNode* grant_locked() noexcept;
  static void cancel(void* waiter) noexcept;

  const std::int64_t size_;
  rt::SpinMutex mutex_;  // guards the rest
  std::int64_t taken_ = 0;
  detail::WaitQueue waiters_;  // of Waiters
};

}  // namespace weft
