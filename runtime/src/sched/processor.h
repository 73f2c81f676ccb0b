// P: a processor, the right to run goroutines and what goes with it: a run queue, a timer heap, a poller, caches.
//
// A processor is owned by one machine at a time, the one whose lease holds it (sched/lease.h). Others may steal from
// `queue`, take `runnext` by compare-and-swap, fire `timers`, interrupt `poller`, and read the counters; everything
// else is the owner's alone.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/src/base/random.h"
#include "runtime/src/sched/constants.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/poller.h"
#include "runtime/src/sched/ready_queue.h"
#include "runtime/src/sched/timer.h"

namespace weft::rt {

class Machine;

// A counter that one thread counts up and any thread reads.
class Counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// What a processor owes to the others when it has queued goroutines and has not woken anybody for them.
enum class OwedWake : std::uint8_t {
  none,
  now,
  // Timers have readied the goroutines, when there was nothing else to run. So the sleepers may have a while to wake by
  // themselves (Machine::pay_wake()).
  later,
};

struct alignas(64) Processor {
  Processor(int processor_id, std::unique_ptr<Poller> processor_poller, std::uint64_t seed)
      : id(processor_id), timers(TimerHeap::take()), poller(std::move(processor_poller)), random(seed) {}
  ~Processor() { timers.give_back(); }
  Processor(const Processor&) = delete;
  Processor& operator=(const Processor&) = delete;

  const int id;
  std::uint32_t tick = 0;         // scheduling rounds
  std::uint32_t slice_turns = 0;  // turns that came from runnext since the queue had its turn
  Nanos last_poll = 0;
  Nanos last_fire = 0;                  // when its poll last found timers due
  std::uint64_t rounds_at_release = 0;  // the number of rounds when it last gave memory back
  OwedWake owes_wake = OwedWake::none;

  // The machine that holds the processor; null while the processor goes from one machine to another. It is for sysmon
  // and dumps.
  std::atomic<Machine*> machine{nullptr};
  // The machine that the processor belongs with. The field is the holder's.
  Machine* home = nullptr;

  // Sysmon sets this when one time slice lasts too long, because goroutines wake each other and share it, or because
  // one goroutine does not come back (sched/scheduling_point.h). Such a slice also ends after kSliceTurns turns. Then
  // others have their turn.
  std::atomic<bool> slice_over{false};
  // True while this is the only processor that there ever was. Nobody steals from it, so its holder spares itself the
  // locked instructions against thieves, which are a third of what a hand-over takes. The holder ends that (release) at
  // the first scheduling point at which there are other processors; thieves look here first (acquire).
  std::atomic<bool> exclusive{false};
  // True while the processor is out of service, because set_procs() lowered the number.
  std::atomic<bool> retired{false};
  // While its machine sleeps for a limited time: when it asks the kernel to wake it. Else kNever. The machine resets it
  // before it counts as idle again, and sets it when it has looked at the queues. So who queues work and then reads a
  // time here (both sides have a fence in between: sleepers.h) reads one of a sleep after which the machine runs what
  // its own timers ready, and then finds that work.
  std::atomic<Nanos> sleeps_until{kNever};
  // True while the processor is retired and its machine sleeps in its poller. It is for sysmon, which has nothing to
  // look after then.
  std::atomic<bool> dormant{false};

  ReadyQueue<G, kRunQueueSlots> queue{kRunQueueStart};
  // The goroutine that was readied last. It runs first, because it finds what its waker left in the cache.
  std::atomic<G*> runnext{nullptr};

  // Whether the machine sleeps at `t`, and will see by itself which timers are due. One that oversleeps by kTimerGap
  // needs help.
  bool will_see_timers(Nanos t) const noexcept {
    const Nanos until = sleeps_until.load(std::memory_order_relaxed);
    return until != kNever && t < until + kTimerGap;
  }

  TimerHeap& timers;
  const std::unique_ptr<Poller> poller;

  // The time at the owner's last look at the clock. Parks are dated with it.
  std::atomic<Nanos> clock{0};

  G* free = nullptr;  // dead goroutines, linked by G::link
  std::size_t free_count = 0;
  std::uint64_t next_id = 0;
  std::uint64_t end_id = 0;
  Random random;

  Counter spawned;
  Counter exited;
  Counter parks;
  Counter steals;
  Counter polls;
  Counter rounds;  // times that a goroutine ran or yielded to nobody
  Counter slices;  // the same, without those that came from runnext and went on with the slice of their waker
};

}  // namespace weft::rt
