#include "app/src/signal/hub.h"

#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <system_error>
#include <utility>

#include "weft/error.h"
#include "weft/go.h"

namespace weft::app::detail {
namespace {

// Calls fn(signal) for each bit.
template <typename Fn>
void for_each_signal(SignalMask signals, Fn fn) {
  for (int signal = 1; signals != 0; ++signal, signals >>= 1) {
    if ((signals & 1) != 0) fn(signal);
  }
}

}  // namespace

SignalHub& SignalHub::instance() {
  static SignalHub* const hub = new SignalHub;  // never destroyed: goroutines may outlive main()
  return *hub;
}

std::shared_ptr<SignalSubscription> SignalHub::subscribe(SignalMask signals, SignalSubscription::Deliver deliver) {
  auto subscription = std::make_shared<SignalSubscription>(SignalSubscription{signals, std::move(deliver), {}});
  const std::lock_guard lock(mutex_);
  if (!arrivals_) start_reader_locked();
  try {
    hook_locked(signals);
  } catch (...) {
    if (subscriptions_.empty()) stop_reader_locked();
    throw;
  }
  subscriptions_.push_back(subscription);
  return subscription;
}

void SignalHub::unsubscribe(const SignalSubscription& subscription) noexcept {
  Chan<int> reader_done;
  {
    const std::lock_guard lock(mutex_);
    const auto place = std::ranges::find(subscriptions_, &subscription, &std::shared_ptr<SignalSubscription>::get);
    if (place == subscriptions_.end()) return;
    unhook_locked(subscription.signals);
    subscriptions_.erase(place);
    if (!subscriptions_.empty()) return;
    reader_done = reader_done_;
    stop_reader_locked();
  }
  if (this_goroutine::id() != 0) (void)reader_done.recv();
}

void SignalHub::hook_locked(SignalMask signals) {
  SignalMask hooked = 0;
  try {
    for_each_signal(signals, [&](int signal) {
      if (users_[static_cast<std::size_t>(signal - 1)] == 0) hook_signal(signal);
      ++users_[static_cast<std::size_t>(signal - 1)];
      hooked |= signal_bit(signal);
    });
  } catch (...) {
    unhook_locked(hooked);
    throw;
  }
}

void SignalHub::unhook_locked(SignalMask signals) noexcept {
  for_each_signal(signals, [&](int signal) {
    if (--users_[static_cast<std::size_t>(signal - 1)] == 0) unhook_signal(signal);
  });
}

void SignalHub::start_reader_locked() {
  const int fd = duplicate_signal_event_fd();
  Result<io::Pollable> arrivals = io::Pollable::make(fd, {.owns_fd = true});
  if (!arrivals) {
    ::close(fd);
    throw std::system_error(arrivals.error().code(), "signal: eventfd");
  }
  arrivals_ = *std::move(arrivals);
  take_signals();  // nobody's: they came after the last subscription had ended
  reader_done_ = make_chan<int>();
  go([this, arrivals = arrivals_, done = reader_done_] { read_until_closed(arrivals, done); });
}

void SignalHub::stop_reader_locked() noexcept { static_cast<void>(std::exchange(arrivals_, {}).close()); }

void SignalHub::read_until_closed(const io::Pollable& arrivals, const Chan<int>& done) {
  while (!arrivals.wait_readable()) {
    clear_signal_event();
    deliver(take_signals());
  }
  done.close();
}

void SignalHub::deliver(SignalMask signals) {
  const std::lock_guard lock(mutex_);
  for_each_signal(signals, [&](int signal) {
    for (const auto& subscription : subscriptions_) {
      if ((subscription->signals & signal_bit(signal)) != 0) subscription->deliver(signal);
    }
  });
}

}  // namespace weft::app::detail
