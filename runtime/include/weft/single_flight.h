// SingleFlight: of several callers that want the same thing at the same time, one does the work (Go's x/sync
// singleflight).
//
//   weft::SingleFlight<std::string, User> users;
//   User user = users.do_call(id, [&] { return load_user(id); }).value;    // a hundred callers, one query
//
// Thread safety: goroutines and plain threads alike.
// Lifetime: a SingleFlight must exist until every do_call() has returned and every result of do_chan() is in its
// channel. A key is used during the call only, so the function may change the caller's.
// Blocking: do_call() runs its function, or waits until the one that runs has ended (a goroutine parks, a plain thread
// sleeps); it can't be cancelled. do_chan() and forget() don't block. No lock is held while a function runs, so the
// function may use the same SingleFlight, but a do_call() of its own key would wait for itself for ever.
// Exceptions: the callers hold one exception object together, so nobody should change it. ThreadSanitizer does not see
// the count that libstdc++ keeps of its holders, and may report its destruction by the last one. What do_chan()'s
// function throws is delivered with the result, where Go ends the process; so is its exit_goroutine().
// Elements: keys and values are copied. For large values, or ones that can't be copied, take a std::shared_ptr.
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weft/chan.h>
#include <weft/go.h>
#include <weft/lock_guard.h>
#include <weft/mutex.h>
#include <weft/panic.h>
#include <weft/source_location.h>
#include <weft/wait_group.h>

namespace weft {

namespace detail {

// What a call has come to. It is written by the goroutine that runs the call, and read when the call is done.
template <typename V>
struct FlightOutcome {
  std::optional<V> value;
  std::exception_ptr error;  // neither: the function called exit_goroutine()
};

[[noreturn, gnu::cold]] void panic_flight_exited();
// Called in the goroutine of a caller that waited for a function that called exit_goroutine().
[[noreturn, gnu::cold]] void exit_with_flight();

}  // namespace detail

// What do_call() returns.
template <typename V>
struct Flight {
  V value;
  bool shared = false;  // somebody else got the value, too
};

// What do_chan() delivers. Cheap to copy.
template <typename V>
class FlightResult {
 public:
  // Returns a copy, as do_call() does. Throws what the function threw; throws Panic when the function called
  // exit_goroutine().
  V value() const {
    if (outcome_->error != nullptr) std::rethrow_exception(outcome_->error);
    if (!outcome_->value) detail::panic_flight_exited();
    return *outcome_->value;
  }
  // Returns whether somebody else got the value, too.
  bool shared() const noexcept { return shared_; }

 private:
  template <typename, typename, typename, typename>
  friend class SingleFlight;
  FlightResult(std::shared_ptr<const detail::FlightOutcome<V>> outcome, bool shared) noexcept
      : outcome_(std::move(outcome)), shared_(shared) {}

  std::shared_ptr<const detail::FlightOutcome<V>> outcome_;
  bool shared_;
};

template <typename K, typename V, typename Hash = std::hash<K>, typename Equal = std::equal_to<K>>
class SingleFlight {
  static_assert(std::copy_constructible<V>, "every caller of a SingleFlight gets a copy of the value");

 public:
  SingleFlight() = default;
  SingleFlight(const SingleFlight&) = delete;
  SingleFlight& operator=(const SingleFlight&) = delete;

  // Returns the value of fn(). When a call of this key is under way, returns the value of that call, and fn is not
  // called. An exception of the function that ran is rethrown in every caller that waited for it. When that function
  // ended its goroutine by exit_goroutine(), the goroutines that waited end too (runtime.Goexit's rule); a plain
  // thread that waited gets a Panic.
  template <typename F>
  Flight<V> do_call(const K& key, F&& fn);

  // Does the same for a caller that has more to wait for: the channel, of capacity 1, receives the result once and is
  // never closed. fn runs in a goroutine of its own when no call of this key is under way. The result tells what fn
  // threw, or that it called exit_goroutine(); neither ends the process. Throws std::bad_alloc when there is no memory
  // for the goroutine. A plain thread may call it only while the runtime runs.
  template <typename F>
  RecvChan<FlightResult<V>> do_chan(const K& key, F&& fn, SourceLocation where = SourceLocation::current());

  // Makes the next call of the key run its function, though an earlier one may be under way. The earlier one serves
  // those who wait for it already.
  void forget(const K& key);

 private:
  struct Call {
    std::shared_ptr<detail::FlightOutcome<V>> outcome = std::make_shared<detail::FlightOutcome<V>>();
    WaitGroup under_way;
    // Guarded by mutex_, while the call is in calls_.
    const K* key = nullptr;  // the one in calls_, where it stays in place; null: the call is not there
    bool shared = false;
    std::vector<Chan<FlightResult<V>>> chans;
  };
  using CallPtr = std::shared_ptr<Call>;

  // Finishes the call at the end of a run, however the run ends.
  struct FinishAtEnd {
    SingleFlight& flights;
    Call& call;
    ~FinishAtEnd() { flights.finish(call); }
  };

  // Both are called with mutex_ held. join_locked() returns the call of the key that is under way, null when there is
  // none. begin_locked() returns a new call, with those channels.
  CallPtr join_locked(const K& key) WEFT_REQUIRES(mutex_);
  CallPtr begin_locked(const K& key, std::vector<Chan<FlightResult<V>>> chans) WEFT_REQUIRES(mutex_);

  template <typename F>
  void run(Call& call, F& fn);
  void finish(Call& call) noexcept;

  Mutex mutex_;
  std::unordered_map<K, CallPtr, Hash, Equal> calls_ WEFT_GUARDED_BY(mutex_);  // under way and not forgotten
};

// ---------------------------------------------------------------------------------------------------------------------

template <typename K, typename V, typename Hash, typename Equal>
template <typename F>
Flight<V> SingleFlight<K, V, Hash, Equal>::do_call(const K& key, F&& fn) {
  static_assert(std::is_invocable_r_v<V, F&>, "weft::SingleFlight::do_call takes a function that returns its value");
  CallPtr other;
  CallPtr call;
  {
    const LockGuard lock(mutex_);
    other = join_locked(key);
    if (other == nullptr) call = begin_locked(key, {});
  }
  if (other != nullptr) {
    other->under_way.wait();
    const detail::FlightOutcome<V>& outcome = *other->outcome;
    if (outcome.error != nullptr) std::rethrow_exception(outcome.error);
    if (!outcome.value) detail::exit_with_flight();
    return {*outcome.value, true};
  }
  run(*call, fn);
  // The call is no longer in calls_, so nobody joins it.
  if (call->shared) return {*call->outcome->value, true};
  return {*std::move(call->outcome->value), false};
}

template <typename K, typename V, typename Hash, typename Equal>
template <typename F>
RecvChan<FlightResult<V>> SingleFlight<K, V, Hash, Equal>::do_chan(const K& key, F&& fn, SourceLocation where) {
  using Fn = std::decay_t<F>;
  static_assert(std::is_invocable_r_v<V, Fn&>, "weft::SingleFlight::do_chan takes a function that returns its value");
  auto result = make_chan<FlightResult<V>>(1);
  CallPtr call;
  {
    const LockGuard lock(mutex_);
    if (const CallPtr other = join_locked(key)) {
      other->chans.push_back(result);
      return result;
    }
    call = begin_locked(key, {result});
  }
  try {
    weft::go(
        [this, call, body = Fn(std::forward<F>(fn))]() mutable {
          try {
            run(*call, body);
          } catch (const detail::GoroutineExit&) {
            throw;
          } catch (...) {  // it is in the outcome
          }
        },
        where);
  } catch (...) {  // those who joined meanwhile get this exception, too
    call->outcome->error = std::current_exception();
    finish(*call);
    throw;
  }
  return result;
}

template <typename K, typename V, typename Hash, typename Equal>
void SingleFlight<K, V, Hash, Equal>::forget(const K& key) {
  CallPtr forgotten;  // released after the lock is
  const LockGuard lock(mutex_);
  if (const auto at = calls_.find(key); at != calls_.end()) {
    forgotten = std::move(at->second);
    forgotten->key = nullptr;
    calls_.erase(at);
  }
}

template <typename K, typename V, typename Hash, typename Equal>
auto SingleFlight<K, V, Hash, Equal>::join_locked(const K& key) -> CallPtr {
  const auto at = calls_.find(key);
  if (at == calls_.end()) return nullptr;
  at->second->shared = true;
  return at->second;
}

template <typename K, typename V, typename Hash, typename Equal>
auto SingleFlight<K, V, Hash, Equal>::begin_locked(const K& key, std::vector<Chan<FlightResult<V>>> chans) -> CallPtr {
  auto call = std::make_shared<Call>();
  call->chans = std::move(chans);
  // From here on nothing throws, so a call that is in calls_ comes to its end.
  call->key = &calls_.emplace(key, call).first->first;
  call->under_way.add(1);
  return call;
}

template <typename K, typename V, typename Hash, typename Equal>
template <typename F>
void SingleFlight<K, V, Hash, Equal>::run(Call& call, F& fn) {
  const FinishAtEnd end{*this, call};
  try {
    call.outcome->value.emplace(std::invoke(fn));
  } catch (const detail::GoroutineExit&) {  // belongs to this goroutine: nobody else may have it
    throw;
  } catch (...) {
    call.outcome->error = std::current_exception();
    throw;
  }
}

template <typename K, typename V, typename Hash, typename Equal>
void SingleFlight<K, V, Hash, Equal>::finish(Call& call) noexcept {
  CallPtr finished;
  {
    const LockGuard lock(mutex_);
    if (call.key != nullptr) {
      const auto at = calls_.find(*call.key);
      finished = std::move(at->second);
      calls_.erase(at);
    }
  }
  // Nobody joins the call any more, so what the lock guarded belongs to the caller.
  call.under_way.done();
  for (const Chan<FlightResult<V>>& chan : call.chans)
    chan.send(FlightResult<V>(call.outcome, call.shared));  // there is room
}

}  // namespace weft
