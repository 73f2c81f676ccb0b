// The tree behind Context.
//
//   ContextNode      what a handle points to: parent, and the nearest CancelNode at or above it
//   ├ ValueNode      a key and its value
//   └ CancelNode     an end: outcome, cause, done channel, and who is told
//     └ DeadlineNode an end with a timer
// A plain ContextNode is without_cancel(): a parent for values, and no CancelNode.
//
// References. A node holds one on its parent; handles, cancel functions and a canceller at work hold one each. A
// CancelNode is also in the child list of the nearest CancelNode above it. The list holds no reference: the node's
// destructor takes it out, under the parent's mutex. A canceller that finds a node in the list, under the same mutex,
// may use its memory, and takes a reference unless there is none left (then the destructor is waiting for the mutex).
// Dropping the last reference frees the node and then drops its reference on the parent, in a loop, since chains of
// contexts may be longer than a goroutine's stack is deep.
//
// A CancelNode under its mutex_:
//   outcome_      live, then canceled or deadline_exceeded, for good. Atomic: the store (release) comes after that of
//                 cause_, so that whoever loads it (acquire) may read cause_ without the mutex.
//   done_         made by the first done(); done_made_ is stored (release) after it, for done() without the mutex.
//   children_, hooks_, after_funcs_
//                 who is told; nobody joins once outcome_ is not live.
//   its links     belong to the parent's list, under the parent's mutex_; later to the canceller that took it out.
//   walk_         belongs to the canceller that ended the node.
//
// cancel() takes these steps, in this order: set outcome_ and cause_; close the done channel; run hooks and start
// after_funcs; do the same for each descendant, depth first, without recursion; leave the parent. A mutex is held only
// over the first step and over taking something out of a list. So at most one node's mutex is held at a time, and only
// leaf locks (a fresh channel's, a timer heap's) inside it.
//
// The first to set a node's outcome tells its descendants. Another cancel() of the node, or of an ancestor, waits for
// propagated_, so that "all contexts made from it are done" holds for that cancel() too. The waits can't form a circle.
// A canceller comes to a node through its parent, unless it started there. So it can lose a node, and wait, only to a
// canceller that started at that node, strictly below its own start. A canceller gives back its references on nodes
// only after it has told everybody, because that may run destructors of users, who may call cancel().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/src/base/clock.h"
#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/context/link_list.h"
#include "runtime/src/sched/timer.h"
#include "runtime/src/sync/block.h"
#include "weft/context.h"

namespace weft::rt {
class DoneHook;
}

namespace weft::detail {

// One after_func(). While it is linked, its context owns it, through `self`.
struct AfterFunc : Linked<AfterFunc> {
  // Belongs to whoever took the function out of the list. For a context that never ends, `stopped` decides whose it is.
  std::unique_ptr<Callback> callback;
  std::atomic<bool> stopped{false};
  std::shared_ptr<AfterFunc> self;
};

class ContextNode {
 public:
  // Takes over a reference on `parent`; null is the background.
  ContextNode(ContextRef parent, CancelNode* canceler, const void* key) noexcept
      : canceler_(canceler), key_(key), parent_(parent.release()) {}
  virtual ~ContextNode() = default;
  ContextNode(const ContextNode&) = delete;
  ContextNode& operator=(const ContextNode&) = delete;

  void ref() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  // Returns false when the last reference is gone.
  bool try_ref() noexcept;
  static void unref(ContextNode* node) noexcept;

  ContextNode* parent() const noexcept { return parent_; }
  CancelNode* canceler() const noexcept { return canceler_; }
  const void* key() const noexcept { return key_; }

  // Appends what the node adds to its parent's text, for to_string().
  virtual void append_name(std::string& text) const;

 protected:
  CancelNode* const canceler_;  // itself for a CancelNode; null: the context never ends

 private:
  const void* const key_;  // null unless a ValueNode
  ContextNode* const parent_;
  std::atomic<std::uint32_t> references_{1};
};

class ValueNode final : public ContextNode {
 public:
  ValueNode(ContextRef parent, CancelNode* canceler, const void* key, std::shared_ptr<const void> value) noexcept
      : ContextNode(std::move(parent), canceler, key), value_(std::move(value)) {}
  const void* value() const noexcept { return value_.get(); }
  void append_name(std::string& text) const override;

 private:
  const std::shared_ptr<const void> value_;
};

class CancelNode : public ContextNode, public Linked<CancelNode> {
 public:
  enum class Outcome : std::uint8_t { live, canceled, deadline_exceeded };

  CancelNode(ContextRef parent, rt::Nanos deadline) noexcept;
  ~CancelNode() override;

  // Joins the parent's list, or ends as the parent has ended. Called once, before anybody else sees the node.
  void attach() noexcept;

  void cancel(Outcome outcome, const Error& cause) noexcept;

  RecvChan<std::monostate> done();
  Error err() const noexcept;
  Error cause() const noexcept;
  rt::Nanos deadline() const noexcept { return deadline_; }
  void append_name(std::string& text) const override;

  // Takes over `function`. Returns false when the context is done already.
  bool add_after_func(std::shared_ptr<AfterFunc> function) noexcept;
  // Returns true when the function was taken out before it was started.
  bool remove_after_func(AfterFunc& function) noexcept;

  bool add_hook(rt::DoneHook& hook) noexcept;
  bool remove_hook(rt::DoneHook& hook) noexcept;

 protected:
  virtual void stop_timer() noexcept {}

  rt::SpinMutex mutex_;
  std::atomic<Outcome> outcome_{Outcome::live};

 private:
  bool finish(Outcome outcome, const Error& cause) noexcept;
  void run_hooks() noexcept;
  void start_after_funcs() noexcept;
  CancelNode* next_child() noexcept;
  void leave_parent() noexcept;
  void wait_propagated() noexcept;
  CancelNode* above() const noexcept { return parent() != nullptr ? parent()->canceler() : nullptr; }

  const rt::Nanos deadline_;  // its own or an ancestor's; kNever: none
  Error cause_;
  std::atomic<bool> done_made_{false};
  bool propagated_ WEFT_GUARDED_BY(mutex_) = false;
  Chan<std::monostate> done_;
  LinkList<CancelNode> children_ WEFT_GUARDED_BY(mutex_);
  LinkList<rt::DoneHook> hooks_ WEFT_GUARDED_BY(mutex_);
  LinkList<AfterFunc> after_funcs_ WEFT_GUARDED_BY(mutex_);
  WaitQueue waiting_ WEFT_GUARDED_BY(mutex_);  // for propagated_
  CancelNode* walk_ = nullptr;                 // the way up; later, the list of nodes to give back
};

class DeadlineNode final : public CancelNode {
 public:
  DeadlineNode(ContextRef parent, rt::Nanos deadline, Error expiry_cause) noexcept;
  ~DeadlineNode() override;

  // Starts the timer, unless the context is done. Called once, after attach().
  void arm() noexcept;
  void expire_now() noexcept { cancel(Outcome::deadline_exceeded, expiry_cause_); }
  void append_name(std::string& text) const override;

 private:
  static void on_timer(void* self, rt::Nanos) noexcept;
  void stop_timer() noexcept override;

  const Error expiry_cause_;
  rt::RuntimeTimer timer_;
  bool timer_over_ = false;  // stopped before it fired; written by the canceller, read by the destructor
};

}  // namespace weft::detail
