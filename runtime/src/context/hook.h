// DoneHook: a plain callback at the end of a context, for operations that a context cancels (net's reads and dials).
// Nothing is allocated; the hook lies on the stack of the goroutine that waits.
#pragma once

#include "runtime/src/context/link_list.h"
#include "runtime/src/sync/block.h"
#include "weft/context.h"

namespace weft::rt {

// One owner, who keeps it, and a handle of the context, in place from attach() until detach() returned.
class DoneHook : public detail::Linked<DoneHook> {
 public:
  // Runs once, in whoever cancels the context (a goroutine or a plain thread, never a scheduler stack), without locks,
  // after the done channel was closed. It may wake goroutines; it may not park, cancel contexts, or detach itself.
  using Callback = void (*)(void* arg) noexcept;

  DoneHook(Callback callback, void* arg) noexcept : callback_(callback), arg_(arg) {}
  ~DoneHook();  // detached
  DoneHook(const DoneHook&) = delete;
  DoneHook& operator=(const DoneHook&) = delete;

  // False when the context is done already; the callback is not called then. A context that never ends is fine.
  bool attach(const Context& context) noexcept;

  // True when the callback has not run, and will not. False when it ran, or nothing was attached; it is not running any
  // more. Waits for a callback that runs, so it may park.
  bool detach() noexcept;

 private:
  friend class detail::CancelNode;

  const Callback callback_;
  void* const arg_;
  detail::CancelNode* node_ = nullptr;  // from attach() to detach(), but for a context that never ends; the owner's

  // These, and the links, under the node's mutex.
  bool running_ = false;
  detail::WaitNode* waiter_ = nullptr;  // the owner, waiting in detach()
};

}  // namespace weft::rt
