// Signals for goroutines (Go's package os/signal).
//
//   auto [ctx, stop] = weft::app::notify_context(weft::background(), {SIGINT, SIGTERM});
//   serve_until(ctx);
//   stop();                                                // from here on another SIGINT ends the process as usual
//
// A signal is hooked from the first subscription to the end of the last; before and after, its old disposition holds.
// Whichever thread it hits, a goroutine delivers it; no thread waits for signals. The same signal sent twice may arrive
// once, as the kernel has it.
//
// Thread safety: any goroutine and any thread of the running runtime.
// Lifetime: a subscription lasts until it is stopped or the last copy of its SignalStop goes; that is before the
// runtime ends.
// Blocking: nothing here blocks for long; delivery never waits for a receiver.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <weft/chan.h>
#include <weft/context.h>

namespace weft::app {

namespace detail {
struct SignalSubscription;
}

// Ends a subscription; later calls do nothing. When it returns nothing more is delivered, and signals that nobody else
// is subscribed to have their old disposition back. Copies end the same subscription; when the last one goes it is
// ended too.
class SignalStop {
 public:
  SignalStop() noexcept = default;
  explicit SignalStop(std::shared_ptr<detail::SignalSubscription> subscription) noexcept
      : subscription_(std::move(subscription)) {}
  void operator()() const;

 private:
  std::shared_ptr<detail::SignalSubscription> subscription_;
};

// Sends each of `signals` that arrives to `channel`, if that is possible without waiting; so give it a buffer. Several
// subscriptions each get a copy. Throws Panic for a nil channel and for a signal that can't be caught,
// std::system_error when the kernel has no descriptor left.
[[nodiscard]] SignalStop notify(SendChan<int> channel, const std::vector<int>& signals);

// A context that is done at the first of `signals`, when the function is called, or when `parent` is done. Its cause
// says which signal: "signal SIGTERM received". Later signals are swallowed until the function is called, so call it
// early to let a second ^C end the process, or leave it to after_func(ctx, stop). Throws what notify() throws.
[[nodiscard]] std::pair<Context, SignalStop> notify_context(const Context& parent, const std::vector<int>& signals);

}  // namespace weft::app
