// select: waits for several channel operations and carries out one (Go's select statement).
//
//   weft::select(weft::on_recv(jobs, [&](Job job) { work(job); }),
//                weft::on_send(results, result, [&] { ++sent; }),
//                weft::on_recv(ctx.done(), [&] { stop = true; }),
//                weft::on_recv(weft::after(50ms), [&] { idle(); }));
//
// Returns the index of the case that was carried out, after its function, if it has one, has returned. When several
// cases can be carried out, each is as likely. With on_default(), select never waits: the default is chosen when none
// of the other cases can be carried out. Exactly one operation takes place; a value that another case was to send is
// still there.
//
//   on_recv(chan)            the value, if there is one, is dropped
//   on_recv(chan, variable)  a std::optional<T>, which gets what chan.recv() would have returned
//   on_recv(chan, f)         f(std::optional<T>) gets the same. f(T) gets the value, or T() from a closed channel, but
//                            not if that would look like a success (Error, Result). f() gets no value
//   on_send(chan, value)     value is copied from an lvalue; an rvalue is referred to, and moved if the case is chosen
//   on_send(chan, value, f)  f() is called when the value was sent
//   on_default(), on_default(f)
//
// Operands are evaluated once, before select waits, in no particular order. A nil channel's case is never ready. A
// closed channel's case always is: a receive gets nothing; a send, if it is the one chosen, throws Panic("send on
// closed channel"). select() of no case, or of nil channels alone, blocks for ever. One channel may appear several
// times; a select never sends to itself.
//
// No case has priority: a context that is done loses half the time to another case that is ready. Where that matters,
// ask ctx.err() first.
//
// A std::vector<SelectCase> is for a number of cases that is known only at run time (Go's reflect.Select).
//
// Thread safety: goroutines and plain threads alike.
// Lifetime: what the cases refer to, including handles of channels and functions, is used until select returns; so
// write the cases in its call.
// Blocking: parks the calling goroutine (a plain thread sleeps). Cancellation: by a case, as in the example.
// Memory: a select of up to 8 cases allocates nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <weft/chan.h>
#include <weft/detail/select_core.h>
#include <weft/error.h>
#include <weft/panic.h>

namespace weft {

namespace detail {

// The kinds of cases. chan_op() returns what the core works on, which points into the case. complete() is called when
// the case was carried out. own() makes the case the owner of what it refers to, except functions and variables.

template <typename T, typename F>
class RecvCase {
 public:
  RecvCase(ChanState<T>* chan, F f) : chan_(chan), function_(std::move(f)) {}

  ChanOp chan_op() noexcept { return recv_op(chan_, value_); }
  void complete();
  void own() noexcept { owned_ = ChanRef<T>::share(chan_); }

 private:
  ChanState<T>* chan_;
  ChanRef<T> owned_;
  F function_;
  std::optional<T> value_;
};

template <typename T, typename F>
class SendCase {
 public:
  SendCase(ChanState<T>* chan, T& value, F f) : chan_(chan), referred_(&value), function_(std::move(f)) {}
  SendCase(ChanState<T>* chan, const T& value, F f) : chan_(chan), value_(value), function_(std::move(f)) {}

  ChanOp chan_op() noexcept { return send_op(chan_, value_ ? *value_ : *referred_); }
  void complete() { function_(); }
  void own() noexcept {
    owned_ = ChanRef<T>::share(chan_);
    if (!value_) value_.emplace(std::move(*referred_));
  }

 private:
  ChanState<T>* chan_;
  ChanRef<T> owned_;
  T* referred_ = nullptr;  // used when value_ is empty
  std::optional<T> value_;
  F function_;
};

template <typename F>
class DefaultCase {
 public:
  explicit DefaultCase(F f) : function_(std::move(f)) {}
  static ChanOp chan_op() noexcept { return {}; }
  void complete() { function_(); }
  void own() noexcept {}

 private:
  F function_;
};

template <typename C>
inline constexpr bool is_case = false;
template <typename T, typename F>
inline constexpr bool is_case<RecvCase<T, F>> = true;
template <typename T, typename F>
inline constexpr bool is_case<SendCase<T, F>> = true;
template <typename F>
inline constexpr bool is_case<DefaultCase<F>> = true;

template <typename C>
inline constexpr bool is_default = false;
template <typename F>
inline constexpr bool is_default<DefaultCase<F>> = true;

template <typename C>
concept Receiving = requires(const C& chan) {
  ChanAccess::receiving(chan);
};
template <typename C>
concept Sending = requires(const C& chan) {
  ChanAccess::sending(chan);
};

template <typename T>
inline constexpr bool default_is_success = std::is_same_v<T, Error>;
template <typename T>
inline constexpr bool default_is_success<Result<T>> = true;

// For cases without a function.
struct Nothing {
  void operator()() const noexcept {}
};

template <typename T>
struct AssignTo {
  std::optional<T>* variable;
  void operator()(std::optional<T> value) const noexcept {
    variable->reset();
    if (value) variable->emplace(*std::move(value));
  }
};

}  // namespace detail

// --- receiving; C is a Chan or a RecvChan ---

template <detail::Receiving C, typename F>
requires(!std::is_same_v<F, std::optional<typename C::value_type>>) [[nodiscard]] auto on_recv(const C& chan, F f) {
  return detail::RecvCase<typename C::value_type, F>(detail::ChanAccess::receiving(chan), std::move(f));
}
template <detail::Receiving C>
[[nodiscard]] auto on_recv(const C& chan) {
  return on_recv(chan, detail::Nothing{});
}
template <detail::Receiving C>
[[nodiscard]] auto on_recv(const C& chan, std::optional<typename C::value_type>& variable) {
  return on_recv(chan, detail::AssignTo<typename C::value_type>{&variable});
}

// --- sending; C is a Chan or a SendChan ---

template <detail::Sending C, typename F = detail::Nothing>
[[nodiscard]] auto on_send(const C& chan, typename C::value_type&& value, F f = {}) {
  return detail::SendCase<typename C::value_type, F>(detail::ChanAccess::sending(chan), value, std::move(f));
}
template <detail::Sending C, typename F = detail::Nothing>
[[nodiscard]] auto on_send(const C& chan, const typename C::value_type& value, F f = {}) {
  return detail::SendCase<typename C::value_type, F>(detail::ChanAccess::sending(chan), value, std::move(f));
}

template <typename F = detail::Nothing>
[[nodiscard]] auto on_default(F f = {}) {
  return detail::DefaultCase<F>(std::move(f));
}

// --- select ---

[[noreturn]] inline void select() noexcept { detail::ChanPolicy::block_forever(); }

template <typename... Cases>
requires(sizeof...(Cases) > 0 && (detail::is_case<Cases> && ...)) std::size_t select(Cases&&... cases) {
  constexpr std::array<bool, sizeof...(Cases)> kDefaults{detail::is_default<Cases>...};
  constexpr auto kDefaultCount = std::ranges::count(kDefaults, true);
  static_assert(kDefaultCount <= 1, "a select has one default");
  const std::array<detail::ChanOp, sizeof...(Cases)> ops{cases.chan_op()...};
  std::size_t chosen = detail::select_ops(ops, kDefaultCount == 1);
  if constexpr (kDefaultCount == 1) {
    if (chosen == detail::kNoOp) chosen = std::ranges::find(kDefaults, true) - kDefaults.begin();
  }
  std::size_t index = 0;
  ((index++ == chosen ? cases.complete() : void()), ...);
  return chosen;
}

// Any case, for lists. It shares the channel and owns the value to be sent. A send that was carried out leaves a
// moved-from value in the case, so assign a new case before the next select. Functions and variables belong to the
// caller.
class SelectCase {
 public:
  template <typename Case>
  requires detail::is_case<Case> SelectCase(Case one)  // NOLINT(google-explicit-constructor)
      : erased_(std::make_unique<Erased<Case>>(std::move(one))), default_(detail::is_default<Case>) {}

 private:
  friend std::size_t select(std::span<SelectCase> cases);

  struct AnyCase {
    virtual ~AnyCase() = default;
    virtual detail::ChanOp chan_op() noexcept = 0;
    virtual void complete() = 0;
  };
  template <typename Case>
  struct Erased final : AnyCase {
    explicit Erased(Case one) : kept(std::move(one)) { kept.own(); }
    detail::ChanOp chan_op() noexcept override { return kept.chan_op(); }
    void complete() override { kept.complete(); }
    Case kept;
  };

  std::unique_ptr<AnyCase> erased_;
  bool default_;
};

// Does the same as the select() above. Throws std::invalid_argument when there is more than one default.
std::size_t select(std::span<SelectCase> cases);

// --- bodies ---

template <typename T, typename F>
void detail::RecvCase<T, F>::complete() {
  // A T that can be made of an optional (std::any) would take the optional for a value.
  constexpr bool kAmbiguous = std::is_convertible_v<std::optional<T>, T> && std::is_invocable_v<F&, T>;
  if constexpr (std::is_invocable_v<F&, std::optional<T>> && !kAmbiguous) {
    function_(std::exchange(value_, std::nullopt));
  } else if constexpr (std::is_invocable_v<F&, T>) {
    static_assert(std::is_default_constructible_v<T>,
                  "a closed channel gives T(), which there is not: take a std::optional<T>");
    static_assert(!detail::default_is_success<T>,
                  "a closed channel gives T(), which would look like a success: take a std::optional<T>");
    if (value_) {
      T value = *std::move(value_);
      value_.reset();
      function_(std::move(value));
    } else {
      function_(T());
    }
  } else {
    static_assert(std::is_invocable_v<F&>, "on_recv's function takes a std::optional<T>, a T, or nothing");
    value_.reset();
    function_();
  }
}

}  // namespace weft
