// WaitWord: a binary semaphore between one waiting goroutine and those who notify it (Go's pollDesc rg/wg).
//
// word_ is one of
//   kNone      nothing happened, nobody waits
//   kReady     the event has come; the next wait() takes it and returns at once     notify()
//   kPending   a goroutine is about to park                                          wait()
//   a pointer  to the Waiter of a parked goroutine, on its stack                     wait()'s commit
// Whoever swaps the pointer out readies the goroutine, and nobody else does.
//
// wait() against interrupt(). wait() stores kPending, and then calls `stop`, which reads the closed and the expired
// flag. Who interrupts stores a flag, and then reads the word. Each side writes before it reads. The order is seq_cst,
// because with acquire and release both sides could read what was there before. So wait() sees the flag, or interrupt()
// sees the word.
//
// The class is a template over atomics and parking: tests/model/wait_word_test.cc explores it.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/src/base/atomics.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/sched/park.h"
#include "runtime/src/sched/parking.h"

namespace weft::rt {

template <typename Atomics, typename Parking>
class BasicWaitWord {
 public:
  // Parks until notify() or interrupt(), unless an event is there already or stop() returns true. Returns true when it
  // has taken an event. Goroutines only, one at a time.
  template <typename Stop>
  bool wait(Stop stop) noexcept {
    std::uintptr_t expected = kNone;
    // seq_cst: before stop() reads the flags.
    if (!word_.compare_exchange_strong(expected, kPending, std::memory_order_seq_cst, std::memory_order_acquire)) {
      WEFT_CHECK(expected == kReady, "two goroutines wait for one event");
      word_.store(kNone, std::memory_order_release);
      return true;
    }
    Parked parked{Parking::current_waiter(), this};
    if (!stop()) Parking::park(&commit, &parked, WaitReason::io_wait);
    return word_.exchange(kNone, std::memory_order_acq_rel) == kReady;
  }

  // The event has happened. Wakes the goroutine, or lets the next wait() return at once. Any thread.
  void notify() noexcept { wake(kReady); }

  // Wakes the goroutine without an event. The flag that it shall find is stored already (seq_cst). Any thread.
  void interrupt() noexcept { wake(kNone); }

 private:
  static constexpr std::uintptr_t kNone = 0;
  static constexpr std::uintptr_t kReady = 1;
  static constexpr std::uintptr_t kPending = 2;

  struct Parked {
    typename Parking::Waiter waiter;
    BasicWaitWord* word;
  };

  static bool commit(void* arg) noexcept {
    auto* const parked = static_cast<Parked*>(arg);
    std::uintptr_t expected = kPending;
    return parked->word->word_.compare_exchange_strong(expected, reinterpret_cast<std::uintptr_t>(parked),
                                                       std::memory_order_acq_rel, std::memory_order_relaxed);
  }

  void wake(std::uintptr_t next) noexcept {
    // seq_cst: after the caller's flag was stored.
    std::uintptr_t word = word_.load(std::memory_order_seq_cst);
    do {
      if (word == kReady || (word == kNone && next == kNone)) return;
    } while (!word_.compare_exchange_weak(word, next, std::memory_order_seq_cst, std::memory_order_seq_cst));
    if (word != kNone && word != kPending) Parking::ready(reinterpret_cast<Parked*>(word)->waiter);
  }

  typename Atomics::template Atomic<std::uintptr_t> word_{kNone};
};

using WaitWord = BasicWaitWord<StdAtomics, StdParking>;

}  // namespace weft::rt
