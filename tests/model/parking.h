// ModelParking: park and ready for the goroutines of a program, each of which is one of its threads. The state word is
// weft's own. In place of run queues there is one wake-up for each goroutine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "model/explorer.h"
#include "runtime/src/sched/park.h"
#include "runtime/src/sched/state_word.h"

namespace weft::model {

struct Goroutine : rt::StateWord<ModelAtomics> {
  Goroutine() { state.store(pack(0, rt::Status::running), std::memory_order_relaxed); }

  Sleep resumed;
  bool queued = false;  // in what stands for a run queue
};

// The base of programs whose threads are goroutines.
struct Goroutines {
  Label names{"goroutines", {}, "state"};
  std::array<Goroutine, 3> all;
};

// `kBug` plants one of these.
enum class ParkingBug { none, commit_first, any_epoch };

template <ParkingBug kBug>
struct ModelParkingWith {
  struct Waiter {
    Goroutine* g = nullptr;
    std::uint64_t epoch = 0;
  };

  static inline Goroutines* goroutines = nullptr;  // belongs to the running program

  static Goroutine& current() noexcept { return goroutines->all[static_cast<std::size_t>(this_thread())]; }
  static Waiter current_waiter() noexcept { return {&current(), current().epoch() + 1}; }

  static void park(rt::CommitFn commit, void* arg, rt::WaitReason) noexcept {
    Goroutine& g = current();
    if constexpr (kBug == ParkingBug::commit_first) {
      if (!commit(arg)) return;
      g.begin_park();
    } else {
      const std::uint64_t epoch = g.begin_park();
      if (!commit(arg)) {
        g.refuse_park(epoch);
        return;
      }
    }
    g.resumed.sleep();
    require(g.queued, "a goroutine runs that is in no queue");
    require(g.status() == rt::Status::runnable, "a goroutine runs that is not runnable");
    g.queued = false;
    g.set_status(rt::Status::running);
  }

  static bool ready(Waiter waiter) noexcept {
    if constexpr (kBug == ParkingBug::any_epoch) {
      if (waiter.g->status() != rt::Status::waiting) return false;
      waiter.epoch = waiter.g->epoch();
    }
    if (!waiter.g->try_ready(waiter.epoch)) return false;
    require(!waiter.g->queued, "a goroutine is queued twice");
    waiter.g->queued = true;
    waiter.g->resumed.interrupt();
    return true;
  }
};
using ModelParking = ModelParkingWith<ParkingBug::none>;

}  // namespace weft::model
