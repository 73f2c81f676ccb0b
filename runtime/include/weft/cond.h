// Cond: a condition variable for goroutines (Go's sync.Cond).
//
//   weft::Mutex mutex;
//   weft::Cond changed(mutex);
//
//   mutex.lock();                                          mutex.lock();
//   changed.wait([&] { return !queue.empty(); });          queue.push_back(item);
//   take(queue.front());                                   mutex.unlock();
//   mutex.unlock();                                        changed.signal();
//
// The lock is anything with lock() and unlock(): Mutex, RWMutex, an RWMutex::RLocker, and for plain threads std::mutex.
// It must be an object with a name: `auto readers = rw.r_locker(); weft::Cond changed(readers);`. unlock() may not
// throw.
// Thread safety: goroutines and plain threads alike.
// Lifetime: the lock outlives the Cond. The Cond stays in place while it is in use, and until every wait() has
// returned; a signal() or broadcast() may still be about to return then.
// Blocking: wait() parks the calling goroutine (a plain thread sleeps) until it is signalled; it can't be cancelled.
// signal() and broadcast() don't block.
// Order: signal() wakes the one that waits longest. A wait ends only by a signal() or broadcast() that came after its
// start, never without one. But somebody else may take the lock before the woken waiter does, so what the waiter waited
// for may be over.
#pragma once

#include <weft/detail/spin_mutex.h>
#include <weft/detail/wait_queue.h>
#include <weft/mutex.h>
#include <weft/thread_annotations.h>

namespace weft {

namespace detail {

// The policy of the queue; tests/model/cond_test.cc explores the queue with another one.
struct CondPolicy {
  using Waits = WaitPolicy;
  static void block(WaitNode& node, detail::SpinMutex& held) noexcept WEFT_RELEASE(held);
};

// The queue of the waiters; sync/cond.h has the protocol.
template <typename Policy>
class BasicCondQueue {
 public:
  using Node = BasicWaitNode<typename Policy::Waits>;

  constexpr BasicCondQueue() noexcept {}  // NOLINT(modernize-use-equals-default): constexpr for each policy that can
  BasicCondQueue(const BasicCondQueue&) = delete;
  BasicCondQueue& operator=(const BasicCondQueue&) = delete;

  // Puts the node into the queue. A wait() with the same node follows.
  void enter(Node& node) noexcept;
  // Returns when the node is signalled.
  void wait(Node& node) noexcept;

  void signal() noexcept;
  void broadcast() noexcept;

 private:
  static bool sleeps(const Node& node) noexcept { return static_cast<bool>(node.waiter); }

  typename Policy::Waits::Mutex mutex_;
  BasicWaitQueue<typename Policy::Waits> queue_;
};

extern template class BasicCondQueue<CondPolicy>;
using CondQueue = BasicCondQueue<CondPolicy>;

}  // namespace detail

template <typename Lock = Mutex>
class Cond {
 public:
  explicit Cond(Lock& lock) noexcept : lock_(lock) {}
  Cond(const Cond&) = delete;
  Cond& operator=(const Cond&) = delete;

  // Unlocks the lock, which the caller holds, waits, and locks it again. A signal that comes after the unlock is not
  // lost. Clang does not check that the caller holds the lock.
  void wait() WEFT_NO_THREAD_SAFETY_ANALYSIS {
    detail::WaitNode node;
    Lock& lock = lock_;
    queue_.enter(node);
    unlock(lock);
    queue_.wait(node);
    lock.lock();
  }

  // Waits until `condition()` holds. It is called with the lock held; an exception from it leaves the lock held. Clang
  // looks at a lambda alone: one that reads what the lock guards says `[&]() WEFT_REQUIRES(mutex) { ... }`.
  template <typename Condition>
  void wait(Condition condition) {
    while (!condition()) wait();
  }

  // signal() wakes the one that waits longest, if anybody waits; broadcast() wakes all. The caller may hold the lock,
  // but need not.
  void signal() noexcept { queue_.signal(); }
  void broadcast() noexcept { queue_.broadcast(); }

 private:
  // An exception from here would leave the node in the queue.
  static void unlock(Lock& lock) noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS { lock.unlock(); }

  Lock& lock_;
  detail::CondQueue queue_;
};

}  // namespace weft
