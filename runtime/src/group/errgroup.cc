// ErrGroup: a WaitGroup, a channel whose elements are the places, and the first error.
//
// The first error. failed_ is exchanged once from false to true, and whoever did that writes error_. Readers are those
// whose wait for running_ has returned, and the writer's own leave() happens before that; so failed_ orders nothing,
// and error_ needs no lock.
//
// A function's end, in leave(), in this order: the place is given back, which never waits because the channel holds the
// element that was sent for it; active_, so that set_limit() which reads zero (acquire) knows that nobody looks at
// slots_ any more; running_, after which the group may be gone.
#include "weft/errgroup.h"

#include <string>

#include "weft/panic.h"

namespace weft {

ErrGroup::ErrGroup(std::pair<Context, CancelCauseFunc> context, const ErrGroupOptions& options)
    : context_(std::move(context.first)), cancel_(std::move(context.second)) {
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
  running_.done();
}

void ErrGroup::fail(Error error) noexcept {
  if (failed_.exchange(true, std::memory_order_relaxed)) return;
  error_ = std::move(error);
  cancel_(error_);
}

}  // namespace weft
