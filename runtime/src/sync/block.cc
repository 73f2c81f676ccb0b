// block() and wake(). Both halves of a goroutine's sleep are park() and ready() (sched/park.h). A thread's are the word
// on its stack:
//
//   sleeper                                  waker
//   word = 0; token = &word; unlock          lock; take the node out; copy the token; unlock
//   while (word == 0) futex_wait(word, 0)    word = 1 (release); futex_wake(word)
//
// The kernel compares the word before it sleeps, so that a 1 which comes first is not slept on. The sleeper's acquire
// load pairs with the release store. It may return, and its frame may be gone, before the waker's futex_wake:
// sync/futex.h says why that is harmless.
#include "sync/block.h"

#include "sched/fork.h"
#include "sched/machine.h"
#include "sync/futex.h"

namespace weft::detail {
namespace {

bool unlock_committed(void* lock) noexcept {
  static_cast<rt::SpinMutex*>(lock)->unlock();
  return true;
}

// `give` lays the token where wakers find it.
template <typename Give>
[[gnu::always_inline]] inline void block_with(Give give, rt::CommitFn unlock, void* arg,
                                              rt::WaitReason reason) noexcept {
  rt::Machine* const machine = rt::current_machine();
  if (machine != nullptr && machine->current() != nullptr) [[likely]] {
    give(WaitToken{machine->current(), machine->current()->epoch() + 1});
    rt::park_here(*machine, unlock, arg, reason);
    return;
  }
  rt::refuse_wait_in_forked_child();
  std::atomic<std::uint32_t> word{0};
  give(WaitToken{nullptr, reinterpret_cast<std::uintptr_t>(&word)});
  unlock(arg);
  while (word.load(std::memory_order_acquire) == 0) rt::futex_wait(&word, 0);
}

}  // namespace

void block(WaitNode& node, rt::SpinMutex& held, rt::WaitReason reason) noexcept {
  block_with([&](WaitToken token) noexcept { node.token = token; }, &unlock_committed, &held, reason);
}

void block(std::span<WaitNode> nodes, rt::CommitFn unlock, void* arg, rt::WaitReason reason) noexcept {
  const auto give = [&](WaitToken token) noexcept {
    for (WaitNode& node : nodes) node.token = token;
  };
  block_with(give, unlock, arg, reason);
}

void block_forever(rt::WaitReason reason) noexcept {
  for (;;) {
    WaitNode nobody_sees_it;
    rt::SpinMutex lock;
    lock.lock();
    block(nobody_sees_it, lock, reason);
  }
}

void wake(WaitToken token) noexcept {
  if (token.g != nullptr) [[likely]] {
    rt::ready({token.g, token.key});
    return;
  }
  auto* const word = reinterpret_cast<std::atomic<std::uint32_t>*>(token.key);
  word->store(1, std::memory_order_release);
  rt::futex_wake(word, 1);
}

}  // namespace weft::detail
