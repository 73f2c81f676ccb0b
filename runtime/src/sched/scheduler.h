// Scheduler: what the processors share: the global queue, who sleeps and who searches (sched/sleepers.h), start and
// stop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "runtime/src/base/atomics.h"
#include "runtime/src/base/spin_mutex.h"
#include "runtime/src/base/thread.h"
#include "runtime/src/sched/backend.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/processor.h"
#include "runtime/src/sched/scheduler_use.h"
#include "runtime/src/sched/shared_queue.h"
#include "runtime/src/sched/sleepers.h"
#include "runtime/src/sched/stack_pool.h"
#include "runtime/src/sched/system_monitor.h"
#include "weft/error.h"
#include "weft/go.h"

namespace weft::rt {

#ifdef WEFT_TSAN
inline constexpr std::size_t kToolThreads = 1;
#else
inline constexpr std::size_t kToolThreads = 0;
#endif

class Scheduler {
 public:
  Scheduler(const RuntimeOptions& options, std::unique_ptr<Backend> backend);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Makes the processors. An error names what the kernel refused.
  Error prepare();
  // Starts a machine for each processor, each in a thread of its own, with `monitor` beside them, which lives as long
  // as the scheduler. `around_thread` is every machine's outermost call: it prepares the thread, calls body(arg), and
  // undoes what it did. An error names what the kernel refused; then no thread is left.
  using AroundThread = void (*)(void (*body)(void* arg) noexcept, void* arg) noexcept;
  Error start(SystemMonitor& monitor, AroundThread around_thread);
  // Runs `main` on the machines. Returns when main has returned and the machines have stopped. The result is true when
  // all of them stopped within the grace time: then the scheduler may be destroyed.
  bool run(G* main);
  // Makes every machine return from run() at its next scheduling point. Any thread may call it.
  void stop() noexcept;
  bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

  // --- the global queue; any thread ---
  void push_global(G* g) noexcept { push_global(std::span(&g, 1)); }
  void push_global(std::span<G* const> goroutines) noexcept;
  // For the owner of `p`. Takes a fair share, at most kGlobalGrab. Returns the first, and puts the others into the
  // processor's queue.
  G* take_global(Processor& p) noexcept;
  bool global_empty() const noexcept { return global_.empty(); }

  // --- processors and machines; any thread ---
  int procs() const noexcept { return procs_.load(std::memory_order_relaxed); }
  // Puts `n` processors into service, from the first on; the rest retires. An error names what the kernel refused; then
  // fewer are in service. A number that somebody chose stays until follow_default_procs(): a number that is only
  // granted comes too late then, and is ignored.
  enum class ProcsBy { choice, grant };
  Error set_procs(int n, ProcsBy by);
  // Returns all processors, the retired ones, too.
  std::span<const std::unique_ptr<Processor>> processors() const noexcept {
    return {processors_.data(), made_.load(std::memory_order_acquire)};
  }
  // Tells whether there is or was more than one processor.
  bool has_several() const noexcept { return made_.load(std::memory_order_acquire) > 1; }
  // Finds a machine for a processor that has none: one that waits, or a new one. New threads inherit masks, priorities
  // and namespaces from the thread that makes them, so only clean threads make any: those of machines that no goroutine
  // is or was locked to, and sysmon, which does it for the others.
  void hand_off(Processor& processor) noexcept;
  void add_waiting(Machine& machine) noexcept;
  // Takes the machine out of those that wait. Returns false when it does not wait any more.
  bool take_waiting(Machine& machine) noexcept;
  // Has the machines that wait give back what their threads keep of the heap.
  void release_waiting_heaps() noexcept;
  struct MachineCount {
    std::size_t all = 0, waiting = 0;
  };
  MachineCount count_machines() noexcept;
  // Counts the threads of this process that are the runtime's own (sysmon and the reporter among them), the thread that
  // waits in run(), and TSan's.
  std::size_t threads() noexcept { return count_machines().all + 2 + (options_.crash_reports ? 1 : 0) + kToolThreads; }
  template <typename Visit>
  void for_each_machine(Visit visit) {
    const std::lock_guard lock(machines_mutex_);
    for (const auto& machine : machines_) {
      if (!machine->ended_.load(std::memory_order_relaxed)) visit(*machine);
    }
  }
  // Starts what hand_off() left to sysmon, which calls this.
  void start_postponed() noexcept;
  bool has_postponed() const noexcept { return has_postponed_.load(std::memory_order_seq_cst); }
  int idle_processors() const noexcept { return sleepers_.idle(); }

  // Tells whether nobody has chosen the number of processors, so that it may follow the machine's.
  bool follows_default_procs() const noexcept { return follows_default_procs_.load(std::memory_order_relaxed); }
  void follow_default_procs() noexcept;
  SystemMonitor& monitor() noexcept { return *monitor_; }

  // --- waking and searching ---
  void wake_if_needed() noexcept;
  // Does the same when the caller's last access to the queue was an atomic read-modify-write.
  void wake_if_needed_after_rmw() noexcept;
  // Whether somebody sleeps, and all who sleep wake by themselves from `from` to `to`.
  bool sleepers_wake_after_rmw(Nanos from, Nanos to) const noexcept;
  bool any_work() noexcept;

  // --- goroutines ---
  G* take_dead(Processor* processor);
  void give_dead(Processor* processor, G* g) noexcept;
  // Gives back what is kept for goroutines to come: by this processor, whose holder calls, and by the global queue.
  void release_memory(Processor& p) noexcept;
  std::uint64_t next_id(Processor* processor) noexcept;
  void count_spawn(Processor* processor) noexcept;

  // --- what dumps read ---
  struct Totals {
    std::uint64_t spawned = 0, exited = 0, parks = 0, steals = 0, polls = 0, rounds = 0;
    std::size_t timers = 0;
    int idle = 0, spinning = 0;
    std::size_t global_queue = 0;
  };
  Totals totals() noexcept;
  Backend& backend() noexcept { return *backend_; }
  StackPool& stacks() noexcept { return stacks_; }
  const RuntimeOptions& options() const noexcept { return options_; }
  Nanos start_time() const noexcept { return start_time_; }

 private:
  friend class Machine;

  Error make_processors(int n);
  bool give_to_waiting_locked(Processor& processor) noexcept;
  [[nodiscard]] int start_machine_locked(Processor& processor) noexcept;
  bool await_stop() noexcept;
  bool finish() noexcept;
  void run_machine(Machine& machine) noexcept;
  bool any_machine_in_runtime_mode() noexcept;
  void abandon_goroutines() noexcept;

  const RuntimeOptions options_;
  const Nanos start_time_ = now();
  const std::unique_ptr<Backend> backend_;
  StackPool& stacks_;

  std::mutex procs_mutex_;  // one set_procs() at a time
  std::atomic<int> procs_{0};
  std::atomic<bool> follows_default_procs_{false};  // written under procs_mutex_
  // There is room for all processors that there can be, so that readers need no lock. Those below made_ are there for
  // good.
  std::vector<std::unique_ptr<Processor>> processors_;
  std::atomic<std::size_t> made_{0};

  std::mutex machines_mutex_;  // guards these
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<Machine*> waiting_;
  std::vector<Machine*> ended_;
  std::vector<Thread> ended_threads_;
  std::vector<Processor*> postponed_;
  std::atomic<bool> has_postponed_{false};

  alignas(64) SharedQueue<G> global_;

  alignas(64) Sleepers<> sleepers_;

  alignas(64) std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> next_id_{1};
  std::atomic<std::uint64_t> spawned_elsewhere_{0};  // by plain threads
  std::mutex stopped_mutex_;
  std::condition_variable stopped_;
  int running_machines_ = 0;  // guarded by stopped_mutex_

  // Set by run() before anybody else sees the scheduler.
  SystemMonitor* monitor_ = nullptr;
  AroundThread around_thread_ = nullptr;
};

}  // namespace weft::rt
