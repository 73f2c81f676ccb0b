// WaitGroup: waits until a number of goroutines are done (Go's sync.WaitGroup).
//
//   weft::WaitGroup group;
//   for (auto& shard : shards) group.go([&shard] { index(shard); });
//   group.wait();
//
// Thread safety: goroutines and plain threads alike. An add() that starts from zero must happen before the wait() it is
// meant for.
// Lifetime: the group must outlive the goroutines it counts and every wait(). It may be destroyed, or used again, once
// all its waits have returned.
// Blocking: wait() parks the calling goroutine (a plain thread sleeps); it can't be cancelled. The other functions
// don't block.
// Ordering: each done() happens before the return of the wait() that it lets go.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <weft/detail/spin_mutex.h>
#include <weft/detail/wait_queue.h>
#include <weft/go.h>
#include <weft/panic.h>

namespace weft {

class WaitGroup {
 public:
  constexpr WaitGroup() noexcept = default;
  WaitGroup(const WaitGroup&) = delete;
  WaitGroup& operator=(const WaitGroup&) = delete;

  // Adds `delta`, which may be negative, to the counter; at zero all waiters go on. Throws Panic("sync: negative
  // WaitGroup counter") when the counter falls below zero, and a Panic that names the misuse when it rises from zero
  // while somebody waits.
  void add(int delta);
  void done() { add(-1); }

  // Returns when the counter is zero. Throws a Panic when the group is used again before all waits of an earlier round
  // have returned.
  void wait();

  // Calls add(1), then fn() in a new goroutine, and done() when the goroutine has ended: fn has returned, or called
  // exit_goroutine(), and is destroyed, and so are the goroutine's GoroutineLocal values. The goroutine does not count
  // in goroutine_count() any more when wait() returns. (That of a done() of your own still may.) An exception from fn
  // ends the process and does not call done(). Throws std::bad_alloc when there is no memory for the goroutine.
  template <typename F>
  void go(F&& fn, SourceLocation where = SourceLocation::current());

 private:
  static constexpr int kCounterShift = 32;

  void release_waiters(std::uint64_t state);

  std::atomic<std::uint64_t> state_{0};  // bits 32-63 the counter, bits 0-31 the number of waiters
  detail::SpinMutex queue_mutex_;
  detail::WaitQueue queue_ WEFT_GUARDED_BY(queue_mutex_);
};

template <typename F>
void WaitGroup::go(F&& fn, SourceLocation where) {
  using Fn = std::decay_t<F>;
  static_assert(std::is_invocable_v<Fn&>, "WaitGroup::go takes a function without parameters");
  add(1);
  try {
    detail::go(nullptr, std::forward<F>(fn), where,
               {[](void* group) noexcept { static_cast<WaitGroup*>(group)->done(); }, this});
  } catch (...) {
    done();
    throw;
  }
}

}  // namespace weft
