// SignalHub: who gets which signals, and the goroutine that delivers them.
//
// The goroutine exists while there are subscriptions. It waits for the eventfd of handler.h by a Pollable, which owns a
// duplicate of the number. On the epoll poller, each wait for a number that is not owned needs a further descriptor; a
// wait for one that is owned needs none. So a process that has run out of descriptors still gets its signals. To close
// the Pollable ends the goroutine, and leaves the handlers' number open.
#pragma once

#include <array>
#include <functional>
#include <list>
#include <memory>

#include "app/src/signal/handler.h"
#include "weft/chan.h"
#include "weft/context.h"
#include "weft/io/pollable.h"
#include "weft/mutex.h"
#include "weft/thread_annotations.h"

namespace weft::app::detail {

struct SignalSubscription {
  using Deliver = std::function<void(int signal)>;

  SignalMask signals = 0;
  Deliver deliver;         // under the hub's mutex; doesn't wait for others and doesn't subscribe
  CancelCauseFunc cancel;  // of a notify_context
};

// Thread safety: any goroutine or thread. Deliveries come one at a time.
class SignalHub {
 public:
  static SignalHub& instance();

  // Throws std::system_error and std::bad_alloc; the hub is then as before.
  std::shared_ptr<SignalSubscription> subscribe(SignalMask signals, SignalSubscription::Deliver deliver);
  // When it returns, nothing is delivered to it any more. A second call does nothing. The last one of all parks until
  // the delivering goroutine is gone, so that a runtime that ends next leaves nothing behind.
  void unsubscribe(const SignalSubscription& subscription) noexcept;

 private:
  void hook_locked(SignalMask signals) WEFT_REQUIRES(mutex_);
  void unhook_locked(SignalMask signals) noexcept WEFT_REQUIRES(mutex_);
  bool reader_lives_locked() const noexcept WEFT_REQUIRES(mutex_);
  void start_reader_locked() WEFT_REQUIRES(mutex_);
  void stop_reader_locked() noexcept WEFT_REQUIRES(mutex_);
  void read_until_closed(const io::Pollable& arrivals, const Chan<int>& done);
  void deliver(SignalMask signals);

  Mutex mutex_;
  std::list<std::shared_ptr<SignalSubscription>> subscriptions_ WEFT_GUARDED_BY(mutex_);
  // Subscriptions for each signal.
  std::array<int, kMaxSignal> users_ WEFT_GUARDED_BY(mutex_){};
  // Empty without subscriptions. Otherwise a goroutine waits for it, and closes reader_done_ at its end.
  io::Pollable arrivals_ WEFT_GUARDED_BY(mutex_);
  Chan<int> reader_done_ WEFT_GUARDED_BY(mutex_);
};

}  // namespace weft::app::detail
