// Not part of the API: how ErrGroup and TaskGroup call what they are given.
#pragma once

#include <type_traits>
#include <utility>

#include <weft/context.h>
#include <weft/error.h>

namespace weft::detail {

template <typename Fn>
inline constexpr bool kTakesContext = std::is_invocable_v<Fn&, Context>;

template <typename Fn>
inline constexpr bool kIsTask = kTakesContext<Fn> || std::is_invocable_v<Fn&>;

// Returns fn(context), or fn() when fn takes no context.
template <typename Fn>
decltype(auto) call_task(Fn& fn, const Context& context) {
  if constexpr (kTakesContext<Fn>) {
    return fn(Context(context));
  } else {
    return fn();
  }
}

template <typename Fn>
using TaskReturn = decltype(call_task(std::declval<Fn&>(), std::declval<const Context&>()));

template <typename T>
inline constexpr bool kIsResult = false;
template <typename T>
inline constexpr bool kIsResult<Result<T>> = true;

// Calls fn in the same way and returns its error. A function that returns nothing or a value has no error.
template <typename Fn>
Error task_error(Fn& fn, const Context& context) {
  using Return = TaskReturn<Fn>;
  if constexpr (std::is_void_v<Return>) {
    call_task(fn, context);
    return {};
  } else if constexpr (kIsResult<std::remove_cvref_t<Return>>) {
    const auto& result = call_task(fn, context);
    return result ? Error() : result.error();
  } else {
    static_assert(std::is_convertible_v<Return, Error>,
                  "an ErrGroup's function returns a weft::Error, a weft::Result or nothing");
    return call_task(fn, context);
  }
}

}  // namespace weft::detail
