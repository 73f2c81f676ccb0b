// Context: cancellation, deadlines and values that travel with a request (Go's package context).
//
//   auto [ctx, cancel] = weft::with_timeout(request.context(), 200ms);
//   weft::go([ctx = ctx, answers] { answers.send(ask(ctx)); });
//   ...
//   cancel();                                              // also when it is no longer needed before the deadline
//
// Contexts form a tree: what ends one ends all that were made from it. They are immutable but for that.
//
// Thread safety: a Context, CancelFunc or StopFunc is a handle; copies name the same thing, and every function may be
// called from any goroutine and any plain thread. One handle object that several threads use while one assigns to it
// needs a lock.
// Lifetime: a context lives as long as a handle to it, to one made from it, or to its CancelFunc does. One that goes
// away before it was cancelled can't be cancelled any more: its timer is stopped, its done channel stays open, its
// after_func functions are dropped. So a CancelFunc need not be called for memory's sake, but goroutines that still use
// the context learn only from the call.
// Runtime: deadlines and after_func need a running one. A context with a deadline of its own is made while it runs, and
// is done or gone before it ends.
// Blocking: nothing here waits for work to end. cancel() may wait for another cancel() of the same tree.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <weft/chan.h>
#include <weft/error.h>
#include <weft/time_point.h>

namespace weft {

namespace detail {

class ContextNode;
class CancelNode;
struct AfterFunc;

// Counted pointer to a node of the tree, or null.
class ContextRef {
 public:
  ContextRef() noexcept = default;
  explicit ContextRef(ContextNode* adopted) noexcept : node_(adopted) {}
  ContextRef(const ContextRef& other) noexcept : node_(other.node_) {
    if (node_ != nullptr) ref(node_);
  }
  ContextRef(ContextRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  ContextRef& operator=(ContextRef other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~ContextRef() {
    if (node_ != nullptr) unref(node_);
  }
  ContextNode* get() const noexcept { return node_; }
  ContextNode* release() noexcept { return std::exchange(node_, nullptr); }

  friend bool operator==(const ContextRef&, const ContextRef&) noexcept = default;

 private:
  static void ref(ContextNode* node) noexcept;
  static void unref(ContextNode* node) noexcept;

  ContextNode* node_ = nullptr;
};

// A function to run once.
struct Callback {
  virtual ~Callback() = default;
  virtual void run() = 0;
};

template <typename Key>
struct ContextValueOf {
  using type = Key;
};
template <typename Key>
requires requires { typename Key::context_value; }
struct ContextValueOf<Key> {
  using type = typename Key::context_value;
};

// Has the key's name in it; to_string() finds it. (Programs may be compiled without typeid.)
template <typename Key>
constexpr const char* context_key_signature() noexcept {
  return __PRETTY_FUNCTION__;
}

// Its address tells keys apart; what it points to is for to_string(). Not const, so that no linker may merge two.
template <typename Key>
inline const char* context_key_tag = context_key_signature<Key>();

}  // namespace detail

// What names a value of type T: `struct UserName : weft::ContextKey<std::string> {};`. A type that does not derive from
// ContextKey names itself.
template <typename T>
struct ContextKey {
  using context_value = T;
};
template <typename Key>
using ContextValue = typename detail::ContextValueOf<Key>::type;

class Context {
 public:
  Context() noexcept = default;  // background()

  // Closed when the context is done; the nil channel for one that never will be. The same channel each time.
  RecvChan<std::monostate> done() const;

  // None until the context is done, then Errc::canceled or Errc::context_deadline_exceeded, for good.
  Error err() const noexcept;

  // The earliest deadline of the context and its ancestors.
  std::optional<TimePoint> deadline() const noexcept;

  // The value that the nearest ancestor has for Key; null when none has. Lives as long as the context.
  template <typename Key>
  const ContextValue<Key>* value() const noexcept {
    return static_cast<const ContextValue<Key>*>(find_value(&detail::context_key_tag<Key>));
  }

  // Handles of the same context are equal.
  friend bool operator==(const Context&, const Context&) noexcept = default;

  // For weft's own use.
  explicit Context(detail::ContextRef node) noexcept : node_(std::move(node)) {}
  detail::ContextNode* node() const noexcept { return node_.get(); }

 private:
  const void* find_value(const void* key) const noexcept;

  detail::ContextRef node_;
};

// Makes its context done with Errc::canceled. When the call returns, all contexts made from it are done. Later calls do
// nothing; a default-constructed one does nothing either. Does not wait for goroutines to notice.
class CancelFunc {
 public:
  CancelFunc() noexcept = default;
  explicit CancelFunc(detail::ContextRef node) noexcept : node_(std::move(node)) {}
  void operator()() const noexcept;

 private:
  detail::ContextRef node_;  // a CancelNode
};

// The same, with a cause, which cause() returns; without one the cause is the context's error.
class CancelCauseFunc {
 public:
  CancelCauseFunc() noexcept = default;
  explicit CancelCauseFunc(detail::ContextRef node) noexcept : node_(std::move(node)) {}
  void operator()(Error cause) const noexcept;

 private:
  detail::ContextRef node_;  // a CancelNode
};

// Takes back an after_func(): true if that kept the function from running, false if it was started or taken back
// before. Does not wait for a function that runs. Keeps the context alive.
class StopFunc {
 public:
  StopFunc() noexcept = default;
  StopFunc(Context context, std::shared_ptr<detail::AfterFunc> function) noexcept
      : context_(std::move(context)), function_(std::move(function)) {}
  bool operator()() const noexcept;

 private:
  Context context_;
  std::shared_ptr<detail::AfterFunc> function_;
};

// Never done, no deadline, no values: the root. todo() is for where the right context is yet to be passed in.
inline Context background() noexcept { return {}; }
inline Context todo() noexcept { return {}; }

// A context that is done when `parent` is or when the function is called; from a parent that is done, one that is done.
[[nodiscard]] std::pair<Context, CancelFunc> with_cancel(const Context& parent);
[[nodiscard]] std::pair<Context, CancelCauseFunc> with_cancel_cause(const Context& parent);

// Done at the deadline too, with Errc::context_deadline_exceeded, and with `cause` if there is one. A parent's earlier
// deadline stays the deadline. One in the past gives a context that is done.
[[nodiscard]] std::pair<Context, CancelFunc> with_deadline(const Context& parent, TimePoint deadline);
[[nodiscard]] std::pair<Context, CancelFunc> with_deadline_cause(const Context& parent, TimePoint deadline,
                                                                 Error cause);
[[nodiscard]] std::pair<Context, CancelFunc> with_timeout(const Context& parent, std::chrono::nanoseconds timeout);
[[nodiscard]] std::pair<Context, CancelFunc> with_timeout_cause(const Context& parent, std::chrono::nanoseconds timeout,
                                                                Error cause);

// The values of `parent`, without its end: never done, no deadline, no cause.
[[nodiscard]] Context without_cancel(const Context& parent);

namespace detail {
[[nodiscard]] Context with_value(const Context& parent, const void* key, std::shared_ptr<const void> value);
StopFunc after_func(const Context& context, std::unique_ptr<Callback> callback);
}  // namespace detail

// A context in which value<Key>() is `value`. For what belongs to the request and crosses layers, not for parameters.
template <typename Key>
[[nodiscard]] Context with_value(const Context& parent, ContextValue<Key> value) {
  return detail::with_value(parent, &detail::context_key_tag<Key>,
                            std::make_shared<const ContextValue<Key>>(std::move(value)));
}

// Runs fn() in a goroutine of its own once the context is done; at once if it is. What fn captures is destroyed when fn
// has run, is stopped, or can't run any more. A function that captures its context keeps it alive until then.
template <typename F>
StopFunc after_func(const Context& context, F&& fn) {
  using Fn = std::decay_t<F>;
  static_assert(std::is_invocable_v<Fn&>, "weft::after_func takes a function without parameters");
  struct Bound final : detail::Callback {
    explicit Bound(F&& f) : fn(std::forward<F>(f)) {}
    void run() override { fn(); }
    Fn fn;
  };
  return detail::after_func(context, std::make_unique<Bound>(std::forward<F>(fn)));
}

// Why the context is done: the first cause given to it or an ancestor, else err(). None while it is not done.
Error cause(const Context& context) noexcept;

// How the context was made, for logs: "context.Background.WithValue(UserName).WithDeadline(m=+12.500000000 [1.5s])".
// Deadlines are seconds of the monotonic clock, with what remains of them; of values the key is shown, not the value.
// todo() shows as the background. Throws std::bad_alloc.
std::string to_string(const Context& context);

}  // namespace weft
