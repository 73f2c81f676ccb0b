// M: a machine, an OS thread that runs goroutines for the processor it holds.
//
// The thread's own stack is the scheduler stack: run() finds a goroutine and switches to it. When the goroutine has
// left its stack, run() does what the goroutine asked for (`departure_`). So what is done to a goroutine that parks,
// yields or ends never runs on that goroutine's stack.
//
// There are as many machines as threads are needed: one for each processor, and one for each goroutine that is inside
// blocking(), computes for too long, or is locked to its thread. A machine without a processor sleeps in
// wait_for_processor() until somebody assigns one. While goroutine code runs, sysmon may take the processor away
// (sched/lease.h). The goroutine then parks and readies others without a processor. For what needs a processor the
// goroutine first gets one again, by way of the global queue: enter() does that.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "runtime/src/arch/fiber_switch.h"
#include "runtime/src/arch/float_control.h"
#include "runtime/src/base/clock.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/base/thread.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/lease.h"
#include "runtime/src/sched/park.h"

namespace weft::rt {

struct Processor;
enum class OwedWake : std::uint8_t;
class Scheduler;

class Machine {
 public:
  Machine(Scheduler& scheduler, int id, int number_in_process) noexcept
      : scheduler_(scheduler), id_(id), number_in_process_(number_in_process) {}
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // The thread's body. It runs until the scheduler stops, or the goroutine that was locked to the thread has ended.
  void run() noexcept;

  // --- any thread ---
  int id() const noexcept { return id_; }
  // Counts from 0 on. No other machine whose thread may still run, of whichever runtime, has the same number.
  int number_in_process() const noexcept { return number_in_process_; }
  Scheduler& scheduler() noexcept { return scheduler_; }
  // The kernel's id of the thread; 0 before and after it runs.
  pid_t thread_id() const noexcept { return thread_id_.load(std::memory_order_acquire); }
  G* observed_current() const noexcept { return current_.load(std::memory_order_acquire); }
  bool observed_spinning() const noexcept { return observed_spinning_.load(std::memory_order_relaxed); }
  // Returns the id of the processor that the machine holds, -1 when it holds none; a moment old.
  int observed_processor() const noexcept;
  const G* observed_locked() const noexcept { return locked_.load(std::memory_order_relaxed); }
  // Returns the id of the processor that the machine held last.
  int last_processor() const noexcept { return last_processor_.load(std::memory_order_relaxed); }
  Lease<Processor>& lease() noexcept { return lease_; }
  // Gives a processor to a machine that waits for one or is about to; with a goroutine when the machine is locked to
  // that one. There is at most one such processor until the machine has taken it up.
  void assign(Processor& processor, G* locked_goroutine) noexcept;
  // Makes a waiting machine look at Scheduler::stopping().
  void wake() noexcept;
  // Makes a waiting machine call release_thread_heap().
  void release_heap() noexcept;

  // --- on this thread ---
  // The result is steady only in runtime mode; it is null when the processor was given up or taken.
  Processor* processor() noexcept { return lease_.processor(); }
  G* current() noexcept { return current_.load(std::memory_order_relaxed); }

  // --- for the goroutine that runs here, on its own stack; in runtime mode ---
  // Returns the calling goroutine's machine, in runtime mode. When the processor is gone, the goroutine goes through
  // the global queue, so this may be another machine than before. For goroutines only, without locks.
  static Machine& enter() noexcept;
  void park(CommitFn commit, void* arg, WaitReason reason) noexcept;
  // From here on, the machine has a processor.
  enum class YieldTo { local_queue, global_queue };
  void yield(YieldTo where) noexcept;
  void end_slice() noexcept;
  [[noreturn]] void exit_goroutine() noexcept;
  // Checks for what a goroutine must not leave its thread with; in debug builds only.
#ifdef NDEBUG
  void check_departure(const char*) noexcept {}
#else
  void check_departure(const char* wait) noexcept;
#endif
  // Goes back to user code.
  void leave() noexcept { lease_.leave(current()->mode); }
  // From now on no other goroutine runs on this thread, and the caller runs on no other thread, until unlock_thread().
  void lock_thread() noexcept { locked_.store(current(), std::memory_order_relaxed); }
  void unlock_thread() noexcept { locked_.store(nullptr, std::memory_order_relaxed); }
  bool locked() const noexcept { return locked_.load(std::memory_order_relaxed) != nullptr; }
  // Tells whether a goroutine that is or was locked to the thread may have changed what new threads would inherit from
  // it.
  bool may_be_altered() const noexcept { return locked() || ending_; }
  // Tells whether there are goroutines that this processor could run now.
  bool others_wait() noexcept;
  // Gives the processor to another machine, because the calling goroutine is about to block its thread.
  void give_processor_away() noexcept;

  // --- in runtime mode with a processor, from a goroutine or the scheduler ---
  // Queues a goroutine that has become runnable: into the batch while the poller or timers run, else into runnext.
  void enqueue(G* g) noexcept;

 private:
  friend class Scheduler;
  friend void yield_global() noexcept;
  enum class Departure : std::uint8_t { park, yield_local, yield_global, exit, requeue };

  bool nobody_waits() noexcept;
  bool wait_for_processor() noexcept;
  void hand_to_locked_machine(G* g) noexcept;
  void requeue() noexcept;
  void pay_wake() noexcept;
  void execute(G* g) noexcept;
  bool finish_park(G* g) noexcept;
  void finish_exit(G* g) noexcept;

  G* find_runnable() noexcept;
  G* next_local() noexcept;
  void periodic_check() noexcept;
  bool poll(Nanos timeout) noexcept;
  bool fire_timers(Processor& owner) noexcept;
  bool flush_batch(GList& batch, OwedWake owed) noexcept;
  G* steal() noexcept;
  G* steal_from(Processor& victim, bool last_round) noexcept;
  void idle() noexcept;
  void sleep_in_poller() noexcept;
  bool sleep_until(Nanos timer, Nanos limit) noexcept;
  void serve_retired_processor() noexcept;
  bool give_processor_home() noexcept;
  bool start_spinning() noexcept;
  void set_spinning(bool spinning) noexcept;
  void stop_spinning() noexcept;
  void refresh_clock() noexcept;

  Scheduler& scheduler_;
  const int id_;
  const int number_in_process_;
  Lease<Processor> lease_;
  std::atomic<G*> current_{nullptr};
  GList* batch_ = nullptr;           // set while the poller or timers run
  bool spinning_ = false;            // this machine is counted as searching (sched/sleepers.h)
  bool inherits_slice_ = false;      // what find_runnable() returned came from runnext
  bool ending_ = false;              // its locked goroutine ended: the thread is not clean and ends, too
  std::atomic<G*> locked_{nullptr};  // the goroutine that this thread is reserved for; only this thread writes it
  G* assigned_ = nullptr;            // the locked goroutine, when it came with the processor
  std::atomic<pid_t> thread_id_{0};
  std::atomic<int> last_processor_{-1};
  std::atomic<bool> observed_spinning_{false};

  // What wait_for_processor() sleeps on: 1 when there is something to look at, written after what was assigned.
  std::atomic<std::uint32_t> woken_{0};
  std::atomic<bool> must_release_heap_{false};
  std::atomic<Processor*> next_processor_{nullptr};
  G* next_goroutine_ = nullptr;

  // Written by the scheduler under its machines_mutex_, read by anybody.
  Thread thread_;
  std::atomic<bool> waits_{false};  // it is in the list of machines that wait for a processor
  std::atomic<bool> ended_{false};  // its thread has ended or is about to

  std::uint64_t float_control_ = 0;  // the thread's value, which goroutines leave as it is

  Fiber fiber_;  // the thread's own stack
  ExceptionGlobals* exception_globals_ = nullptr;

  Departure departure_ = Departure::park;
  CommitFn commit_ = nullptr;
  void* commit_arg_ = nullptr;
};

// It is inline; arch/fiber_switch.h says why.
[[gnu::always_inline]] inline void Machine::park(CommitFn commit, void* arg, WaitReason reason) noexcept {
  G* const g = current();
  WEFT_CHECK(g != nullptr, "park outside a goroutine");
  if constexpr (kChecksFloatControl) check_departure(wait_reason_text(reason));
  g->reason.store(reason, std::memory_order_relaxed);
  departure_ = Departure::park;
  commit_ = commit;
  commit_arg_ = arg;
  switch_fiber(g->fiber, fiber_, exception_globals_);
  // `this` is the machine that the goroutine left, perhaps not the one that runs it now.
}

[[gnu::always_inline]] inline void Machine::yield(YieldTo where) noexcept {
  check_departure("yield");
  departure_ = where == YieldTo::local_queue ? Departure::yield_local : Departure::yield_global;
  switch_fiber(current()->fiber, fiber_, exception_globals_);
}

// Returns the machine of the calling thread; null on a plain thread. It is not inlined: a goroutine that keeps the
// address of a thread-local over a park reads another thread's.
[[gnu::noinline]] Machine* current_machine() noexcept;
void set_current_machine(Machine* machine) noexcept;

// Returns the bubble of the goroutine that runs on `machine`; null outside of bubbles, on scheduler stacks, and for a
// null machine.
inline BubbleHooks* bubble_of(Machine* machine) noexcept {
  const G* const g = machine == nullptr ? nullptr : machine->current();
  return g == nullptr ? nullptr : g->bubble.load(std::memory_order_relaxed);
}

// Does what park() of sched/park.h does, for callers that have the machine at hand.
[[gnu::always_inline]] inline void park_here(Machine& machine, CommitFn commit, void* arg, WaitReason reason) noexcept {
  // The machine may have a processor or not: the caller may hold the lock that commit releases, and must not wait for a
  // processor.
  if (!machine.lease().enter()) static_cast<void>(machine.lease().settle());
  machine.park(commit, arg, reason);
}

// While a Pin lives, the calling machine keeps the processor that it has. Any thread may make one, goroutine or
// scheduler, also under locks; pins nest. A Pin must not live over a park.
class Pin {
 public:
  Pin() noexcept : machine_(current_machine()) {
    if (machine_ == nullptr) return;
    before_ = machine_->lease().mode();
    if (before_ != Mode::runtime && !machine_->lease().enter()) static_cast<void>(machine_->lease().settle());
    processor_ = machine_->processor();
  }
  // For goroutines without locks: gets a processor if the machine has lost its own.
  struct WithProcessor {};
  explicit Pin(WithProcessor) noexcept : before_(current_machine()->lease().mode()), machine_(&Machine::enter()) {
    processor_ = machine_->processor();
  }
  ~Pin() {
    if (before_ != Mode::runtime) machine_->lease().leave(before_);
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

  // Returns null on a plain thread.
  Machine* machine() const noexcept { return machine_; }
  // Returns null where there is none.
  Processor* processor() const noexcept { return processor_; }

 private:
  Mode before_ = Mode::runtime;
  Machine* machine_;
  Processor* processor_ = nullptr;
};

}  // namespace weft::rt
