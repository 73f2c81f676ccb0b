#include "runtime/src/base/fatal.h"
#include "runtime/src/context/hook.h"
#include "runtime/src/context/node.h"
#include "weft/go.h"

namespace weft::detail {

bool ContextNode::try_ref() noexcept {
  std::uint32_t seen = references_.load(std::memory_order_relaxed);
  while (seen != 0) {
    if (references_.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

void ContextNode::unref(ContextNode* node) noexcept {
  while (node != nullptr && node->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    ContextNode* const parent = node->parent_;
    delete node;
    node = parent;
  }
}

CancelNode::CancelNode(ContextRef parent, rt::Nanos deadline) noexcept
    : ContextNode(std::move(parent), this, nullptr), deadline_(deadline) {}

CancelNode::~CancelNode() {
  WEFT_CHECK(hooks_.empty(), "a context went away under an operation that watches it");
  while (AfterFunc* const function = after_funcs_.pop_front()) {
    const std::shared_ptr<AfterFunc> last = std::move(function->self);
  }
  leave_parent();
}

void CancelNode::attach() noexcept {
  CancelNode* const up = above();
  if (up == nullptr) return;
  up->mutex_.lock();
  const Outcome outcome = up->outcome_.load(std::memory_order_relaxed);
  if (outcome == Outcome::live) up->children_.push_front(*this);
  up->mutex_.unlock();
  if (outcome != Outcome::live) cancel(outcome, up->cause_);
}

void CancelNode::cancel(Outcome outcome, const Error& cause) noexcept {
  if (!finish(outcome, cause)) {
    wait_propagated();
    return;
  }
  CancelNode* node = this;       // the node whose children are being told
  CancelNode* ended = nullptr;   // descendants that we ended, linked through walk_
  CancelNode* others = nullptr;  // descendants that others ended, linked through next
  for (;;) {
    CancelNode* const child = node->next_child();
    if (child == nullptr) {
      if (node == this) break;
      node = std::exchange(node->walk_, std::exchange(ended, node));
    } else if (child->finish(outcome, cause)) {
      child->walk_ = node;
      node = child;
    } else {
      child->wait_propagated();
      child->next = std::exchange(others, child);
    }
  }
  leave_parent();
  while (ended != nullptr) unref(std::exchange(ended, ended->walk_));
  while (others != nullptr) unref(std::exchange(others, others->next));
}

// Does the node's own part of its end; returns false when the node has ended before.
bool CancelNode::finish(Outcome outcome, const Error& cause) noexcept {
  mutex_.lock();
  if (outcome_.load(std::memory_order_relaxed) != Outcome::live) {
    mutex_.unlock();
    return false;
  }
  cause_ = cause;
  outcome_.store(outcome, std::memory_order_release);
  // Nobody joins from here on.
  const bool close_done = done_made_.load(std::memory_order_relaxed);
  const bool has_hooks = !hooks_.empty();
  const bool has_functions = !after_funcs_.empty();
  mutex_.unlock();
  if (close_done) done_.close();
  stop_timer();
  if (has_hooks) run_hooks();
  if (has_functions) start_after_funcs();
  return true;
}

void CancelNode::run_hooks() noexcept {
  for (;;) {
    mutex_.lock();
    rt::DoneHook* const hook = hooks_.pop_front();
    if (hook != nullptr) hook->running_ = true;
    mutex_.unlock();
    if (hook == nullptr) return;
    hook->callback_(hook->arg_);
    mutex_.lock();
    hook->running_ = false;
    const bool waited_for = hook->waiter_ != nullptr;
    const Waiter waiter = waited_for ? hook->waiter_->waiter : Waiter{};
    mutex_.unlock();  // the hook may be gone from here on
    if (waited_for) wake(waiter);
  }
}

void CancelNode::start_after_funcs() noexcept {
  for (;;) {
    mutex_.lock();
    AfterFunc* const function = after_funcs_.pop_front();
    mutex_.unlock();
    if (function == nullptr) return;
    weft::go([function = std::move(function->self)] {
      const std::unique_ptr<Callback> callback = std::move(function->callback);
      callback->run();
    });
  }
}

// Returns the next child to tell, with a reference on it. Returns null when all have been told: the node's end is
// complete then.
CancelNode* CancelNode::next_child() noexcept {
  mutex_.lock();
  CancelNode* child = children_.pop_front();
  while (child != nullptr && !child->try_ref()) child = children_.pop_front();
  WaitNode* waiting = nullptr;
  if (child == nullptr) {
    propagated_ = true;
    waiting = waiting_.take_all();
  }
  mutex_.unlock();
  wake_all(waiting);
  return child;
}

void CancelNode::leave_parent() noexcept {
  CancelNode* const up = above();
  if (up == nullptr) return;
  up->mutex_.lock();
  up->children_.remove(*this);
  up->mutex_.unlock();
}

void CancelNode::wait_propagated() noexcept {
  mutex_.lock();
  if (propagated_) {
    mutex_.unlock();
    return;
  }
  WaitNode node;
  waiting_.push_back(node);
  block(node, mutex_, rt::WaitReason::semacquire);
}

RecvChan<std::monostate> CancelNode::done() {
  if (!done_made_.load(std::memory_order_acquire)) {
    Chan<std::monostate> fresh = make_chan<std::monostate>();
    mutex_.lock();
    if (!done_made_.load(std::memory_order_relaxed)) {
      // The channel is closed before anybody sees it, so a context that is done never shows an open channel made later.
      if (outcome_.load(std::memory_order_relaxed) != Outcome::live) fresh.close();
      done_ = std::move(fresh);
      done_made_.store(true, std::memory_order_release);
    }
    mutex_.unlock();
  }
  return done_;
}

Error CancelNode::err() const noexcept {
  switch (outcome_.load(std::memory_order_acquire)) {
    case Outcome::live:
      return {};
    case Outcome::canceled:
      return Errc::canceled;
    case Outcome::deadline_exceeded:
      return Errc::context_deadline_exceeded;
  }
  return {};
}

Error CancelNode::cause() const noexcept {
  Error error = err();
  return error && cause_ ? cause_ : error;
}

bool CancelNode::add_after_func(std::shared_ptr<AfterFunc> function) noexcept {
  mutex_.lock();
  const bool live = outcome_.load(std::memory_order_relaxed) == Outcome::live;
  if (live) {
    AfterFunc& item = *function;
    item.self = std::move(function);
    after_funcs_.push_front(item);
  }
  mutex_.unlock();
  return live;
}

bool CancelNode::remove_after_func(AfterFunc& function) noexcept {
  mutex_.lock();
  const bool removed = after_funcs_.remove(function);
  mutex_.unlock();
  if (removed) function.self.reset();
  return removed;
}

bool CancelNode::add_hook(rt::DoneHook& hook) noexcept {
  mutex_.lock();
  const bool live = outcome_.load(std::memory_order_relaxed) == Outcome::live;
  if (live) hooks_.push_front(hook);
  mutex_.unlock();
  return live;
}

bool CancelNode::remove_hook(rt::DoneHook& hook) noexcept {
  mutex_.lock();
  const bool removed = hooks_.remove(hook);
  if (!hook.running_) {
    mutex_.unlock();
    return removed;
  }
  WaitNode node;
  hook.waiter_ = &node;
  block(node, mutex_, rt::WaitReason::semacquire);
  return false;
}

DeadlineNode::DeadlineNode(ContextRef parent, rt::Nanos deadline, Error expiry_cause) noexcept
    : CancelNode(std::move(parent), deadline), expiry_cause_(std::move(expiry_cause)), timer_(&on_timer, this) {}

DeadlineNode::~DeadlineNode() {
  if (!timer_over_) timer_.stop_and_wait();
}

void DeadlineNode::arm() noexcept {
  // The mutex makes sure that whoever ends the context stops the timer after this, unless the context ended before.
  mutex_.lock();
  if (outcome_.load(std::memory_order_relaxed) == Outcome::live) timer_.start_at(deadline());
  mutex_.unlock();
}

void DeadlineNode::stop_timer() noexcept { timer_over_ = timer_.stop(); }

// Runs on a scheduler stack, where cancel() may not run: it may wait, and may run users' destructors. The destructor
// waits for this callback, so the node is there even when its last reference is not.
void DeadlineNode::on_timer(void* self, rt::Nanos) noexcept {
  auto* const node = static_cast<DeadlineNode*>(self);
  if (!node->try_ref()) return;
  weft::go([node = ContextRef(node)] { static_cast<DeadlineNode*>(node.get())->expire_now(); });
}

}  // namespace weft::detail
