// What dumps and dashboards see: goroutines(), goroutine_count(), runtime_stats().
#include <algorithm>
#include <chrono>

#include "runtime/src/control/hogs.h"
#include "runtime/src/io/descriptor.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/scheduler.h"
#include "weft/go.h"
#include "weft/stats.h"

namespace weft {
std::vector<GoroutineInfo> goroutines() {
  std::vector<GoroutineInfo> all;
  const rt::SchedulerUse scheduler;
  if (!scheduler) return all;
  const rt::Nanos now = rt::now();
  rt::for_each_goroutine_slot([&](const rt::G& g) {
    const rt::Status status = g.status();
    if (status == rt::Status::dead) return;
    GoroutineInfo info;
    info.id = g.id.load(std::memory_order_acquire);
    info.parent_id = g.parent_id.load(std::memory_order_acquire);
    info.creator = g.creator();
    info.labels = g.labels.read();
    info.state = rt::goroutine_state(status, g.mode.load(std::memory_order_relaxed));
    info.locked_to_thread = g.locked.load(std::memory_order_relaxed) != nullptr;
    if (status == rt::Status::waiting) {
      info.wait_reason = rt::wait_reason_text(g.reason.load(std::memory_order_relaxed));
      info.waiting_for =
          std::chrono::nanoseconds(std::max<rt::Nanos>(0, now - g.since.load(std::memory_order_relaxed)));
    }
    // Another goroutine took the slot meanwhile: the one we saw is gone, and the new one is younger than this snapshot.
    if (info.id == 0 || g.id.load(std::memory_order_relaxed) != info.id) return;
    all.push_back(std::move(info));
  });
  std::ranges::sort(all, {}, &GoroutineInfo::id);
  return all;
}

std::size_t goroutine_count() noexcept {
  const rt::SchedulerUse scheduler;
  if (!scheduler) return 0;
  const rt::Scheduler::Totals totals = scheduler->totals();
  return static_cast<std::size_t>(totals.spawned - totals.exited);
}

RuntimeStats runtime_stats() {
  RuntimeStats stats;
  const rt::SchedulerUse scheduler;
  if (!scheduler) return stats;
  const rt::Scheduler::Totals totals = scheduler->totals();
  stats.goroutines = static_cast<std::size_t>(totals.spawned - totals.exited);
  stats.procs = scheduler->procs();
  stats.idle_procs = totals.idle;
  const rt::Scheduler::MachineCount machines = scheduler->count_machines();
  stats.machines = static_cast<int>(machines.all);
  stats.idle_machines = static_cast<int>(machines.waiting);
  stats.hogs = rt::hogs_seen();
  stats.poller = scheduler->backend().name();
  stats.poller_reason = scheduler->backend().reason();
  stats.spawned = totals.spawned;
  stats.parks = totals.parks;
  stats.steals = totals.steals;
  stats.polls = totals.polls;
  stats.rounds = totals.rounds;
  stats.timers = totals.timers;
  stats.descriptors = rt::live_descriptors();
  stats.stacks = scheduler->stacks().size();
  return stats;
}

}  // namespace weft
