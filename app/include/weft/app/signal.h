// Signals for goroutines (Go's package os/signal).
//
//   auto [ctx, stop] = weft::app::notify_context(weft::background(), {SIGINT, SIGTERM});
//   serve_until(ctx);
//   stop();                                                // from here on another SIGINT ends the process as usual
//
// A signal is hooked from its first subscription until its last subscription ends. Before and after, its old
// disposition holds. Whichever thread receives the signal, a goroutine delivers it, and no thread waits for signals. As
// always in the kernel, a signal that is sent twice may arrive once.
//
// Thread safety: notify() and notify_context() are for goroutines. Any goroutine may call a SignalStop, and so may any
// thread while the runtime runs.
// Lifetime: a subscription lasts until it is stopped, or until the last copy of its SignalStop is destroyed. This must
// happen before the runtime ends.
// Blocking: nothing here blocks for long, and the delivery never waits for a receiver.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <weft/chan.h>
#include <weft/context.h>
#include <weft/panic.h>

namespace weft::app {

namespace detail {
struct SignalSubscription;
}

// Ends a subscription. Later calls do nothing. When a call has returned, nothing more is delivered, and signals without
// any other subscription have their old disposition back. Copies end the same subscription. The end of the last copy
// ends the subscription too.
class SignalStop {
 public:
  SignalStop() noexcept = default;
  explicit SignalStop(std::shared_ptr<detail::SignalSubscription> subscription) noexcept
      : subscription_(std::move(subscription)) {}
  void operator()() const;

 private:
  std::shared_ptr<detail::SignalSubscription> subscription_;
};

// Sends each of `signals` that arrives to `channel`, if that is possible without waiting; so give the channel a buffer.
// Several subscriptions each get a copy of the signal. Throws Panic for a nil channel and for a signal that can't be
// caught. Throws std::system_error when the kernel has no descriptor left.
[[nodiscard]] SignalStop notify(SendChan<int> channel, const std::vector<int>& signals);

// Returns a context and a function. The context is done when the first of `signals` arrives, when the function is
// called, or when `parent` is done. Its cause says which signal it was: "signal SIGTERM received". Later signals are
// swallowed until the function is called. So call the function early, to let a second ^C end the process, or leave that
// to after_func(ctx, stop). Throws what notify() throws.
[[nodiscard]] std::pair<Context, SignalStop> notify_context(const Context& parent, const std::vector<int>& signals);

}  // namespace weft::app
