// StateWord: what a goroutine is doing, in one word, so that a waker decides by one compare-and-swap.
//
// state
//   bits 0-2  status  who may change it
//             dead      whoever starts the goroutine -> runnable. The slot is in a pool.
//             runnable  the machine that takes it from a queue -> running. It is in exactly one queue (or runnext, or a
//                       batch).
//             running   the machine that runs it, on its scheduler stack -> waiting, runnable (yield), dead.
//             waiting   whoever wins ready() -> runnable; commit's refusal -> running. It is in no queue; its waker
//                       holds a Waiter.
//   bits 3-63 epoch   counts parks; written together with the step to waiting. It is never reset, so that a Waiter of
//                     an earlier life of the slot never matches.
//
// The word is a template over its atomics, so that tests/model/state_word_test.cc can explore it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "runtime/src/base/atomics.h"
#include "runtime/src/base/fatal.h"

namespace weft::rt {

enum class Status : std::uint64_t { dead = 0, runnable = 1, running = 2, waiting = 3 };

// The text of each Status, by its value. Every text about goroutines uses these.
inline constexpr std::array kStatusTexts = {"dead", "runnable", "running", "waiting"};

template <typename Atomics = StdAtomics>
struct StateWord {
  static constexpr std::uint64_t kStatusBits = 3;
  static constexpr std::uint64_t kStatusMask = (1u << kStatusBits) - 1;

  static constexpr std::uint64_t pack(std::uint64_t epoch, Status status) noexcept {
    return epoch << kStatusBits | static_cast<std::uint64_t>(status);
  }
  static Status status_of(std::uint64_t word) noexcept { return static_cast<Status>(word & kStatusMask); }
  static std::uint64_t epoch_of(std::uint64_t word) noexcept { return word >> kStatusBits; }

  Status status() const noexcept { return status_of(state.load(std::memory_order_acquire)); }
  std::uint64_t epoch() const noexcept { return epoch_of(state.load(std::memory_order_relaxed)); }

  // Makes a step that only the present owner makes; the epoch stays.
  void set_status(Status status) noexcept { state.store(pack(epoch(), status), std::memory_order_release); }

  // Steps from running to waiting in the next epoch, and returns that epoch. After this the waiter may become visible
  // to wakers.
  std::uint64_t begin_park() noexcept {
    const std::uint64_t next = epoch() + 1;
    state.store(pack(next, Status::waiting), std::memory_order_release);
    return next;
  }

  // Steps from waiting at `parked_epoch` to running: nobody has seen the waiter. The epoch is used up.
  void refuse_park(std::uint64_t parked_epoch) noexcept {
    WEFT_CHECK(state.load(std::memory_order_relaxed) == pack(parked_epoch, Status::waiting),
               "commit refused a goroutine that was readied");
    state.store(pack(parked_epoch, Status::running), std::memory_order_release);
  }

  // Steps from waiting at `expected_epoch` to runnable: of several callers one gets true, and none does in a later
  // epoch. The release side orders what the waker did before it; the acquire side orders what the goroutine did before
  // it parked.
  bool try_ready(std::uint64_t expected_epoch) noexcept {
    std::uint64_t expected = pack(expected_epoch, Status::waiting);
    return state.compare_exchange_strong(expected, pack(expected_epoch, Status::runnable), std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
  }

  typename Atomics::template Atomic<std::uint64_t> state{pack(0, Status::dead)};
};

}  // namespace weft::rt
