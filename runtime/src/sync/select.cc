#include "weft/select.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/src/base/fatal.h"
#include "runtime/src/base/random.h"
#include "runtime/src/base/seed.h"
#include "runtime/src/sync/block.h"
#include "runtime/src/sync/select.h"

namespace weft {
namespace detail {
namespace {

// A select of up to this many operations allocates nothing.
constexpr std::size_t kSmall = 8;

std::uint64_t next_seed() noexcept {
  static std::atomic<std::uint64_t> threads{0};
  return rt::schedule_seed() + threads.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// Not inlined: the goroutine may have come to another thread since it was here last (docs/thread-locals.md).
[[gnu::noinline]] std::uint32_t ChanPolicy::random_below(std::uint32_t n) noexcept {
  thread_local rt::Random random(next_seed());
  return random.below(n);
}

void ChanPolicy::block_select(std::span<WaitNode> nodes, bool (*unlock)(void* arg), void* arg) noexcept {
  block(nodes, unlock, arg, rt::WaitReason::select);
}

std::size_t select_ops(std::span<const ChanOp> ops, bool has_default) {
  static_assert(std::is_trivially_destructible_v<WaitNode>);
  if (ops.size() <= kSmall) {
    alignas(WaitNode) std::array<std::byte, kSmall * sizeof(WaitNode)> nodes;  // the nodes are not made yet
    std::array<std::uint32_t, kSmall> order;
    std::array<ChanCore*, kSmall> chans;
    return Select<ChanPolicy>(ops, {reinterpret_cast<WaitNode*>(nodes.data()), order.data(), chans.data()})
        .run(has_default);
  }
  std::vector<WaitNode> nodes(ops.size());
  std::vector<std::uint32_t> order(ops.size());
  std::vector<ChanCore*> chans(ops.size());
  return Select<ChanPolicy>(ops, {nodes.data(), order.data(), chans.data()}).run(has_default);
}

void ChanPolicy::block_forever() noexcept { detail::block_forever(rt::WaitReason::select_no_cases); }

}  // namespace detail

std::size_t select(std::span<SelectCase> cases) {
  std::size_t default_index = detail::kNoOp;
  std::vector<detail::ChanOp> ops;
  ops.reserve(cases.size());
  for (SelectCase& one : cases) {
    WEFT_CHECK(one.erased_ != nullptr, "select: a case was moved from");
    if (one.default_ && std::exchange(default_index, ops.size()) != detail::kNoOp)
      throw std::invalid_argument("weft::select: there is more than one default");
    ops.push_back(one.erased_->chan_op());
  }
  std::size_t chosen = detail::select_ops(ops, default_index != detail::kNoOp);
  if (chosen == detail::kNoOp) chosen = default_index;
  cases[chosen].erased_->complete();
  return chosen;
}

}  // namespace weft
