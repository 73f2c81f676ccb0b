#include "runtime/src/control/deadlock.h"

#include <dirent.h>

#include <cstddef>

#include "runtime/src/base/fatal.h"
#include "runtime/src/sched/scheduler.h"
#include "runtime/src/time/bubble.h"

namespace weft::rt {
namespace {

// Returns the number of threads of this process; 0 when /proc does not say.
std::size_t process_threads() noexcept {
  DIR* const tasks = ::opendir("/proc/self/task");
  if (tasks == nullptr) return 0;
  std::size_t n = 0;
  while (const dirent* const entry = ::readdir(tasks)) {
    if (entry->d_name[0] != '.') ++n;
  }
  ::closedir(tasks);
  return n;
}

bool may_be_woken(const G& g) noexcept {
  const std::uint64_t word = g.state.load(std::memory_order_acquire);
  switch (G::status_of(word)) {
    case Status::dead:
      return false;
    case Status::runnable:
    case Status::running:
      return true;
    case Status::waiting:
      break;
  }
  const WaitReason reason = g.reason.load(std::memory_order_relaxed);
  if (reason == WaitReason::sleep) return g.bubble.load(std::memory_order_relaxed) == nullptr;
  return reason == WaitReason::io_wait;
}

}  // namespace

void report_deadlock_if_any(Scheduler& scheduler) noexcept {
  if (!scheduler.options().deadlock_detection || scheduler.stopping()) return;
  // Goroutines are looked at one after the other: what the first of them did meanwhile shows in the totals.
  const Scheduler::Totals before = scheduler.totals();
  if (before.timers != 0 || before.global_queue != 0) return;
  bool live = false;
  bool hope = false;
  for_each_goroutine_slot([&](const G& g) {
    hope = hope || may_be_woken(g);
    live = live || g.status() == Status::waiting;
  });
  // A departure means that a bubble's clock is about to move. It is looked at after the states: time/bubble.h says why.
  if (hope || Bubble::any_departing()) return;
  const Scheduler::Totals after = scheduler.totals();
  if (after.rounds != before.rounds || after.parks != before.parks || after.timers != 0 ||
      after.spawned != before.spawned || scheduler.idle_processors() < scheduler.procs())
    return;
  if (process_threads() != scheduler.threads()) return;
  if (!live) fatal_all("no goroutines (main called exit_goroutine) - deadlock!");
  fatal_all("all goroutines are asleep - deadlock!");
}

}  // namespace weft::rt
