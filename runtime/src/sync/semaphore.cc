// Semaphore: the number of units taken and a queue, under a spin mutex. Whoever releases units grants them to the first
// waiters that they are enough for, and marks their nodes with `success`; so a waiter that wakes has its units.
//
// A context may end a wait at any time from attach() on. Its hook and those who grant units decide under mutex_: a
// waiter is taken out of the queue once, by one of them. A hook that comes before the waiter is in the queue leaves a
// mark, `canceled`, which the waiter looks at under mutex_ before it queues. A waiter that was granted its units and
// finds the context done gives them back.
//
// The waiter detaches its hook before it returns, so the hook's node and the semaphore exist while the hook runs. A
// granter touches nothing of the semaphore after it has released mutex_.
#include "weft/semaphore.h"

#include "runtime/src/sync/block.h"
#include "runtime/src/sync/wait_stop.h"
#include "weft/panic.h"

namespace weft {
namespace {

void check_weight(std::int64_t n) {
  if (n < 0) panic("semaphore: negative weight");
}

}  // namespace

// A waiter; everything in it is guarded by the semaphore's mutex_.
struct Semaphore::Node : detail::WaitNode {
  Node(Semaphore& s, std::int64_t units) noexcept : semaphore(s), n(units) {}

  Semaphore& semaphore;
  const std::int64_t n;
  bool queued = false;
  bool waits = false;  // blocked, and nobody has woken it
  bool canceled = false;
};

Semaphore::Semaphore(std::int64_t size) : size_(size) { check_weight(size); }

// Takes `n` units if they are free and nobody waits; those that wait come first.
bool Semaphore::take_locked(std::int64_t n) noexcept {
  if (n > size_ - taken_ || !waiters_.empty()) return false;
  taken_ += n;
  return true;
}

// Gives units to the first waiters, as far as they go, and returns those to wake, as a chain.
detail::WaitNode* Semaphore::grant_locked() noexcept {
  detail::WaitNode* granted = nullptr;
  detail::WaitNode** last = &granted;
  while (detail::WaitNode* const node = waiters_.pop_front()) {
    auto& waiter = static_cast<Node&>(*node);
    if (waiter.n > size_ - taken_) {
      waiters_.push_front(waiter);
      break;
    }
    taken_ += waiter.n;
    waiter.queued = false;
    waiter.waits = false;
    waiter.success = true;
    *last = &waiter;
    last = &waiter.next;
  }
  *last = nullptr;
  return granted;
}

bool Semaphore::try_acquire(std::int64_t n) {
  check_weight(n);
  mutex_.lock();
  const bool taken = take_locked(n);
  mutex_.unlock();
  return taken;
}

void Semaphore::acquire(std::int64_t n) {
  check_weight(n);
  mutex_.lock();
  if (take_locked(n)) {
    mutex_.unlock();
    return;
  }
  Node waiter(*this, n);
  if (n <= size_) waiters_.push_back(waiter);
  detail::block(waiter, mutex_, rt::WaitReason::semaphore_acquire);
}

Error Semaphore::acquire_until(detail::WaitStop& stop, std::int64_t n) {
  check_weight(n);
  if (Error error = stop.reason()) return error;
  if (try_acquire(n)) return {};

  Node waiter(*this, n);
  if (!stop.attach(&Semaphore::cancel, &waiter)) return stop.reason();
  mutex_.lock();
  if (waiter.canceled) {
    mutex_.unlock();
  } else if (take_locked(n)) {
    waiter.success = true;
    mutex_.unlock();
  } else {
    // A waiter that wants more than there is would never be granted anything, nor would those after it.
    waiter.queued = n <= size_;
    if (waiter.queued) waiters_.push_back(waiter);
    waiter.waits = true;
    detail::block(waiter, mutex_, rt::WaitReason::semaphore_acquire);
  }
  stop.detach();
  Error error = stop.reason();
  if (error && waiter.success) release(n);
  return error;
}

void Semaphore::cancel(void* arg) noexcept {
  auto& node = *static_cast<Node*>(arg);
  Semaphore& semaphore = node.semaphore;
  detail::WaitNode* granted = nullptr;
  detail::Waiter waiter;
  semaphore.mutex_.lock();
  node.canceled = true;
  const bool wakes = node.waits;
  if (wakes) {
    waiter = node.waiter;
    node.waits = false;
    if (node.queued) {
      semaphore.waiters_.remove(node);
      node.queued = false;
      granted = semaphore.grant_locked();  // there may be enough for those after it
    }
  }
  semaphore.mutex_.unlock();
  detail::wake_all(granted);
  if (wakes) detail::wake(waiter);
}

void Semaphore::release(std::int64_t n) {
  check_weight(n);
  mutex_.lock();
  if (n > taken_) {
    mutex_.unlock();
    panic("semaphore: released more than held");
  }
  taken_ -= n;
  detail::WaitNode* const granted = grant_locked();
  mutex_.unlock();
  detail::wake_all(granted);
}

SemaphoreLock Semaphore::hold(std::int64_t n) {
  acquire(n);
  return {*this, n};
}

SemaphoreLock Semaphore::try_hold(std::int64_t n) {
  if (!try_acquire(n)) return {};
  return {*this, n};
}

}  // namespace weft
