#include "weft/app/signal.h"

#include <utility>

#include "app/src/signal/handler.h"
#include "app/src/signal/hub.h"
#include "weft/panic.h"

namespace weft::app {

using detail::SignalHub;

namespace {

void end(const detail::SignalSubscription& subscription) noexcept {
  SignalHub::instance().unsubscribe(subscription);
  subscription.cancel({});
}

// The hub has a pointer of its own, so a pointer with its own count is made here: when its last copy goes, it ends the
// subscription.
SignalStop make_stop(std::shared_ptr<detail::SignalSubscription> subscription) {
  detail::SignalSubscription* const raw = subscription.get();
  return SignalStop(
      std::shared_ptr<detail::SignalSubscription>(raw, [kept = std::move(subscription)](auto*) { end(*kept); }));
}

}  // namespace

void SignalStop::operator()() const {
  if (subscription_ != nullptr) end(*subscription_);
}

SignalStop notify(SendChan<int> channel, const std::vector<int>& signals) {
  if (!channel) panic("signal: notify using nil channel");
  return make_stop(SignalHub::instance().subscribe(
      detail::signal_mask(signals), [channel = std::move(channel)](int signal) { channel.try_send(signal); }));
}

std::pair<Context, SignalStop> notify_context(const Context& parent, const std::vector<int>& signals) {
  const detail::SignalMask mask = detail::signal_mask(signals);
  auto [ctx, cancel] = with_cancel_cause(parent);
  auto subscription = SignalHub::instance().subscribe(mask, [cancel_context = cancel](int signal) {
    cancel_context(Error::text("signal " + detail::signal_name(signal) + " received"));
  });
  subscription->cancel = std::move(cancel);
  return {std::move(ctx), make_stop(std::move(subscription))};
}

}  // namespace weft::app
