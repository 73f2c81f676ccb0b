// RWMutex. Its word is that of a BasicMutex (sync/mutex.h), which the writers lock among themselves. The bits above
// hold the number of readers. The rest lies under mutex_:
//
//   word's kLocked    a writer holds the lock, or waits until the readers before it have left
//   word's readers    who holds the lock for reading, and who waits to: a reader counts itself first and then looks
//                     whether kLocked is set
//   waiting_readers_  readers that wait, in their order
//   admissions_       readers that are let in and have not come to mutex_ yet
//   leaving_          how many readers the writer with kLocked waits for, less how many have left since it set kLocked
//   waiting_writer_   that writer, while it sleeps
//
// Readers and writers. Both change one word. So when a reader counts itself and a writer sets kLocked, one of them
// comes first, and the later one knows: the writer finds the reader in the count and waits for it, or the reader finds
// kLocked and waits. The writer unlocks in one step that clears kLocked and tells the number of readers that have come
// meanwhile. All of them wait, or are about to, and the writer admits so many. A reader that is still on its way to
// mutex_ takes an admission instead of queueing. Whether it is one of those that were counted does not matter, but the
// number does.
//
// A reader that leaves and finds kLocked set was counted by that writer, so it takes itself off leaving_. Whoever takes
// leaving_ to zero wakes the writer. The reader may come before the writer has added its count, and leaving_ is below
// zero in between. The writer adds what it found in the word, and sleeps unless that makes zero. Both are under mutex_,
// so one of them sees the zero, and not both.
//
// In starvation mode a writer has kLocked handed over, and nobody cleared it. So the new owner itself counts and admits
// the readers that have come, as an unlock does, and waits for them, as a lock does.
//
// Lifetime: the step that lets others in is the last one that touches the object, unless somebody waits in it. A writer
// that unlocks goes on only for readers that it counted, or writers that queue. A reader that leaves goes on only while
// a writer waits for it.
#pragma once

#include "runtime/src/base/fatal.h"
#include "runtime/src/sched/park.h"
#include "runtime/src/sync/mutex.h"
#include "weft/detail/rw_mutex_core.h"

namespace weft::detail {

template <typename Policy>
void BasicRWMutex<Policy>::lock_slow() noexcept {
  const auto taken = writers_.lock_slow();
  std::uint32_t readers = taken.word / kReader;
  if (taken.handed_over) {
    readers = word().load(std::memory_order_relaxed) / kReader;
    if (readers != 0) admit(readers);
  }
  if (readers == 0) return;
  mutex_.lock();
  leaving_ += static_cast<std::int32_t>(readers);
  if (leaving_ == 0) {
    mutex_.unlock();
    return;
  }
  WaitNode node;
  waiting_writer_ = &node;
  Policy::Waiting::block(node, mutex_, rt::WaitReason::rwmutex_lock);
}

template <typename Policy>
void BasicRWMutex<Policy>::unlock_slow() noexcept {
  const std::uint32_t readers = writers_.unlock_slow() / kReader;
  if (readers != 0) admit(readers);
}

template <typename Policy>
void BasicRWMutex<Policy>::admit(std::uint32_t readers) noexcept {
  WaitNode* first = nullptr;
  WaitNode** last = &first;
  mutex_.lock();
  for (; readers != 0; --readers) {
    WaitNode* const node = waiting_readers_.pop_front();
    if (node == nullptr) break;
    *last = node;
    last = &node->next;
  }
  *last = nullptr;
  admissions_ += readers;
  mutex_.unlock();
  Policy::Waiting::wake_all(first);
}

template <typename Policy>
void BasicRWMutex<Policy>::lock_shared_slow() noexcept {
  mutex_.lock();
  if (admissions_ != 0) {
    --admissions_;
    mutex_.unlock();
    return;
  }
  WaitNode node;
  waiting_readers_.push_back(node);
  Policy::Waiting::block(node, mutex_, rt::WaitReason::rwmutex_rlock);
}

template <typename Policy>
void BasicRWMutex<Policy>::unlock_shared_slow(std::uint32_t before) noexcept {
  if (before < kReader) rt::fatal("sync: RUnlock of unlocked RWMutex");
  mutex_.lock();
  if (--leaving_ != 0) {
    mutex_.unlock();
    return;
  }
  WEFT_CHECK(waiting_writer_ != nullptr, "an RWMutex has lost its writer");
  const Waiter waiter = waiting_writer_->waiter;
  waiting_writer_ = nullptr;
  mutex_.unlock();
  Policy::Waiting::wake(waiter);
}

}  // namespace weft::detail
