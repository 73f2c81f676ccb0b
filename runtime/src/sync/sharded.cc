#include "weft/sharded.h"

#include <atomic>

#include "runtime/src/sched/constants.h"
#include "runtime/src/sched/machine.h"
#include "weft/go.h"

namespace weft::detail {
namespace {

// kMaxProcs processors and the threads' shards fit in the blocks of a Sharded.
static_assert(kThreadShards + rt::kMaxProcs <= kThreadShards << 8);

// Not inlined, because the scheduler's own threads come here too, with and without a processor.
[[gnu::noinline]] std::size_t thread_shard() noexcept {
  static std::atomic<std::size_t> threads{0};
  thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kThreadShards;
  return mine;
}

}  // namespace

std::size_t shard_number() noexcept {
  const int processor = processor_id();
  return processor >= 0 ? kThreadShards + static_cast<std::size_t>(processor) : thread_shard();
}

}  // namespace weft::detail
