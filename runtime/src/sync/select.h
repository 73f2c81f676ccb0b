// select: one operation out of several, on several channels, decided at one moment.
//
// There are three passes (Go's selectgo, with one more in front):
//   1. The cases are tried one at a time, in random order, each under its channel's mutex. The first that can be
//      carried out is carried out. The choice is uniform among the cases that are ready throughout. Cases that show
//      without the mutex that they would wait are passed over.
//   2. When none could be carried out, select takes all mutexes, in the order of their addresses, so that selects don't
//      deadlock. With all of them held, the cases are tried again in the same order. If none can be carried out now,
//      there is one moment at which none is ready: only then is the default taken.
//   3. Without a default, select puts a node into each channel's queue, all with one Selection, and waits. The mutexes
//      are released once the waiter may be woken. Whoever takes a node out of a queue has to claim it, so that exactly
//      one does.
//
// The woken goroutine and the release of the mutexes. The release (the commit, on the scheduler stack) walks a list on
// the waiter's stack. Whoever claims a node after its mutex was released may wake the waiter while the walk goes on.
// The waiter comes back here before its frame goes, and takes each mutex of a node that has lost. The winner's mutex
// had been released when its node was claimed, and so had those before it in the walk. Those after it in the walk are
// mutexes of losers only. So when the waiter has had them all, the walk has released its last mutex, and after that it
// reads nothing.
//
// A select that has both a send and a receive on one channel does not meet itself: pass 2 finds nobody of its own, and
// the nodes of pass 3 are for others to take.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "weft/detail/select_core.h"

namespace weft::detail {

// Memory for a select while it works: one of each for each of its operations. The nodes are made only when the select
// waits.
template <typename Policy>
struct SelectScratch {
  BasicWaitNode<typename Policy::Waits>* nodes;
  std::uint32_t* order;
  BasicChanCore<Policy>** chans;
};

// The channels of a select, each once, in the order in which their mutexes are taken and released. Clang can't check a
// list of mutexes: what runs with all of them held is exempt.
template <typename Policy>
class SelectChans {
 public:
  SelectChans(std::span<const BasicChanOp<Policy>> ops, BasicChanCore<Policy>** memory) noexcept : list_(memory) {
    for (const auto& op : ops) {
      if (op.chan != nullptr) list_[size_++] = op.chan;
    }
    if (size_ <= kFew) {
      sort_few();
    } else {
      std::sort(list_, list_ + size_, std::less<>());
    }
    size_ = static_cast<std::size_t>(std::unique(list_, list_ + size_) - list_);
  }

  void lock() noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS {
    for (std::size_t i = 0; i < size_; ++i) list_[i]->mutex.lock();
  }
  // The object may be gone when the last mutex is released.
  void unlock() noexcept WEFT_NO_THREAD_SAFETY_ANALYSIS {
    BasicChanCore<Policy>** const list = list_;
    const std::size_t size = size_;
    for (std::size_t i = 0; i < size; ++i) list[i]->mutex.unlock();
  }
  static bool unlock_committed(void* self) noexcept {
    static_cast<SelectChans*>(self)->unlock();
    return true;
  }

 private:
  static constexpr std::size_t kFew = 8;

  // Sorts by insertion, which for a few takes less than half of the instructions of std::sort.
  void sort_few() noexcept {
    for (std::size_t i = 1; i < size_; ++i) {
      BasicChanCore<Policy>* const chan = list_[i];
      std::size_t at = i;
      for (; at > 0 && std::less<>()(chan, list_[at - 1]); --at) list_[at] = list_[at - 1];
      list_[at] = chan;
    }
  }

  BasicChanCore<Policy>** list_;
  std::size_t size_ = 0;
};

template <typename Policy>
class Select {
 public:
  using Op = BasicChanOp<Policy>;
  using Node = BasicWaitNode<typename Policy::Waits>;

  Select(std::span<const Op> ops, SelectScratch<Policy> scratch) noexcept : ops_(ops), scratch_(scratch) {}

  std::size_t run(bool has_default) {
    shuffle();
    for (const std::uint32_t i : order_) {
      if (!ops_[i].would_block() && try_alone(ops_[i])) return i;
    }
    if (order_.empty() && !has_default) Policy::block_forever();
    if (order_.size() <= 1 && has_default) return kNoOp;  // for one operation, pass 1 knows enough
    SelectChans<Policy> chans(ops_, scratch_.chans);
    chans.lock();
    for (const std::uint32_t i : order_) {
      if (try_locked(ops_[i], chans)) return i;
    }
    if (has_default) {
      chans.unlock();
      return kNoOp;
    }
    return wait(chans);
  }

 private:
  // Makes order_: the operations on channels, in random order.
  void shuffle() noexcept {
    std::uint32_t* const order = scratch_.order;
    std::uint32_t n = 0;
    for (std::uint32_t i = 0; i < ops_.size(); ++i) {
      if (ops_[i].chan == nullptr) continue;
      const std::uint32_t j = n == 0 ? 0 : Policy::random_below(n + 1);
      order[n] = order[j];
      order[j] = i;
      ++n;
    }
    order_ = {order, n};
  }

  bool try_alone(const Op& op) {
    op.chan->mutex.lock();
    if (op.chan->timer != nullptr) [[unlikely]] {
      Policy::look_at_timer(*op.chan);
    }
    typename Policy::Waiter partner{};
    const TryResult result = op.attempt(*op.chan, op.element, partner);
    op.chan->mutex.unlock();
    return carried_out(op, result, partner);
  }

  // Releases the mutexes if the case is carried out.
  bool try_locked(const Op& op, SelectChans<Policy>& chans) WEFT_NO_THREAD_SAFETY_ANALYSIS {
    if (op.chan->timer != nullptr) [[unlikely]] {
      Policy::look_at_timer(*op.chan);
    }
    typename Policy::Waiter partner{};
    const TryResult result = op.attempt(*op.chan, op.element, partner);
    if (result == TryResult::would_block) return false;
    chans.unlock();
    return carried_out(op, result, partner);
  }

  static bool carried_out(const Op& op, TryResult result, typename Policy::Waiter partner) {
    if (partner) Policy::wake(partner);
    if (result == TryResult::closed && op.kind == Op::Kind::send) Policy::panic_send_on_closed();
    return result != TryResult::would_block;
  }

  std::size_t wait(SelectChans<Policy>& chans) WEFT_NO_THREAD_SAFETY_ANALYSIS {
    BasicSelection<typename Policy::Waits> selection;
    const std::span<Node> nodes(scratch_.nodes, ops_.size());
    std::uninitialized_value_construct(nodes.begin(), nodes.end());
    // The nodes are queued in random order, so that of several operations on one channel each is as likely to be the
    // first in its queue.
    for (const std::uint32_t i : order_) {
      const Op& op = ops_[i];
      nodes[i].element = op.element;
      nodes[i].selection = &selection;
      queue_of(op).push_back(nodes[i]);
      if (op.chan->timer != nullptr) [[unlikely]] {
        Policy::run_timer_for_waiters(*op.chan);
      }
    }
    Policy::block_select(nodes, &SelectChans<Policy>::unlock_committed, &chans);

    // Relaxed is enough: the winner's wake() happens before this load.
    const Node* const winner = selection.winner.load(std::memory_order_relaxed);
    for (const std::uint32_t i : order_) {
      if (&nodes[i] != winner) leave(ops_[i], nodes[i]);
    }
    const auto chosen = static_cast<std::size_t>(winner - nodes.data());
    if (!winner->success && ops_[chosen].kind == Op::Kind::send) Policy::panic_send_on_closed();
    return chosen;
  }

  static BasicWaitQueue<typename Policy::Waits>& queue_of(const Op& op) noexcept {
    return op.kind == Op::Kind::send ? op.chan->senders : op.chan->receivers;
  }

  static void leave(const Op& op, Node& node) noexcept {
    op.chan->mutex.lock();
    if (!node.dequeued) queue_of(op).remove(node);
    if (op.chan->timer != nullptr) [[unlikely]] {
      Policy::run_timer_for_waiters(*op.chan);
    }
    op.chan->mutex.unlock();
  }

  const std::span<const Op> ops_;
  const SelectScratch<Policy> scratch_;
  std::span<const std::uint32_t> order_;
};

}  // namespace weft::detail
