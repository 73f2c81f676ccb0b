// Scheduler: what the processors share: the global queue, who sleeps and who searches (sched/sleepers.h), start and stop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "poll/backend.h"
#include "sched/atomics.h"
#include "sched/goroutine.h"
#include "sched/machine.h"
#include "sched/processor.h"
#include "sched/sleepers.h"
#include "stack/stack.h"
#include "sync/spin_mutex.h"
#include "weft/error.h"
#include "weft/go.h"

namespace weft::rt {

class Scheduler {
 public:
  Scheduler(const RuntimeOptions& options, std::unique_ptr<Backend> backend);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Makes every processor's poller. An error names what the kernel refused.
  Error prepare();
  // Runs `main` on the machines, each in a thread of its own; returns when main has returned and the machines have stopped. True when all of them did within
  // the grace time: then the scheduler may be destroyed.
  bool run(G* main);
  // Any thread: makes every machine return from run() at its next scheduling point.
  void stop() noexcept;
  bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

  // --- the global queue; any thread ---
  void push_global(G* g) noexcept;
  void push_global(GList& list) noexcept;
  // The first goes to the caller, more into its queue: at most `limit`, at most a fair share.
  G* take_global(Machine& machine, std::size_t limit) noexcept;
  bool global_empty() const noexcept { return global_size_.load(std::memory_order_acquire) == 0; }

  // --- waking and searching ---
  void wake_if_needed() noexcept;
  bool any_work() noexcept;

  // --- goroutines ---
  G* take_dead(Processor* processor);
  void give_dead(Processor* processor, G* g) noexcept;
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
  std::vector<std::unique_ptr<Processor>>& processors() noexcept { return processors_; }
  Backend& backend() noexcept { return *backend_; }
  StackPool& stacks() noexcept { return stacks_; }
  int procs() const noexcept { return procs_; }

 private:
  friend class Machine;

  void machine_stopped() noexcept;

  const int procs_;
  const std::unique_ptr<Backend> backend_;
  StackPool& stacks_;
  std::vector<std::unique_ptr<Processor>> processors_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<std::thread> threads_;

  alignas(64) SpinMutex global_mutex_;  // guards global_
  GList global_;
  std::atomic<std::size_t> global_size_{0};

  alignas(64) Sleepers<> sleepers_;

  alignas(64) std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> next_id_{1};
  std::atomic<std::uint64_t> spawned_elsewhere_{0};  // by plain threads
  std::mutex stopped_mutex_;
  std::condition_variable stopped_;
  int running_machines_ = 0;  // guarded by stopped_mutex_
};

// The running scheduler, held for as long as this lives; null when none runs. Any thread, for a moment: the end of run() waits.
class SchedulerUse {
 public:
  SchedulerUse() noexcept;
  ~SchedulerUse();
  SchedulerUse(const SchedulerUse&) = delete;
  SchedulerUse& operator=(const SchedulerUse&) = delete;

  explicit operator bool() const noexcept { return scheduler_ != nullptr; }
  Scheduler* operator->() const noexcept { return scheduler_; }
  Scheduler& operator*() const noexcept { return *scheduler_; }

 private:
  Scheduler* scheduler_;
  bool counted_ = false;
};

// --- for timers ---
// The heap for timers that the caller arms: its processor's, or the first's on a plain thread.
TimerHeap& current_timer_heap() noexcept;
// Tells a sleeping owner of `heap` that its earliest timer is earlier now.
void timer_moved_ahead(TimerHeap& heap) noexcept;

}  // namespace weft::rt
