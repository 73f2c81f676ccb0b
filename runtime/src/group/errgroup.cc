// ErrGroup: a WaitGroup, a channel whose elements are the places, and the first error.
//
// The first error. failed_ is exchanged once from false to true, and whoever did that writes error_. Its readers are
// those whose wait for running_ has returned, and the end of the writer's own goroutine happens before that. So failed_
// orders nothing, and error_ needs no lock.
//
// A function's end has this order. In leave() the place is given back, which never waits because the channel holds the
// element that was sent for it. Then active_ goes down, so that a set_limit() which reads zero (acquire) knows that
// nobody looks at slots_ any more. When the goroutine has ended, running_ goes down, after which the group may be gone.
#include "weft/errgroup.h"

#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "runtime/src/base/fatal.h"
#include "runtime/src/crash/throw_watch.h"
#include "weft/panic.h"

namespace weft {
namespace {

// Returns the stack; empty when there is no memory for it, or no thread to make it. The first call takes long, because
// debug information is loaded; the processor serves others meanwhile.
std::string stack_of(const rt::ThrowWatch& watch) noexcept {
  try {
    return blocking([&watch] { return watch.stack(); });
  } catch (const std::exception&) {
    return {};
  }
}

}  // namespace

Error detail::call_catching(void (*call)(void* frame), void* frame) {
  rt::ThrowWatch watch;
  try {
    watch.call(call, frame);
    return {};
  } catch (const GoroutineExit&) {
    throw;
  } catch (...) {
    const std::string stack = stack_of(watch);
    try {
      return Error::text("errgroup: panic recovered: " + rt::current_exception_text() + "\n\n" + stack);
    } catch (const std::bad_alloc&) {
      return std::make_error_code(std::errc::not_enough_memory);
    }
  }
}

ErrGroup::ErrGroup(std::pair<Context, CancelCauseFunc> context, const ErrGroupOptions& options)
    : context_(std::move(context.first)),
      cancel_(std::move(context.second)),
      catch_exceptions_(options.catch_exceptions) {
  set_limit(options.limit);
}

ErrGroup::ErrGroup(const ErrGroupOptions& options) : ErrGroup({background(), CancelCauseFunc()}, options) {}

ErrGroup::ErrGroup(const Context& parent, const ErrGroupOptions& options)
    : ErrGroup(with_cancel_cause(parent), options) {}

ErrGroup::~ErrGroup() {
  cancel_({});
  running_.wait();
}

void ErrGroup::set_limit(int limit) {
  if (const int active = active_.load(std::memory_order_acquire); active != 0) {
    panic("errgroup: modify limit while " + std::to_string(active) + " goroutines in the group are still active");
  }
  slots_ = limit < 0 ? Chan<std::monostate>() : make_chan<std::monostate>(static_cast<std::size_t>(limit));
}

Error ErrGroup::wait() {
  running_.wait();
  cancel_(error_);
  return error_;
}

void ErrGroup::leave() noexcept {
  if (slots_) slots_.try_recv();
  active_.fetch_sub(1, std::memory_order_release);
}

void ErrGroup::fail(Error error) noexcept {
  if (failed_.exchange(true, std::memory_order_relaxed)) return;
  error_ = std::move(error);
  cancel_(error_);
}

}  // namespace weft
