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

// fn(context), or fn() when it takes no context.
template <typename Fn>
decltype(auto) call_task(Fn& fn, const Context& context) {
  if constexpr (kTakesContext<Fn>) {
    return fn(Context(context));
  } else {
    return fn();
  }
}

// The same; of a function that returns nothing, no error.
template <typename Fn>
Error task_error(Fn& fn, const Context& context) {
  if constexpr (std::is_void_v<decltype(call_task(fn, context))>) {
    call_task(fn, context);
    return {};
  } else {
    return call_task(fn, context);
  }
}

}  // namespace weft::detail
