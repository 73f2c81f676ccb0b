// Scheduler: what the processors share: the global queue, the set of idle ones, the count of those that search, start and stop.
//
// Submit against sleep. Work must never lie in a queue while an idle processor sleeps and nobody searches.
//   Submitter (wake_if_needed):                      Sleeper (Machine::idle):
//     1. publish the goroutine in a queue              1. stop searching: spinning_ - 1
//     2. fence (seq_cst)                               2. set its bit in idle_ (seq_cst)
//     3. read spinning_ and idle_count_;               3. fence (seq_cst)
//        nobody searches and somebody is idle:         4. read every queue; found work: take the bit back, search on
//        spinning_ 0 -> 1, claim an idle bit,          5. sleep in the poller
//        interrupt that processor's poller
// Each side writes, fences, then reads what the other wrote: at least one of them sees the other. Acquire and release would let both
// reads pass both writes. A searcher that finds work wakes the next one, so one wake-up per burst is enough to get everybody up.
// Whoever claims the bit of a sleeper also counts it into spinning_: the claimed machine wakes as a searcher. interrupt() is sticky:
// a poller that is not yet asleep returns from its next sleep at once.
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
#include "stack/stack.h"
#include "sync/spin_mutex.h"
#include "weft/error.h"
#include "weft/go.h"

namespace weft::rt {

// A set of processor ids, any thread.
class IdleSet {
 public:
  explicit IdleSet(std::size_t n) : words_((n + 63) / 64) {}

  void add(int id) noexcept {
    count_.fetch_add(1, std::memory_order_seq_cst);  // before the bit, so that a claimed bit never makes it negative
    words_[static_cast<std::size_t>(id) / 64].fetch_or(bit(id), std::memory_order_seq_cst);
  }
  // True when it was in the set: of several callers one gets true.
  bool remove(int id) noexcept {
    const std::uint64_t before =
        words_[static_cast<std::size_t>(id) / 64].fetch_and(~bit(id), std::memory_order_seq_cst);
    if ((before & bit(id)) == 0) return false;
    count_.fetch_sub(1, std::memory_order_seq_cst);
    return true;
  }
  // Removes any; -1 when it is empty.
  int take_any() noexcept;
  int count() const noexcept { return count_.load(std::memory_order_seq_cst); }

 private:
  static std::uint64_t bit(int id) noexcept { return std::uint64_t{1} << (static_cast<unsigned>(id) % 64); }

  std::vector<std::atomic<std::uint64_t>> words_;
  std::atomic<int> count_{0};
};

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

  alignas(64) std::atomic<int> spinning_{0};
  IdleSet idle_;

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
