// Measures how contexts are made, cancelled, and asked for values.
#include <weft/context.h>

#include <utility>

#include "bench.h"

namespace micro {
namespace {

std::uint64_t cancel_from(const weft::Context& parent, std::int64_t ops) {
  std::uint64_t canceled = 0;
  for (std::int64_t i = 0; i < ops; ++i) {
    auto [context, cancel] = weft::with_cancel(parent);
    cancel();
    if (context.err()) ++canceled;
  }
  return canceled;
}

constexpr int kDepth = 10;

template <int n>
struct Key : weft::ContextKey<std::int64_t> {};

template <int... n>
weft::Context with_values(weft::Context context, std::integer_sequence<int, n...> /*keys*/) {
  ((context = weft::with_value<Key<n>>(context, n + 1)), ...);
  return context;
}

}  // namespace

std::uint64_t context_cancel(std::int64_t ops) { return cancel_from(weft::background(), ops); }

std::uint64_t context_child(std::int64_t ops) {
  auto [parent, cancel] = weft::with_cancel(weft::background());
  const std::uint64_t canceled = cancel_from(parent, ops);
  cancel();
  return canceled;
}

// The value lies in the ancestor that is farthest from the context that is asked.
std::uint64_t context_value(std::int64_t ops) {
  const weft::Context context = with_values(weft::background(), std::make_integer_sequence<int, kDepth>());
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < ops; ++i) sum += static_cast<std::uint64_t>(*context.value<Key<0>>());
  return sum;
}

}  // namespace micro
