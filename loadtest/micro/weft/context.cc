// Contexts: made and cancelled.
#include <weft/context.h>

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

}  // namespace

std::uint64_t context_cancel(std::int64_t ops) { return cancel_from(weft::background(), ops); }

std::uint64_t context_child(std::int64_t ops) {
  auto [parent, cancel] = weft::with_cancel(weft::background());
  const std::uint64_t canceled = cancel_from(parent, ops);
  cancel();
  return canceled;
}

}  // namespace micro
