// Sysmon: a thread without a processor that looks after the others. It
//   - takes the processor from a goroutine that computes for too long, or is in a blocking call, and finds it another
//     machine;
//   - ends the time slice that goroutines which wake each other share;
//   - wakes a processor for timers that are overdue on a busy one;
//   - follows the default number of processors when it changes;
//   - gives the memory of stacks back that nobody uses any more;
//   - finds deadlocks;
//   - prints scheduler traces.
//
// Deep sleep and activity. With every processor asleep there is nothing to look after, and sysmon sleeps without a
// tick.
//   sysmon:                                     machine that leaves its idle sleep (note_activity()):
//     1. sleep_ = deep (seq_cst)                  1. leaves the idle set (seq_cst), or is not dormant any more
//     2. all processors in the idle set?          2. read sleep_ (seq_cst); deep: wake()
//        no: back
//     3. sleep while sleep_ is deep
// Each writes before it reads what the other wrote; acquire and release would let both reads pass both writes.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "runtime/src/base/clock.h"
#include "runtime/src/control/deadlock.h"
#include "runtime/src/control/hogs.h"
#include "runtime/src/control/trace.h"
#include "runtime/src/sched/system_monitor.h"

namespace weft::rt {

struct Processor;
class Machine;
class Scheduler;

class Sysmon final : public SystemMonitor {
 public:
  explicit Sysmon(Scheduler& scheduler) noexcept;
  Sysmon(const Sysmon&) = delete;
  Sysmon& operator=(const Sysmon&) = delete;

  // --- for the scheduler: sched/system_monitor.h ---
  void start() override;
  void stop() noexcept override;
  bool on_its_thread() const noexcept override {
    return id_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  void wake() noexcept override;
  void release_heap() noexcept override { heap_release_.store(true, std::memory_order_relaxed); }
  void note_activity() noexcept override {
    // seq_cst: this load comes after the machine took itself out of the idle set.
    if (sleep_.load(std::memory_order_seq_cst) == kDeep) [[unlikely]] {
      wake();
    }
  }

 private:
  enum : std::uint32_t { kAwake, kNap, kDeep };

  // What sysmon saw of a processor, and since when that has not changed.
  struct Watch {
    std::uint64_t rounds = 0, slices = 0;
    Nanos rounds_since = 0, slices_since = 0;
    bool warned = false;  // in this round the goroutine was asked to yield
  };

  void run() noexcept;
  bool look(Nanos t) noexcept;
  bool look_at(Processor& processor, Watch& watch, Nanos t) noexcept;
  bool retake(Processor& processor, Machine& machine, Watch& watch, Nanos t) noexcept;
  bool all_idle() noexcept;
  void follow_default_procs(Nanos t) noexcept;
  void trim_stacks(Nanos t) noexcept;
  Nanos stacks_due_in(Nanos t) noexcept;
  void sleep_deeply() noexcept;
  void nap(Nanos duration) noexcept;
  void release_heap_if_asked() noexcept;

  Scheduler& scheduler_;
  std::thread thread_;
  std::atomic<std::thread::id> id_{};
  std::atomic<std::uint32_t> sleep_{kAwake};
  std::atomic<bool> stopping_{false};
  std::vector<Watch> watches_;
  Nanos next_procs_look_ = 0;
  Nanos next_aging_ = 0;  // of stacks
  bool trimming_ = false;
  std::atomic<bool> heap_release_{false};  // somebody has asked for it
  Nanos next_heap_release_ = 0;
  SchedulerTrace trace_;
};

}  // namespace weft::rt
