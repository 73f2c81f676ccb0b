// ErrGroup: goroutines that work on one thing; the first error among them ends the others (Go's errgroup.Group).
//
//   weft::ErrGroup group(ctx);
//   group.go([&](weft::Context c) { return load_user(c, id, user); });       // returns a weft::Error or weft::Result
//   group.go([&](weft::Context c) { return load_orders(c, id, orders); });
//   if (weft::Error error = group.wait()) return error;
//
// The first function to return an error decides what wait() returns, and cancels the context of the group with that
// error as its cause; later errors are dropped. The other functions learn of the error from the context, and the group
// waits for them.
//
// Exceptions: an exception that leaves a function ends the process with the stack of where it was thrown, as everywhere
// in weft. ErrGroupOptions::catch_exceptions makes the exception the function's error instead. A function that calls
// exit_goroutine() has returned no error.
// Thread safety: goroutines and plain threads alike. A go() or try_go() by somebody who is not one of the group's own
// functions must happen before wait() and the destructor. set_limit() is called by one caller at a time, while nobody
// is in go() or try_go().
// Lifetime: the group must outlive its functions, and does: the destructor cancels the context and waits for them. One
// group is for one set of functions: after wait() its context is done, and its error stays.
// Blocking: go() parks while the group is at its limit, wait() and the destructor park until all functions have
// returned (a plain thread sleeps). None of them can be cancelled, and a function may not wait for its own group.
// Ordering: each function's end happens before the return of wait().
#pragma once

#include <atomic>
#include <type_traits>
#include <utility>
#include <variant>

#include <weft/chan.h>
#include <weft/context.h>
#include <weft/detail/task_call.h>
#include <weft/error.h>
#include <weft/go.h>
#include <weft/panic.h>
#include <weft/wait_group.h>

namespace weft {

struct ErrGroupOptions {
  // How many functions may run at the same time; the group has one byte for each. Negative: any number. 0: none may be
  // added.
  int limit = -1;
  // An exception that leaves a function becomes its error, "errgroup: panic recovered: TYPE: WHAT", followed by an
  // empty line and the stack of where it was last thrown. The text is for logs, and takes milliseconds to make.
  bool catch_exceptions = false;
};

namespace detail {
// Calls call(frame). Returns an error that describes the exception that left call(), or none.
Error call_catching(void (*call)(void* frame), void* frame);
}  // namespace detail

class ErrGroup {
 public:
  // Makes a group without a context of its own: an error cancels nothing, and context() is background().
  ErrGroup() : ErrGroup(ErrGroupOptions{}) {}
  explicit ErrGroup(const ErrGroupOptions& options);
  // Makes a group with a context derived from `parent`. The context is done with the first error, after wait(), or when
  // the parent is done.
  explicit ErrGroup(const Context& parent, const ErrGroupOptions& options = {});
  // Cancels the context, if the group has one, and waits for all functions. An error that no wait() returned is lost.
  ~ErrGroup();
  ErrGroup(const ErrGroup&) = delete;
  ErrGroup& operator=(const ErrGroup&) = delete;

  // Calls fn() or fn(context()) in a new goroutine. While the group is at its limit, go() waits first, for ever when
  // the limit is 0. fn returns nothing, which is no error; or something that converts to Error; or a Result, of which
  // the error counts and the value is dropped. fn is destroyed before it counts as done. fn is called even if the
  // context is done. Throws std::bad_alloc when there is no memory for the goroutine.
  template <typename F>
  void go(F&& fn, SourceLocation where = SourceLocation::current());

  // Does the same, but returns false at once when the group is at its limit.
  template <typename F>
  [[nodiscard]] bool try_go(F&& fn, SourceLocation where = SourceLocation::current());

  // Sets ErrGroupOptions::limit for the functions that are added from now on. Throws Panic("errgroup: modify limit
  // while N goroutines in the group are still active").
  void set_limit(int limit);

  // Waits for all functions and returns the first error, or none. The context is done then, also without an error; a
  // group without a context of its own cancels nothing. When the parent's end made several functions fail, the error is
  // that of any one of them; cause(context()) is the parent's. Any number of callers may wait.
  Error wait();

  const Context& context() const noexcept { return context_; }

 private:
  // Ends a function's part in the group.
  struct LeaveAtEnd {
    ErrGroup& group;
    ~LeaveAtEnd() { group.leave(); }
  };

  template <typename F>
  void start(F&& fn, const SourceLocation& where);
  template <typename Fn>
  Error call(Fn& fn);
  void leave() noexcept;
  void fail(Error error) noexcept;

  const Context context_;
  const CancelCauseFunc cancel_;  // null when the context is not the group's
  WaitGroup running_;
  std::atomic<int> active_{0};  // functions that run, for set_limit() alone
  Chan<std::monostate> slots_;  // an element for each function that runs; null: no limit
  const bool catch_exceptions_;
  std::atomic<bool> failed_{false};
  Error error_;  // written by whoever made failed_ true, before that function's end; read after running_.wait()

  ErrGroup(std::pair<Context, CancelCauseFunc> context, const ErrGroupOptions& options);
};

// ---------------------------------------------------------------------------------------------------------------------

template <typename F>
void ErrGroup::go(F&& fn, SourceLocation where) {
  if (slots_) slots_.send({});
  start(std::forward<F>(fn), where);
}

template <typename F>
bool ErrGroup::try_go(F&& fn, SourceLocation where) {
  if (slots_ && !slots_.try_send({})) return false;
  start(std::forward<F>(fn), where);
  return true;
}

template <typename F>
void ErrGroup::start(F&& fn, const SourceLocation& where) {
  using Fn = std::decay_t<F>;
  static_assert(detail::kIsTask<Fn>, "an ErrGroup's function takes nothing or a weft::Context");
  active_.fetch_add(1, std::memory_order_relaxed);
  try {
    running_.go(
        [this, body = Fn(std::forward<F>(fn))]() mutable {
          const LeaveAtEnd end{*this};  // declared first, so that fn is destroyed before it
          Fn once(std::move(body));
          if (Error error = call(once)) fail(std::move(error));
        },
        where);
  } catch (...) {
    leave();
    throw;
  }
}

// Has no exception handler, unless one is wanted: an exception that nobody catches is reported with the whole stack.
template <typename Fn>
Error ErrGroup::call(Fn& fn) {
  if (!catch_exceptions_) return detail::task_error(fn, context_);
  struct Frame {
    Fn& fn;
    const Context& context;
    Error error;
  } frame{fn, context_, {}};
  Error thrown = detail::call_catching(
      [](void* arg) {
        auto& f = *static_cast<Frame*>(arg);
        f.error = detail::task_error(f.fn, f.context);
      },
      &frame);
  return thrown ? thrown : frame.error;
}

}  // namespace weft
