#include "weft/app/signal.h"

#include "signal/handler.h"
#include "signal/hub.h"
#include "weft/panic.h"

namespace weft::app {

using detail::SignalHub;

void SignalStop::operator()() const {
  if (subscription_ == nullptr) return;
  SignalHub::instance().unsubscribe(*subscription_);
  subscription_->cancel({});
}

SignalStop notify(SendChan<int> channel, const std::vector<int>& signals) {
  if (!channel) panic("signal: notify using nil channel");
  return SignalStop(SignalHub::instance().subscribe(detail::signal_mask(signals),
                                                    [channel = std::move(channel)](int signal) { channel.try_send(signal); }));
}

std::pair<Context, SignalStop> notify_context(const Context& parent, const std::vector<int>& signals) {
  const detail::SignalMask mask = detail::signal_mask(signals);
  auto [ctx, cancel] = with_cancel_cause(parent);
  auto subscription = SignalHub::instance().subscribe(mask, [cancel = cancel](int signal) {
    cancel(Error::text("signal " + detail::signal_name(signal) + " received"));
  });
  subscription->cancel = std::move(cancel);
  return {std::move(ctx), SignalStop(std::move(subscription))};
}

}  // namespace weft::app
