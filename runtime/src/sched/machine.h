// M: a machine, an OS thread that runs goroutines for the processor it holds.
//
// The thread's own stack is the scheduler stack: run() finds a goroutine, switches to it, and when the goroutine has left its stack does
// what it asked for (`departure`). So what is done to a goroutine that parks, yields or ends never runs on that goroutine's stack.
#pragma once

#include "arch/fiber_switch.h"
#include "sched/goroutine.h"
#include "sched/park.h"
#include "time/clock.h"

namespace weft::rt {

struct Processor;
class Scheduler;

class Machine {
 public:
  Machine(Scheduler& scheduler, int id, Processor& processor) noexcept
      : scheduler_(scheduler), id_(id), processor_(&processor) {}
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Runs goroutines on the calling thread until the scheduler stops.
  void run() noexcept;

  int id() const noexcept { return id_; }
  Scheduler& scheduler() noexcept { return scheduler_; }
  Processor* processor() noexcept { return processor_; }
  G* current() noexcept { return current_; }

  // --- for the goroutine that runs here, on its own stack ---
  void park(CommitFn commit, void* arg, WaitReason reason) noexcept;
  enum class YieldTo { local_queue, global_queue };
  void yield(YieldTo where) noexcept;
  [[noreturn]] void exit_goroutine() noexcept;

  // --- on this thread, from a goroutine or the scheduler ---
  // Queues a goroutine that has become runnable: into the batch while the poller or timers run, else into runnext.
  void enqueue(G* g) noexcept;
  // To the tail of the processor's queue, or half of that to the global one.
  void enqueue_last(G* g) noexcept;

 private:
  enum class Departure { park, yield_local, yield_global, exit };

  void execute(G* g) noexcept;
  bool finish_park(G* g) noexcept;
  void finish_exit(G* g) noexcept;

  G* find_runnable() noexcept;
  G* next_local() noexcept;
  void periodic_check() noexcept;
  // Timers that are due and what the poller has, waiting up to `timeout`; true when a goroutine became runnable.
  bool poll(Nanos timeout) noexcept;
  bool fire_timers(Processor& owner) noexcept;
  bool flush_batch(GList& batch) noexcept;
  G* steal() noexcept;
  G* steal_from(Processor& victim, bool last_round) noexcept;
  void idle() noexcept;
  bool start_spinning() noexcept;
  void stop_spinning() noexcept;
  void refresh_clock() noexcept;

  Scheduler& scheduler_;
  const int id_;
  Processor* processor_;
  G* current_ = nullptr;
  GList* batch_ = nullptr;  // set while the poller or timers run
  bool spinning_ = false;   // this machine is counted in the scheduler's spinning

  Fiber fiber_;  // the thread's own stack
  ExceptionGlobals* exception_globals_ = nullptr;

  Departure departure_ = Departure::park;
  CommitFn commit_ = nullptr;
  void* commit_arg_ = nullptr;
};

// The machine of the calling thread; null on a plain thread. Not inlined: a goroutine that keeps the address of a thread-local over
// a park reads another thread's.
[[gnu::noinline]] Machine* current_machine() noexcept;
void set_current_machine(Machine* machine) noexcept;

}  // namespace weft::rt
