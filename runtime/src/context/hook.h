// DoneHook: a plain callback at the end of a context, for operations that a context cancels (net's reads and dials).
// Nothing is allocated; the hook lies on the stack of the goroutine that waits.
#pragma once

#include "runtime/src/context/link_list.h"
#include "runtime/src/sync/block.h"
#include "weft/context.h"

namespace weft::rt {

// A hook has one owner. The owner keeps the hook, and a handle of the context, in place from attach() until detach()
// returned.
class DoneHook : public detail::Linked<DoneHook> {
 public:
  // Runs once, in whoever cancels the context (a goroutine or a plain thread, never a scheduler stack), without locks,
  // after the done channel was closed. It may wake goroutines. It may not park, cancel contexts, or detach itself.
  using Callback = void (*)(void* arg) noexcept;

  DoneHook(Callback callback, void* arg) noexcept : callback_(callback), arg_(arg) {}
  ~DoneHook();  // it must be detached
  DoneHook(const DoneHook&) = delete;
  DoneHook& operator=(const DoneHook&) = delete;

  // Returns false when the context is done already; the callback is not called then. A context that never ends is fine.
  bool attach(const Context& context) noexcept;

  // Returns true when the callback has not run and will not run, or when nothing is attached. Returns false when it
  // ran; it is not running any more. Waits for a callback that runs, so it may park.
  bool detach() noexcept;

 private:
  friend class detail::CancelNode;

  const Callback callback_;
  void* const arg_;
  detail::CancelNode* node_ = nullptr;  // set from attach() to detach(), unless the context never ends; the owner's

  // These fields, and the links, are guarded by the node's mutex.
  bool running_ = false;
  detail::WaitNode* waiter_ = nullptr;  // the owner, waiting in detach()
};

}  // namespace weft::rt
