#include "app/src/signal/hub.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <system_error>
#include <utility>

#include "weft/error.h"
#include "weft/go.h"
#include "weft/lock_guard.h"

namespace weft::app::detail {
namespace {

// Takes the lowest signal out of `signals`, which is not empty.
int take_lowest(SignalMask& signals) noexcept {
  const int signal = std::countr_zero(signals) + 1;
  signals &= signals - 1;
  return signal;
}

std::size_t index_of(int signal) noexcept { return static_cast<std::size_t>(signal - 1); }

// Returns a Pollable of a number of its own.
io::Pollable make_arrivals() {
  struct Number {
    int fd;
    ~Number() {
      if (fd >= 0) ::close(fd);
    }
  } number{duplicate_signal_event_fd()};
  Result<io::Pollable> arrivals = io::Pollable::make(number.fd, {.owns_fd = true});
  if (!arrivals) throw std::system_error(arrivals.error().code(), "signal: eventfd");
  number.fd = -1;
  return *std::move(arrivals);
}

}  // namespace

SignalHub& SignalHub::instance() {
  static SignalHub* const hub = new SignalHub;  // never destroyed: goroutines may outlive main()
  return *hub;
}

std::shared_ptr<SignalSubscription> SignalHub::subscribe(SignalMask signals, SignalSubscription::Deliver deliver) {
  std::list added{std::make_shared<SignalSubscription>(SignalSubscription{signals, std::move(deliver), {}})};
  std::shared_ptr<SignalSubscription> subscription = added.front();
  const LockGuard lock(mutex_);
  if (!reader_lives_locked()) start_reader_locked();
  try {
    hook_locked(signals);
  } catch (...) {
    if (subscriptions_.empty()) stop_reader_locked();
    throw;
  }
  subscriptions_.splice(subscriptions_.end(), added);
  return subscription;
}

void SignalHub::unsubscribe(const SignalSubscription& subscription) noexcept {
  Chan<int> reader_done;
  {
    const LockGuard lock(mutex_);
    const auto place = std::ranges::find(subscriptions_, &subscription, &std::shared_ptr<SignalSubscription>::get);
    if (place == subscriptions_.end()) return;
    unhook_locked(subscription.signals);
    subscriptions_.erase(place);
    if (!subscriptions_.empty()) return;
    // A reader that its runtime left behind never comes to its end.
    if (reader_lives_locked()) reader_done = reader_done_;
    stop_reader_locked();
    if (!reader_done) return;
  }
  if (this_goroutine::id() != 0) static_cast<void>(reader_done.recv());
}

void SignalHub::hook_locked(SignalMask signals) {
  SignalMask hooked = 0;
  try {
    while (signals != 0) {
      const int signal = take_lowest(signals);
      if (users_[index_of(signal)] == 0) hook_signal(signal);
      ++users_[index_of(signal)];
      hooked |= signal_bit(signal);
    }
  } catch (...) {
    unhook_locked(hooked);
    throw;
  }
}

void SignalHub::unhook_locked(SignalMask signals) noexcept {
  while (signals != 0) {
    const int signal = take_lowest(signals);
    if (--users_[index_of(signal)] == 0) unhook_signal(signal);
  }
}

void SignalHub::start_reader_locked() {
  io::Pollable arrivals = make_arrivals();
  Chan<int> done = make_chan<int>();
  take_signals();  // nobody's: they came after the last subscription had ended
  go([this, arrivals, done] { read_until_closed(arrivals, done); });
  // Nothing throws from here on: either there is a reader and the hub knows it, or neither.
  arrivals_ = std::move(arrivals);
  reader_done_ = std::move(done);
}

// When a runtime ends beside a subscription, the runtime closes what the reader waits for. The reader waits on the read
// side only, and an eventfd may be written to at any time, so this returns at once.
bool SignalHub::reader_lives_locked() const noexcept { return arrivals_ && !arrivals_.wait_writable(); }

void SignalHub::stop_reader_locked() noexcept { static_cast<void>(std::exchange(arrivals_, {}).close()); }

void SignalHub::read_until_closed(const io::Pollable& arrivals, const Chan<int>& done) {
  std::error_code ec;
  while (!(ec = arrivals.wait_readable())) {
    clear_signal_event();
    deliver(take_signals());
  }
  if (ec != Condition::closed)
    std::fprintf(stderr, "weft: no signals are delivered any more: %s\n", ec.message().c_str());
  done.close();
}

void SignalHub::deliver(SignalMask signals) {
  const LockGuard lock(mutex_);
  while (signals != 0) {
    const int signal = take_lowest(signals);
    for (const auto& subscription : subscriptions_) {
      if ((subscription->signals & signal_bit(signal)) != 0) subscription->deliver(signal);
    }
  }
}

}  // namespace weft::app::detail
