// Sleepers: which processors sleep and how many search for work; and the protocol by which a submitter wakes one.
//
// Submit and sleep. Work must never lie in a queue while an idle processor sleeps and nobody searches. (What timers
// have readied may do so for a millisecond: Machine::pay_wake().)
//   Submitter: claim()                               Sleeper: begin_sleep()
//     1. publish the goroutine in a queue              1. stop searching: searching_ - 1
//     2. fence (seq_cst)                               2. set its bit in idle_ (seq_cst)
//     3. read idle_'s count and searching_;            3. fence (seq_cst)
//        nobody searches and somebody is idle:         4. read every queue; found work: take the bit back, search on
//        searching_ 0 -> 1, claim an idle bit,         5. sleep in the poller
//        interrupt that processor's poller
// Each side writes, fences, then reads what the other wrote, so at least one of them sees the other. Acquire and
// release would let both reads pass both writes. A searcher that finds work wakes the next one, so one wake-up per
// burst is enough to get everybody up. Whoever claims the bit of a sleeper also counts that sleeper into searching_:
// the claimed machine wakes as a searcher. interrupt() is sticky: a poller that is not yet asleep returns from its next
// sleep at once.
//
// The classes are templates over their atomics, so that tests/model/sleepers_test.cc can explore them.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/src/base/atomics.h"

namespace weft::rt {

// A set of processor ids. Any thread may use it.
template <typename Atomics = StdAtomics>
class IdleSet {
 public:
  explicit IdleSet(std::size_t n) : words_((n + 63) / 64) {}

  void add(int id) noexcept {
    count_.fetch_add(1, std::memory_order_seq_cst);  // before the bit, so that the count is never smaller than the set
    words_[static_cast<std::size_t>(id) / 64].fetch_or(bit(id), std::memory_order_seq_cst);
  }
  // Returns true when `id` was in the set: of several callers one gets true.
  bool remove(int id) noexcept {
    const std::uint64_t before =
        words_[static_cast<std::size_t>(id) / 64].fetch_and(~bit(id), std::memory_order_seq_cst);
    if ((before & bit(id)) == 0) return false;
    count_.fetch_sub(1, std::memory_order_seq_cst);
    return true;
  }
  // Removes any id and returns it; -1 when the set is empty.
  int take_any() noexcept {
    for (std::size_t w = 0; w < words_.size(); ++w) {
      for (;;) {
        const std::uint64_t word = words_[w].load(std::memory_order_relaxed);
        if (word == 0) break;
        const int id = static_cast<int>(w * 64) + std::countr_zero(word);
        if (remove(id)) return id;
      }
    }
    return -1;
  }
  bool empty() const noexcept {
    return std::ranges::all_of(words_, [](const auto& word) { return word.load(std::memory_order_seq_cst) == 0; });
  }
  // The count is not smaller than the set: 0 means that the set is empty.
  int count() const noexcept { return count_.load(std::memory_order_seq_cst); }

 private:
  static std::uint64_t bit(int id) noexcept { return std::uint64_t{1} << (static_cast<unsigned>(id) % 64); }

  std::vector<typename Atomics::template Atomic<std::uint64_t>> words_;
  typename Atomics::template Atomic<int> count_{0};
};

template <typename Atomics = StdAtomics>
class Sleepers {
 public:
  // For processors 0 to n - 1.
  explicit Sleepers(std::size_t n) : idle_(n) {}

  // Both results are a moment old.
  int idle() const noexcept { return idle_.count(); }
  int searching() const noexcept { return searching_.load(std::memory_order_relaxed); }

  // --- the submitter; the work is in a queue already ---
  // Returns the processor whose poller the caller must interrupt, and which has been counted as searching; -1 when
  // nobody need be woken.
  [[nodiscard]] int claim() noexcept {
    // The fence lies between the queue and the look at the sleepers; it mirrors the fence in begin_sleep().
    Atomics::fence(std::memory_order_seq_cst);
    return claim_fenced();
  }
  // Does the same when what put the work into the queue was an atomic read-modify-write.
  [[nodiscard]] int claim_after_rmw() noexcept {
    Atomics::fence_after_rmw();
    return claim_fenced();
  }

  // --- the searcher ---
  void begin_search() noexcept { searching_.fetch_add(1, std::memory_order_seq_cst); }
  // Called after work was found. Returns true when the caller was the last searcher, which must claim() another: there
  // may be more work where this came from.
  [[nodiscard]] bool end_search() noexcept { return searching_.fetch_sub(1, std::memory_order_seq_cst) == 1; }

  // --- the sleeper ---
  // Returns true when `id` may sleep until its poller is interrupted; it calls end_sleep() then. Returns false when
  // any_work() says that there is something to do; then the caller is counted as searching. `searching` says whether it
  // has been until now.
  template <typename AnyWork>
  [[nodiscard]] bool begin_sleep(int id, bool searching, AnyWork any_work) noexcept {
    if (searching) searching_.fetch_sub(1, std::memory_order_seq_cst);
    idle_.add(id);
    // The fence lies between the bit and the look at the queues; it mirrors the fence in claim().
    Atomics::fence(std::memory_order_seq_cst);
    if (!any_work()) return true;
    if (idle_.remove(id)) searching_.fetch_add(1, std::memory_order_seq_cst);
    return false;  // counted by us just now, or by the waker that claimed us
  }
  // Returns true when `id` was claimed, and so is counted as searching.
  [[nodiscard]] bool end_sleep(int id) noexcept { return !idle_.remove(id); }

 private:
  int claim_fenced() noexcept {
    if (idle_.count() == 0) return -1;
    do {
      if (searching_.load(std::memory_order_seq_cst) != 0) return -1;
      int none = 0;
      // seq_cst, because the sleeper's decrement precedes its look at the queues.
      if (!searching_.compare_exchange_strong(none, 1, std::memory_order_seq_cst, std::memory_order_relaxed)) return -1;
      if (const int id = idle_.take_any(); id >= 0) return id;
      // There is nobody to wake after all. While we counted as a searcher, another submitter may have relied on us, and
      // a processor may have gone to sleep: look again. Look at the bits, because the count may be ahead of them for as
      // long as the thread that raised it does not run.
      searching_.fetch_sub(1, std::memory_order_seq_cst);
    } while (!idle_.empty());
    return -1;
  }

  typename Atomics::template Atomic<int> searching_{0};
  IdleSet<Atomics> idle_;
};

}  // namespace weft::rt
