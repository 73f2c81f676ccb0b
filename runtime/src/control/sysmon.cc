#include "runtime/src/control/sysmon.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "runtime/src/base/futex.h"
#include "runtime/src/base/heap.h"
#include "runtime/src/control/procs.h"
#include "runtime/src/crash/crash.h"
#include "runtime/src/sched/constants.h"
#include "runtime/src/sched/scheduler.h"

namespace weft::rt {

Sysmon::Sysmon(Scheduler& scheduler) noexcept : scheduler_(scheduler), trace_(scheduler) {}

void Sysmon::start() {
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "weft-sysmon");
    id_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    run();
  });
}

void Sysmon::stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  wake();
  thread_.join();
}

void Sysmon::wake() noexcept {
  if (sleep_.exchange(kAwake, std::memory_order_seq_cst) != kAwake) futex_wake(&sleep_, 1);
}

void Sysmon::run() noexcept {
  Nanos delay = kSysmonLongest;
  int looks_in_vain = 0;
  int looks_at_idleness = 0;
  while (!stopping_.load(std::memory_order_acquire)) {
    looks_at_idleness = all_idle() ? looks_at_idleness + 1 : 0;
    if (looks_at_idleness > kSysmonIdleLooks) {
      sleep_deeply();
      looks_at_idleness = 0;
      delay = kSysmonLongest;
    } else {
      nap(delay);
    }
    looks_in_vain = look(now()) ? 0 : looks_in_vain + 1;
    if (looks_in_vain == 0) {
      delay = kSysmonShortest;
    } else if (looks_in_vain > kSysmonPatience) {
      delay = std::min(2 * delay, kSysmonLongest);
    }
  }
}

// wake() and both sleeps: what is to be seen (stopping_, postponed work) is stored before wake() swaps sleep_, and
// looked at after sleep_ was set here.
void Sysmon::nap(Nanos duration) noexcept {
  sleep_.store(kNap, std::memory_order_seq_cst);
  if (!stopping_.load(std::memory_order_seq_cst) && !scheduler_.has_postponed())
    futex_wait_for(&sleep_, kNap, std::chrono::nanoseconds(duration));
  sleep_.store(kAwake, std::memory_order_relaxed);
}

// A goroutine may still run on a retired processor, and somebody must look after that processor's timers and poller.
bool Sysmon::all_idle() noexcept {
  return scheduler_.idle_processors() >= scheduler_.procs() &&
         std::ranges::all_of(scheduler_.processors(), [](const auto& p) {
           return !p->retired.load(std::memory_order_relaxed) || p->dormant.load(std::memory_order_seq_cst);
         });
}

// With a large heap it takes its time, so it may take one percent of all time. Who allocates meanwhile may have to
// wait. A request that is missed, or comes too early, is seen before the next deep sleep, in a minute at the latest.
void Sysmon::release_heap_if_asked() noexcept {
  const Nanos start = now();
  if (start < next_heap_release_ || !heap_release_.exchange(false, std::memory_order_relaxed)) return;
  scheduler_.release_waiting_heaps();
  release_process_heap();
  const Nanos end = now();
  next_heap_release_ = end + 100 * (end - start);
}

void Sysmon::sleep_deeply() noexcept {
  release_heap_if_asked();
  const std::uint64_t rounds = scheduler_.totals().rounds;
  report_deadlock_if_any(scheduler_);
  const Nanos t = now();
  const Nanos limit = std::min<Nanos>({kSysmonDeepSleep, trace_.due_in(t), stacks_due_in(t)});
  sleep_.store(kDeep, std::memory_order_seq_cst);
  // What ran while a deadlock was looked for may have been the last that could run, and it did not find sysmon in deep
  // sleep. So look again.
  const bool quiet = all_idle() && scheduler_.totals().rounds == rounds;
  if (quiet && !stopping_.load(std::memory_order_seq_cst) && !scheduler_.has_postponed())
    futex_wait_for(&sleep_, kDeep, std::chrono::nanoseconds(limit));
  sleep_.store(kAwake, std::memory_order_relaxed);
}

bool Sysmon::look(Nanos t) noexcept {
  scheduler_.start_postponed();
  const auto processors = scheduler_.processors();
  watches_.resize(processors.size());
  bool did_something = false;
  for (std::size_t i = 0; i < processors.size(); ++i) did_something |= look_at(*processors[i], watches_[i], t);
  follow_default_procs(t);
  trim_stacks(t);
  trace_.print_if_due(t);
  return did_something;
}

bool Sysmon::look_at(Processor& p, Watch& watch, Nanos t) noexcept {
  if (const std::uint64_t slices = p.slices.get(); slices != watch.slices) {
    watch.slices = slices;
    watch.slices_since = t;
  }
  if (const std::uint64_t rounds = p.rounds.get(); rounds != watch.rounds) {
    watch.rounds = rounds;
    watch.rounds_since = t;
    watch.warned = false;
    if (t - watch.slices_since >= kTimeSlice) p.slice_over.store(true, std::memory_order_relaxed);
  }
  Machine* const machine = p.machine.load(std::memory_order_acquire);
  if (machine == nullptr) return false;
  if (p.timers.next() < t - kTimerLate && !p.will_see_timers(t)) scheduler_.wake_if_needed();
  return retake(p, *machine, watch, t);
}

// A blocking call keeps its processor while nobody else wants it, but no longer than a time slice. A goroutine that
// computes keeps it for a time slice, and is asked to yield before.
bool Sysmon::retake(Processor& p, Machine& machine, Watch& watch, Nanos t) noexcept {
  const Mode mode = machine.lease().observed_mode();
  if (mode == Mode::runtime || report_under_way()) return false;
  const Nanos since = t - watch.rounds_since;
  if (mode == Mode::user && (since < kTimeSlice || !watch.warned)) {
    if (since >= kSliceWarning) {
      p.slice_over.store(true, std::memory_order_relaxed);
      watch.warned = true;
    }
    return false;
  }
  if (mode == Mode::blocking && since < kTimeSlice) {
    if (since < kSysmonShortest) return false;
    const bool others_wait = !p.queue.empty() || p.runnext.load(std::memory_order_relaxed) != nullptr ||
                             !scheduler_.global_empty() || p.timers.next() <= t;
    if (!others_wait && scheduler_.idle_processors() > 0) return false;
  }
  const G* const g = machine.observed_current();
  HogInfo hog = observe_hog(mode == Mode::user ? g : nullptr);
  // The mode was read first (acquire), so this is not the round before: a round that has begun since is not taken for
  // one that goes on, except in the next few nanoseconds.
  if (p.rounds.get() != watch.rounds) return false;
  if (!machine.lease().take(&p, mode)) return false;
  p.machine.store(nullptr, std::memory_order_relaxed);
  scheduler_.hand_off(p);
  if (mode == Mode::user && g != nullptr) {
    hog.processor = p.id;
    note_hog(std::move(hog), machine, g, since);
  }
  return true;
}

void Sysmon::follow_default_procs(Nanos t) noexcept {
  if (t < next_procs_look_ || !scheduler_.follows_default_procs()) return;
  next_procs_look_ = t + kProcsEvery;
  const int n = granted_procs();
  // What the kernel refuses now it may allow at the next look.
  if (n != scheduler_.procs()) static_cast<void>(scheduler_.set_procs(n, Scheduler::ProcsBy::grant));
}

void Sysmon::trim_stacks(Nanos t) noexcept {
  const bool age = t >= next_aging_;
  if (age) next_aging_ = t + kStackAge;
  trimming_ = false;
  for_each_stack_pool([&](StackPool& pool) {
    if (age) pool.age();
    trimming_ |= pool.trim();
  });
}

// Returns when there is something to do about stacks, at the latest.
Nanos Sysmon::stacks_due_in(Nanos t) noexcept {
  if (trimming_) return 0;
  bool idle = false;
  for_each_stack_pool([&](const StackPool& pool) { idle |= pool.has_idle(); });
  return idle ? std::max<Nanos>(next_aging_ - t, 0) : kNever;
}

}  // namespace weft::rt
