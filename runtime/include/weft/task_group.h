// TaskGroup: goroutines that end with the scope that started them.
//
//   {
//     weft::TaskGroup group(ctx);
//     group.go([&](weft::Context c) { refresh(c, cache); });                 // until c is done
//     serve(ctx, cache);
//   }                                                                        // cancels, and waits for them
//
// It is for functions that can't fail, or that handle their failures themselves; ErrGroup is for those that return
// errors.
//
// Exceptions: an exception that leaves a function ends the process with the stack of where it was thrown, as everywhere
// in weft. When an exception passes through the scope, the destructor cancels and waits as ever before it goes on.
// Thread safety: goroutines and plain threads alike. A go() by somebody who is not one of the group's own functions
// must not run at the same time as wait() or the destructor.
// Lifetime: the group must outlive its functions, and does. They may use what is declared before the group. The group
// may be used again after wait().
// Blocking: wait() and the destructor park until all functions have returned (a plain thread sleeps); they can't be
// cancelled, and a function may not wait for its own group. go() and cancel() don't block.
// Ordering: each function's end happens before the return of wait().
#pragma once

#include <type_traits>
#include <utility>

#include <weft/context.h>
#include <weft/detail/task_call.h>
#include <weft/go.h>
#include <weft/wait_group.h>

namespace weft {

class TaskGroup {
 public:
  TaskGroup() : TaskGroup(background()) {}
  // Its functions get a context derived from `parent`.
  explicit TaskGroup(const Context& parent) : TaskGroup(with_cancel(parent)) {}
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Calls fn() or fn(context()) in a new goroutine. fn is called even if the context is done, and destroyed before it
  // counts as done. Throws std::bad_alloc when there is no memory for the goroutine.
  template <typename F>
  void go(F&& fn, SourceLocation where = SourceLocation::current());

  // Waits for all functions, without telling them to end.
  void wait() { running_.wait(); }

  // Ends the context with Errc::canceled. Does not wait.
  void cancel() const noexcept { cancel_(); }

  const Context& context() const noexcept { return context_; }

 private:
  explicit TaskGroup(std::pair<Context, CancelFunc> context) noexcept
      : context_(std::move(context.first)), cancel_(std::move(context.second)) {}

  const Context context_;
  const CancelFunc cancel_;
  WaitGroup running_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <typename F>
void TaskGroup::go(F&& fn, SourceLocation where) {
  using Fn = std::decay_t<F>;
  static_assert(detail::kIsTask<Fn>, "a TaskGroup's function takes nothing or a weft::Context");
  if constexpr (detail::kIsTask<Fn>) {  // else the line above has said it
    static_assert(std::is_void_v<detail::TaskReturn<Fn>>,
                  "a TaskGroup's function returns nothing; ErrGroup takes those that return errors");
    running_.go([this, body = Fn(std::forward<F>(fn))]() mutable { detail::call_task(body, context_); }, where);
  }
}

}  // namespace weft
