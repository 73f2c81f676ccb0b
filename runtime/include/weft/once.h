// Once, once_func and once_value: what is done one time, by whoever comes first (Go's sync.Once, OnceFunc, OnceValue).
//
//   weft::Once started;
//   started.do_once([&] { start_workers(); });              // every call returns when the workers are started
//
//   const auto config = weft::once_value([] { return load_config("app.toml"); });
//   use(config().listen_address);                           // the first call reads the file
//
// Thread safety: goroutines and plain threads alike.
// Blocking: a call that finds the function running waits for its end (a goroutine parks, a plain thread sleeps), and
// can't be cancelled; a call that finds it done never waits. The function may park. A function that calls the same
// Once, or the handle that it belongs to, waits for itself for ever. What the function of a once_func or once_value
// captured is destroyed before the others go on, so its destructors may not call the handle either.
// Ordering: the end of the function happens before the return of every call.
// Exceptions: callers of a once_func or once_value hold one exception object together, so nobody should change it.
// ThreadSanitizer does not see the count that libstdc++ keeps of its holders, and may report its destruction by the
// last one.
#pragma once

#include <atomic>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/go.h>
#include <weft/lock_guard.h>
#include <weft/mutex.h>
#include <weft/panic.h>

namespace weft {

// Lifetime: a Once may be destroyed when every call has returned.
class Once {
 public:
  constexpr Once() noexcept = default;
  Once(const Once&) = delete;
  Once& operator=(const Once&) = delete;

  // Calls fn() if no call has called its own function yet; else waits until that one has ended. A function that ends by
  // an exception or by exit_goroutine() has been called all the same: the exception goes to the caller whose function
  // it was, and the others return.
  template <typename F>
  void do_once(F&& fn) {
    // Acquire: the caller sees what the function did.
    if (!done_.load(std::memory_order_acquire)) [[unlikely]] {
      do_slow(std::forward<F>(fn));
    }
  }

 private:
  struct DoneAtEnd {
    std::atomic<bool>& done;
    ~DoneAtEnd() { done.store(true, std::memory_order_release); }
  };

  template <typename F>
  void do_slow(F&& fn);

  std::atomic<bool> done_{false};  // goes from false to true once, with mutex_ held
  Mutex mutex_;                    // held while the function runs
};

namespace detail {

[[noreturn, gnu::cold]] void panic_once_exited();

template <typename T>
class OnceResult;

}  // namespace detail

// A callable handle of a function that runs in the first call. Copies share the run and its outcome.
// Lifetime: the outcome lives as long as the last copy.
template <typename T>
class OnceValue {
 public:
  // Returns the value, which is valid as long as a copy of this handle is. Throws what the function threw, the same
  // exception in every call; throws Panic when the function called exit_goroutine(), except in the goroutine that this
  // ended.
  const T& operator()() const& {
    state_->call();
    return state_->value();
  }
  // Returns a copy of the value, because a handle without a name goes at once, and may take the value with it.
  T operator()() const&& requires std::copy_constructible<T> {
    state_->call();
    return state_->value();
  }
  const T& operator()() const&& = delete;

 private:
  template <typename F>
  friend auto once_value(F&& fn);
  explicit OnceValue(std::shared_ptr<detail::OnceResult<T>> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<detail::OnceResult<T>> state_;
};

class OnceFunc {
 public:
  // Throws as OnceValue does.
  void operator()() const;

 private:
  template <typename F>
  friend OnceFunc once_func(F&& fn);
  explicit OnceFunc(std::shared_ptr<detail::OnceResult<void>> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<detail::OnceResult<void>> state_;
};

// Return a handle whose first call calls fn(). What fn captured is destroyed as soon as fn has run. The value may be of
// a type that can only be moved, or not even that.
template <typename F>
[[nodiscard]] auto once_value(F&& fn);
template <typename F>
[[nodiscard]] OnceFunc once_func(F&& fn);

// ---------------------------------------------------------------------------------------------------------------------

template <typename F>
void Once::do_slow(F&& fn) {
  const LockGuard lock(mutex_);
  if (done_.load(std::memory_order_relaxed)) return;
  const DoneAtEnd end{done_};
  std::invoke(std::forward<F>(fn));
}

namespace detail {

// What the copies of a handle share. Everything but once_ is written inside the run, and only read when the run is
// done.
class OnceState {
 public:
  OnceState() = default;
  virtual ~OnceState() = default;
  OnceState(const OnceState&) = delete;
  OnceState& operator=(const OnceState&) = delete;

  void call() {
    once_.do_once([this] { run(); });
    if (error_ != nullptr) [[unlikely]] {
      std::rethrow_exception(error_);
    }
    if (exited_) [[unlikely]] {
      panic_once_exited();
    }
  }

 private:
  // Calls the function and destroys it.
  virtual void call_function() = 0;

  void run() {
    try {
      call_function();
    } catch (const GoroutineExit&) {  // belongs to this goroutine: nobody else may have it
      exited_ = true;
      throw;
    } catch (...) {
      error_ = std::current_exception();
      throw;
    }
  }

  Once once_;
  bool exited_ = false;
  std::exception_ptr error_;
};

template <typename T>
class OnceResult : public OnceState {
 public:
  OnceResult() noexcept {}  // NOLINT(modernize-use-equals-default): of the union's members there is none yet
  ~OnceResult() override {
    if (made_) value_.~T();
  }
  OnceResult(const OnceResult&) = delete;
  OnceResult& operator=(const OnceResult&) = delete;

  // Called after call() has returned.
  const T& value() const noexcept { return value_; }

 protected:
  // Makes the value in place, so that T need not be movable.
  template <typename F>
  void make(F& fn) {
    ::new (static_cast<void*>(std::addressof(value_))) T(std::invoke(fn));
    made_ = true;
  }

 private:
  union {
    T value_;
  };
  bool made_ = false;
};

template <>
class OnceResult<void> : public OnceState {
 protected:
  template <typename F>
  void make(F& fn) {
    static_cast<void>(std::invoke(fn));
  }
};

template <typename T, typename F>
class OnceCall final : public OnceResult<T> {
 public:
  template <typename G>
  explicit OnceCall(std::in_place_t, G&& fn) : fn_(std::in_place, std::forward<G>(fn)) {}

 private:
  struct DestroyAtEnd {
    std::optional<F>& fn;
    ~DestroyAtEnd() { fn.reset(); }
  };

  void call_function() override {
    const DestroyAtEnd end{fn_};
    this->make(*fn_);
  }

  std::optional<F> fn_;
};

}  // namespace detail

inline void OnceFunc::operator()() const { state_->call(); }

template <typename F>
auto once_value(F&& fn) {
  using Fn = std::decay_t<F>;
  static_assert(std::is_invocable_v<Fn&>, "weft::once_value takes a function without parameters");
  using T = std::remove_cvref_t<std::invoke_result_t<Fn&>>;
  static_assert(!std::is_void_v<T>, "a function without a value goes to weft::once_func");
  return OnceValue<T>(std::make_shared<detail::OnceCall<T, Fn>>(std::in_place, std::forward<F>(fn)));
}

template <typename F>
OnceFunc once_func(F&& fn) {
  using Fn = std::decay_t<F>;
  static_assert(std::is_invocable_v<Fn&>, "weft::once_func takes a function without parameters");
  return OnceFunc(std::make_shared<detail::OnceCall<void, Fn>>(std::in_place, std::forward<F>(fn)));
}

}  // namespace weft
