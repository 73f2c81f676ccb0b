// Context: cancellation, deadlines and values that travel with a request (Go's package context).
//
//   auto [ctx, cancel] = weft::with_timeout(request.context(), 200ms);
//   weft::go([ctx = ctx, answers] { answers.send(ask(ctx)); });
//   ...
//   cancel();                                              // call it also when the context is not needed that long
//
// Contexts form a tree: what ends one context ends all that were made from it. Nothing else of a context ever changes.
//
// Thread safety: a Context, CancelFunc or StopFunc is a handle; copies name the same thing, and every function may be
// called from any goroutine and any plain thread. One handle object that several threads use while one assigns to it
// needs a lock.
// Lifetime: a context lives as long as a handle to it, a handle to a context made from it, or its CancelFunc does. A
// context that goes away before it was cancelled can't be cancelled any more: its timer is stopped, its done channel
// stays open, and its after_func functions are dropped. So a CancelFunc need not be called for memory's sake, but
// goroutines that still use the context learn of its end only from the call.
// Runtime: deadlines and after_func need a running runtime. A context with a deadline of its own must be made while the
// runtime runs, and be done or gone before the runtime ends.
// Blocking: nothing here waits for work to end. cancel() may wait for another cancel() of the same tree.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <weft/chan.h>
#include <weft/detail/chrono.h>
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

// Returns a text that has the key's name in it; to_string() finds it there. (Programs may be compiled without typeid.)
template <typename Key>
constexpr const char* context_key_signature() noexcept {
  return __PRETTY_FUNCTION__;
}

// The address of this variable tells keys apart; to_string() reads the text that it points to. The variable is not
// const, so that no linker may merge two of them.
template <typename Key>
inline const char* context_key_tag = context_key_signature<Key>();

}  // namespace detail

// Names a value of type T: `struct UserName : weft::ContextKey<std::string> {};`. A type that does not derive from
// ContextKey names a value of that type itself.
template <typename T>
struct ContextKey {
  using context_value = T;
};
template <typename Key>
using ContextValue = typename detail::ContextValueOf<Key>::type;

class Context {
 public:
  Context() noexcept = default;  // background()

  // Returns a channel that is closed when the context is done; the nil channel for a context that never will be. It is
  // the same channel each time.
  RecvChan<std::monostate> done() const;

  // Returns no error until the context is done, then Errc::canceled or Errc::context_deadline_exceeded, for good.
  Error err() const noexcept;

  // Returns the earliest deadline of the context and its ancestors.
  std::optional<TimePoint> deadline() const noexcept;

  // Returns the value that the nearest ancestor has for Key; null when none has one. The value lives as long as the
  // context.
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

// Makes its context done with Errc::canceled. When the call returns, all contexts made from that one are done too.
// Later calls do nothing; a default-constructed CancelFunc does nothing either. The call does not wait for goroutines
// to notice.
class CancelFunc {
 public:
  CancelFunc() noexcept = default;
  explicit CancelFunc(detail::ContextRef node) noexcept : node_(std::move(node)) {}
  void operator()() const noexcept;

 private:
  detail::ContextRef node_;  // a CancelNode
};

// Does the same as CancelFunc, with a cause, which cause() returns. Without one, the cause is the context's error.
class CancelCauseFunc {
 public:
  CancelCauseFunc() noexcept = default;
  explicit CancelCauseFunc(detail::ContextRef node) noexcept : node_(std::move(node)) {}
  void operator()(Error cause) const noexcept;

 private:
  detail::ContextRef node_;  // a CancelNode
};

// Takes back an after_func(). Returns true if that kept the function from running, false if the function was started or
// taken back before. Does not wait for a function that runs. A StopFunc keeps the context alive.
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

// Return the root, which is never done and has no deadline and no values. todo() is for where the right context is yet
// to be passed in.
inline Context background() noexcept { return {}; }
inline Context todo() noexcept { return {}; }

// Return a context that is done when `parent` is done or when the returned function is called. From a parent that is
// done, they return a context that is done.
[[nodiscard]] std::pair<Context, CancelFunc> with_cancel(const Context& parent);
[[nodiscard]] std::pair<Context, CancelCauseFunc> with_cancel_cause(const Context& parent);

// Return a context that is also done at the deadline, with Errc::context_deadline_exceeded, and with `cause` if there
// is one. A parent's earlier deadline stays the deadline. A deadline in the past gives a context that is done.
[[nodiscard]] std::pair<Context, CancelFunc> with_deadline(const Context& parent, TimePoint deadline);
[[nodiscard]] std::pair<Context, CancelFunc> with_deadline_cause(const Context& parent, TimePoint deadline,
                                                                 Error cause);
[[nodiscard]] std::pair<Context, CancelFunc> with_timeout(const Context& parent, std::chrono::nanoseconds timeout);
[[nodiscard]] std::pair<Context, CancelFunc> with_timeout_cause(const Context& parent, std::chrono::nanoseconds timeout,
                                                                Error cause);

// Returns a context with the values of `parent` but without its end: it is never done, and has no deadline and no
// cause.
[[nodiscard]] Context without_cancel(const Context& parent);

namespace detail {
[[nodiscard]] Context with_value(const Context& parent, const void* key, std::shared_ptr<const void> value);
StopFunc after_func(const Context& context, std::unique_ptr<Callback> callback);
}  // namespace detail

// Returns a context in which value<Key>() is `value`. It is for what belongs to the request and crosses layers, not for
// parameters.
template <typename Key>
[[nodiscard]] Context with_value(const Context& parent, ContextValue<Key> value) {
  return detail::with_value(parent, &detail::context_key_tag<Key>,
                            std::make_shared<const ContextValue<Key>>(std::move(value)));
}

// Runs fn() in a goroutine of its own once the context is done; at once if it is done already. What fn captures is
// destroyed when fn has run, is stopped, or can't run any more. A function that captures its context keeps the context
// alive until then.
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

// Returns why the context is done: the first cause given to it or an ancestor, else err(). Returns no error while the
// context is not done.
Error cause(const Context& context) noexcept;

// Returns how the context was made, for logs: "context.Background.WithValue(UserName).WithDeadline(m=+12.500000000
// [1.5s])". A deadline shows as seconds of the monotonic clock, with the time that remains; a value shows as its key
// alone. todo() shows as the background. Throws std::bad_alloc.
std::string to_string(const Context& context);

}  // namespace weft
