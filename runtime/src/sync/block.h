// The sleeping half of WaitQueue: goroutines park, plain threads sleep on a futex.
#pragma once

#include <span>

#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/sched/park.h"
#include "weft/detail/wait_queue.h"

namespace weft::detail {

// Waits until wake() is called with the node's Waiter, which block() sets. The caller holds `held` and has queued the
// node, or queues it nowhere and is never woken. `held` is released as soon as the caller may be woken. Goroutines and
// plain threads may call it, not on a scheduler stack.
void block(WaitNode& node, rt::SpinMutex& held, rt::WaitReason reason) noexcept WEFT_RELEASE(held);

// Does the same for a waiter with several nodes, all of which get its waiter. unlock(arg) releases what the caller
// holds.
void block(std::span<WaitNode> nodes, rt::CommitFn unlock, void* arg, rt::WaitReason reason) noexcept;

// Waits for what never happens: a nil channel, a select without cases.
[[noreturn]] void block_forever(rt::WaitReason reason) noexcept;

}  // namespace weft::detail
