#include "runtime/src/sched/machine.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "runtime/src/arch/float_control.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/base/fork.h"
#include "runtime/src/base/futex.h"
#include "runtime/src/base/heap.h"
#include "runtime/src/sched/bubble_hooks.h"
#include "runtime/src/sched/held_mutexes.h"
#include "runtime/src/sched/scheduler.h"
#include "runtime/src/sched/scheduling_point.h"
#include "runtime/src/sched/system_monitor.h"

namespace weft::rt {
namespace {

thread_local Machine* this_threads_machine [[gnu::tls_model("initial-exec")]] = nullptr;

// Even a processor that always finds work looks at its poller this often.
constexpr Nanos kPollAtLeastEvery = 1'000'000;

// Rounds between two looks at the clock while goroutines keep coming: what is due is at most this many turns late.
constexpr std::uint32_t kClockTick = 8;
static_assert((kClockTick & (kClockTick - 1)) == 0, "end_slice() sets the bits below it");

// Each goroutine's memory is a page of its own, which is cold when a million goroutines take turns. So it is fetched
// while the goroutines before it run.
constexpr std::uint32_t kPrefetchAhead = 1;

void prefetch(const G& g) noexcept {
  constexpr std::ptrdiff_t kLine = 64;
  constexpr std::ptrdiff_t kStackLines = 3;  // what a new goroutine's stack begins with, below G
  const char* const at = reinterpret_cast<const char*>(&g);
  for (std::ptrdiff_t line = -kStackLines; line < static_cast<std::ptrdiff_t>(sizeof(G)) / kLine + 1; ++line)
    __builtin_prefetch(at + line * kLine, 1);
}

}  // namespace

Machine* current_machine() noexcept {
  asm volatile("");  // keeps calls apart: the result is not the same before and after a park
  return this_threads_machine;
}

void set_current_machine(Machine* machine) noexcept { this_threads_machine = machine; }

int Machine::observed_processor() const noexcept {
  const Processor* const p = lease_.observed_processor();
  return p == nullptr ? -1 : p->id;
}

// --- on the scheduler stack ------------------------------------------------------------------------------------------

[[gnu::always_inline]] inline void Machine::execute(G* g) noexcept {
  Processor& p = *processor();
  p.rounds.add();
  if (!inherits_slice_) p.slices.add();
  current_.store(g, std::memory_order_release);
  g->set_status(Status::running);
  bool again = true;
  while (again) {
    lease_.leave(g->mode.load(std::memory_order_relaxed));
    switch_fiber(fiber_, g->fiber, exception_globals_);
    again = false;
    switch (departure_) {
      case Departure::park:
        again = !finish_park(g);
        break;
      case Departure::yield_local:
        current_.store(nullptr, std::memory_order_relaxed);
        g->set_status(Status::runnable);
        processor()->queue.push(g);
        break;
      case Departure::yield_global:
        current_.store(nullptr, std::memory_order_relaxed);
        g->set_status(Status::runnable);
        if (scheduler_.global_empty()) {
          // At the tail of its queue the goroutine comes after all that this processor will run before it looks at the
          // global queue, at a third of the price.
          Processor& here = *processor();
          here.queue.push(g);
          if (!here.exclusive.load(std::memory_order_relaxed)) here.owes_wake = OwedWake::now;
        } else {
          scheduler_.push_global(g);
        }
        break;
      case Departure::requeue:  // without a processor
        current_.store(nullptr, std::memory_order_relaxed);
        g->set_status(Status::runnable);
        scheduler_.push_global(g);
        break;
      case Departure::exit:
        current_.store(nullptr, std::memory_order_relaxed);
        finish_exit(g);
        break;
    }
  }
}

void Machine::run() noexcept {
  ending_ = false;  // an earlier thread may have set it
  std::array<char, 16> name;
  static_cast<void>(std::snprintf(name.data(), name.size(), "weft-m%d", id_));
  ::pthread_setname_np(::pthread_self(), name.data());
  set_current_machine(this);
  thread_id_.store(::gettid(), std::memory_order_release);
  adopt_thread(fiber_);
  exception_globals_ = thread_exception_globals();
  float_control_ = float_control();
  for (;;) {
    if (locked() && assigned_ == nullptr && processor() != nullptr) give_processor_away();
    if (processor() == nullptr && (ending_ || !wait_for_processor())) break;
    G* const g = assigned_ != nullptr ? std::exchange(assigned_, nullptr) : find_runnable();
    if (g == nullptr) {
      if (processor() == nullptr) continue;  // the processor was given home
      break;
    }
    if (spinning_) stop_spinning();
    if (processor()->owes_wake != OwedWake::none) [[unlikely]] {
      pay_wake();
    }
    if (g->locked.load(std::memory_order_relaxed) != nullptr && g != locked_.load(std::memory_order_relaxed)) {
      hand_to_locked_machine(g);
      continue;
    }
    execute(g);
  }
  if (spinning_) stop_spinning();
  thread_id_.store(0, std::memory_order_release);
  set_current_machine(nullptr);
}

// assign() writes what it assigns, then woken_, then wakes this thread. The kernel compares woken_ before the sleep, so
// the thread does not sleep on a 1 that came first.
bool Machine::wait_for_processor() noexcept {
  // A thread that has just begun has its first processor already, and must not be offered another.
  if (woken_.load(std::memory_order_acquire) == 0 && !locked()) scheduler_.add_waiting(*this);
  while (woken_.load(std::memory_order_acquire) == 0) {
    if (scheduler_.stopping()) return false;
    if (must_release_heap_.exchange(false, std::memory_order_relaxed)) release_thread_heap();
    futex_wait(&woken_, 0);
  }
  woken_.store(0, std::memory_order_relaxed);
  Processor* const p = next_processor_.exchange(nullptr, std::memory_order_acquire);
  if (p == nullptr) return false;  // stopping
  assigned_ = std::exchange(next_goroutine_, nullptr);
  // Whoever handed the goroutine over may have had it from runnext. If one slice too few is counted, the others have
  // their turn early; if one too many is, the queue loses its turn.
  inherits_slice_ = assigned_ != nullptr;
  lease_.hold(p);
  last_processor_.store(p->id, std::memory_order_relaxed);
  p->machine.store(this, std::memory_order_release);
  refresh_clock();
  return true;
}

void Machine::assign(Processor& p, G* locked_goroutine) noexcept {
  next_goroutine_ = locked_goroutine;
  next_processor_.store(&p, std::memory_order_release);
  wake();
}

void Machine::wake() noexcept {
  woken_.store(1, std::memory_order_release);
  futex_wake(&woken_, 1);
}

// A thread that is about to sleep may miss the wake-up. Then it releases its heap when it next waits for a processor,
// or when this is called again.
void Machine::release_heap() noexcept {
  must_release_heap_.store(true, std::memory_order_relaxed);
  futex_wake(&woken_, 1);
}

bool Machine::others_wait() noexcept {
  const Processor& p = *processor();
  return p.runnext.load(std::memory_order_relaxed) != nullptr || !p.queue.empty() || !scheduler_.global_empty();
}

void Machine::give_processor_away() noexcept {
  Processor& p = *lease_.give();
  p.machine.store(nullptr, std::memory_order_relaxed);
  scheduler_.hand_off(p);
}

// Another machine is reserved for this goroutine, so that machine gets the processor, too.
void Machine::hand_to_locked_machine(G* g) noexcept {
  Processor& p = *lease_.give();
  p.machine.store(nullptr, std::memory_order_relaxed);
  g->locked.load(std::memory_order_relaxed)->assign(p, g);
}

// Called before a goroutine runs. What was queued without waking anybody is work for another processor now, unless it
// is that goroutine itself.
//
// To wake a processor for the goroutines of ten timers costs more than to run them. So nobody is woken for what timers
// have readied if all who sleep wake within kTimerGap by themselves. Then each of them has work or looks for it.
void Machine::pay_wake() noexcept {
  Processor& p = *processor();
  const OwedWake owed = std::exchange(p.owes_wake, OwedWake::none);
  // The goroutine was taken from a queue, or came together with the processor; each is done by a read-modify-write.
  if (p.exclusive.load(std::memory_order_relaxed) || p.queue.empty()) return;
  if (owed == OwedWake::later && scheduler_.sleepers_wake_after_rmw(p.last_fire, p.last_fire + kTimerGap)) return;
  scheduler_.wake_if_needed_after_rmw();
}

// Returns false when commit refused. After commit has returned true, the goroutine may already run elsewhere, so
// nothing of it is touched.
bool Machine::finish_park(G* g) noexcept {
  Processor* const p = processor();
  g->since.store(p != nullptr ? p->clock.load(std::memory_order_relaxed) : now(), std::memory_order_relaxed);
  BubbleHooks* bubble = g->bubble.load(std::memory_order_relaxed);
  if (bubble != nullptr && !bubble->departing(*g)) bubble = nullptr;
  const std::uint64_t epoch = g->begin_park();
  current_.store(nullptr, std::memory_order_relaxed);
  const bool parked = commit_(commit_arg_);
  if (bubble != nullptr) [[unlikely]] {
    bubble->departed(parked);
  }
  if (parked) {
    if (p != nullptr) p->parks.add();
    return true;
  }
  g->refuse_park(epoch);
  current_.store(g, std::memory_order_release);
  return false;
}

void Machine::finish_exit(G* g) noexcept {
  if (locked()) {
    unlock_thread();
    g->locked.store(nullptr, std::memory_order_relaxed);
    ending_ = true;
  }
  destroy_fiber(g->fiber);
  g->set_status(Status::dead);
  processor()->exited.add();
  // Before the bubble is told: whoever waits for this goroutine in it counts as running then.
  if (g->after_end.call != nullptr) g->after_end.call(g->after_end.arg);
  BubbleHooks* const bubble = g->bubble.load(std::memory_order_relaxed);
  scheduler_.give_dead(processor(), g);
  if (bubble != nullptr) [[unlikely]] {
    bubble->exited();
  }
  if (ending_) give_processor_away();
}

// --- on the goroutine's stack ----------------------------------------------------------------------------------------

Machine& Machine::enter() noexcept {
  for (;;) {
    Machine* const machine = current_machine();
    if (machine == nullptr) die_in_forked_child("a runtime call");
    if (machine->lease_.enter() || machine->lease_.settle()) return *machine;
    machine->requeue();
  }
}

// True when no goroutine waits, and neither the timers nor the poller are due for a look: then a yield may return at
// once.
bool Machine::nobody_waits() noexcept {
  Processor& p = *processor();
  // The round at which the scheduler looks at the clock is left to the scheduler: else it would never look while
  // goroutines only yield.
  if ((p.tick + 1) % kClockTick == 0 || others_wait() || p.retired.load(std::memory_order_relaxed) ||
      scheduler_.stopping())
    return false;
  ++p.tick;
  // Sysmon reads these: a goroutine that yields is no hog.
  p.rounds.add();
  p.slices.add();
  return true;
}

// It is defined here, where all that it calls is inlined: else calls would be a quarter of a yield that finds nobody.
void yield_global() noexcept {
  Machine* machine = current_machine();
  if (machine == nullptr) return refuse_in_forked_child("yield()");
  if (machine->current() == nullptr) return;
  if (!machine->lease_.enter()) [[unlikely]] {
    machine = &Machine::enter();
  }
  if (machine->nobody_waits()) {
    machine->check_departure("yield");
    return machine->leave();
  }
  machine->yield(Machine::YieldTo::global_queue);
}

void scheduling_point() noexcept {
  Machine* const machine = current_machine();
  if (machine == nullptr || machine->lease().mode() != Mode::user) return;
  const Processor* const p = machine->lease().observed_processor();
  if (p != nullptr && !p->slice_over.load(std::memory_order_relaxed)) [[likely]] {
    return;
  }
  Machine& here = Machine::enter();
  if (p == nullptr) return here.leave();
  here.end_slice();
}

// Other goroutines run first, also those in the global queue, and the scheduler looks at the clock, the timers and the
// poller: after so long a round it would get to them too late.
void Machine::end_slice() noexcept {
  processor()->tick |= kClockTick - 1;
  yield(YieldTo::global_queue);
}

#ifndef NDEBUG
// A goroutine that is locked to its thread may leave the thread in any state: nobody else runs there.
void Machine::check_departure(const char* wait) noexcept {
  if (locked()) return;
  check_no_mutex_held(wait);
  if (float_control() != float_control_)
    fatal("the floating-point environment is changed across a park, and belongs to the thread: set it back before");
}
#endif

void Machine::requeue() noexcept {
  departure_ = Departure::requeue;
  switch_fiber(current()->fiber, fiber_, exception_globals_);
}

void Machine::exit_goroutine() noexcept {
  check_departure("exit");
  departure_ = Departure::exit;
  leave_fiber(current()->fiber, fiber_, exception_globals_);
  __builtin_unreachable();
}

// --- queues ----------------------------------------------------------------------------------------------------------

namespace {

// A goroutine that is in runnext has parked, or is new.
void queue_kicked(Processor& p, G* g) noexcept {
  if (g->is_branch && g->reason.load(std::memory_order_relaxed) == WaitReason::none) {
    p.queue.push_branch(g);
  } else {
    p.queue.push(g);
  }
}

}  // namespace

void Machine::enqueue(G* g) noexcept {
  if (batch_ != nullptr) {
    batch_->push_back(g);
    return;
  }
  Processor& p = *processor();
  if (kPerturb && p.random.below(4) == 0) {
    p.queue.push(g);
  } else if (p.exclusive.load(std::memory_order_relaxed)) {
    G* const kicked = p.runnext.load(std::memory_order_relaxed);
    p.runnext.store(g, std::memory_order_relaxed);
    if (kicked != nullptr) queue_kicked(p, kicked);
    return;
  } else if (G* const kicked = p.runnext.exchange(g, std::memory_order_seq_cst); kicked != nullptr) {
    queue_kicked(p, kicked);
  } else {
    scheduler_.wake_if_needed_after_rmw();
    return;
  }
  scheduler_.wake_if_needed();
}

G* Machine::next_local() noexcept {
  Processor& p = *processor();
  inherits_slice_ = false;
  const bool exclusive = p.exclusive.load(std::memory_order_relaxed);
  if (G* g = p.runnext.load(std::memory_order_relaxed); g != nullptr) {
    // Only thieves race for the slot, and only the owner fills it.
    if (exclusive) {
      p.runnext.store(nullptr, std::memory_order_relaxed);
    } else {
      // acq_rel: whoever finds the slot empty, and then looks at the queue (Scheduler::any_work()), sees what was
      // queued before.
      g = p.runnext.exchange(nullptr, std::memory_order_acq_rel);
    }
    if (g != nullptr) {
      if (++p.slice_turns < kSliceTurns && !p.slice_over.load(std::memory_order_relaxed)) [[likely]] {
        inherits_slice_ = true;
        return g;
      }
      p.queue.push(g);
    }
  }
  p.slice_turns = 0;
  if (p.slice_over.load(std::memory_order_relaxed)) p.slice_over.store(false, std::memory_order_relaxed);
  G* const g = exclusive ? p.queue.pop_exclusively() : p.queue.pop();
  if (const G* const soon = p.queue.peek(kPrefetchAhead)) prefetch(*soon);
  return g;
}

bool Machine::flush_batch(GList& batch, OwedWake owed) noexcept {
  if (batch.empty()) return false;
  Processor& p = *processor();
  while (G* const g = batch.pop_front()) p.queue.push(g);
  p.owes_wake = owed;
  return true;
}

// --- finding work ----------------------------------------------------------------------------------------------------

void Machine::refresh_clock() noexcept { processor()->clock.store(now(), std::memory_order_relaxed); }

G* Machine::find_runnable() noexcept {
  Processor& p = *processor();
  inherits_slice_ = false;
  for (;;) {
    if (scheduler_.stopping()) return nullptr;
    if (p.retired.load(std::memory_order_relaxed)) [[unlikely]] {
      if (p.retired.load(std::memory_order_acquire)) serve_retired_processor();
      continue;
    }
    if (p.exclusive.load(std::memory_order_relaxed) && scheduler_.has_several()) [[unlikely]] {
      p.exclusive.store(false, std::memory_order_release);
      scheduler_.wake_if_needed();  // from now on anybody may take what lies here
    }
    ++p.tick;
    if (p.tick % kClockTick == 0) {
      if (p.home != this && give_processor_home()) return nullptr;
      periodic_check();
    }
    if (p.tick % kGlobalQueueTick == 0) {
      if (p.tick % kBranchTick == 0) {
        if (G* const g = p.queue.pop_oldest_branch()) return g;
      }
      p.queue.line_up_branches(kGlobalGrab);
      if (G* const g = scheduler_.take_global(p)) return g;
    }
    if (G* const g = next_local()) return g;
    if (G* const g = scheduler_.take_global(p)) return g;
    if (poll(0)) continue;
    if (start_spinning()) {
      if (G* const g = steal()) return g;
    }
    if (p.home != this && give_processor_home()) return nullptr;
    idle();
  }
}

// Looks at what must not starve while there is always a goroutine to run: the poller and the timers.
void Machine::periodic_check() noexcept {
  Processor& p = *processor();
  refresh_clock();
  const Nanos t = p.clock.load(std::memory_order_relaxed);
  if (t - p.last_poll > kPollAtLeastEvery) {
    poll(0);
  } else if (p.timers.next() <= t) {
    fire_timers(p);
  }
}

bool Machine::poll(Nanos timeout) noexcept {
  Processor& p = *processor();
  GList batch;
  batch_ = &batch;
  p.poller->poll(timeout);
  p.polls.add();
  refresh_clock();
  const Nanos t = p.clock.load(std::memory_order_relaxed);
  p.last_poll = t;
  const bool nothing_to_run = batch.empty() && !others_wait();
  if (p.timers.fire_due(t) != 0) p.last_fire = t;
  batch_ = nullptr;
  return flush_batch(batch, nothing_to_run ? OwedWake::later : OwedWake::now);
}

bool Machine::fire_timers(Processor& owner) noexcept {
  GList batch;
  batch_ = &batch;
  owner.timers.fire_due(processor()->clock.load(std::memory_order_relaxed));
  batch_ = nullptr;
  return flush_batch(batch, OwedWake::now);
}

bool Machine::start_spinning() noexcept {
  if (!scheduler_.has_several()) return false;
  if (spinning_) return true;
  // Searchers cost CPU; half as many as there are busy processors are enough.
  const int busy = scheduler_.procs() - scheduler_.sleepers_.idle();
  if (2 * scheduler_.sleepers_.searching() >= busy) return false;
  set_spinning(true);
  scheduler_.sleepers_.begin_search();
  return true;
}

void Machine::set_spinning(bool spinning) noexcept {
  spinning_ = spinning;
  observed_spinning_.store(spinning, std::memory_order_relaxed);
}

// Stops searching after work was found. The last searcher to stop wakes another, because there may be more work where
// this came from.
void Machine::stop_spinning() noexcept {
  set_spinning(false);
  if (scheduler_.sleepers_.end_search()) scheduler_.wake_if_needed();
}

G* Machine::steal() noexcept {
  const auto processors = scheduler_.processors();
  const auto n = static_cast<std::uint32_t>(processors.size());
  for (int round = 0; round < kStealRounds; ++round) {
    const bool last_round = round == kStealRounds - 1;
    const std::uint32_t start = processor()->random.below(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      Processor& victim = *processors[(start + i) % n];
      if (&victim == processor()) continue;
      if (scheduler_.stopping()) return nullptr;
      if (G* const g = steal_from(victim, last_round)) {
        processor()->steals.add();
        return g;
      }
    }
  }
  return nullptr;
}

G* Machine::steal_from(Processor& victim, bool last_round) noexcept {
  if (victim.exclusive.load(std::memory_order_acquire)) return nullptr;
  Processor& p = *processor();
  const Nanos t = p.clock.load(std::memory_order_relaxed);
  if (last_round && victim.timers.next() <= t && !victim.will_see_timers(t) && fire_timers(victim)) {
    if (G* const g = next_local()) return g;
  }
  if (G* const g = p.queue.steal_from(victim.queue)) return g;
  if (!last_round) return nullptr;
  G* next = victim.runnext.load(std::memory_order_acquire);
  if (next == nullptr) return nullptr;
  const timespec grace{0, kRunnextGraceNanoseconds};
  ::nanosleep(&grace, nullptr);
  if (victim.runnext.load(std::memory_order_acquire) != next) return nullptr;
  return victim.runnext.compare_exchange_strong(next, nullptr, std::memory_order_acq_rel, std::memory_order_relaxed)
             ? next
             : nullptr;
}

// The sleeper's half of the protocol of sleepers.h.
void Machine::idle() noexcept {
  Processor& p = *processor();
  p.owes_wake = OwedWake::none;  // the queue is empty
  const bool searching = spinning_;
  set_spinning(false);
  const auto any_work = [&] {
    return scheduler_.any_work() || scheduler_.stopping() || p.retired.load(std::memory_order_acquire);
  };
  if (!scheduler_.sleepers_.begin_sleep(p.id, searching, any_work)) {
    set_spinning(true);
    return;
  }
  sleep_in_poller();
  if (scheduler_.sleepers_.end_sleep(p.id)) set_spinning(true);
  scheduler_.monitor().note_activity();
}

// Sleeps until I/O, an interrupt, or the next timer. A processor that has worked sleeps no longer than kReleaseAfter,
// and when nothing has come by then, it gives back what it keeps for work to come.
void Machine::sleep_in_poller() noexcept {
  Processor& p = *processor();
  const std::uint64_t rounds = p.rounds.get();
  const bool has_worked = rounds != p.rounds_at_release;
  const Nanos start = p.clock.load(std::memory_order_relaxed);  // of the look at the poller that found nothing
  const bool came = sleep_until(p.timers.next(), has_worked ? kReleaseAfter : kNever);
  if (!has_worked || came || scheduler_.any_work()) return;
  if (p.clock.load(std::memory_order_relaxed) - start < kReleaseAfter) return;
  p.rounds_at_release = rounds;
  scheduler_.release_memory(p);
  release_thread_heap();
  scheduler_.monitor().release_heap();
}

// `timer`: when the next one is due. A processor that has fired timers a moment ago lets several gather.
bool Machine::sleep_until(Nanos timer, Nanos limit) noexcept {
  if (timer == kNever) return poll(limit);
  Processor& p = *processor();
  const Nanos t = now();
  if (timer <= t) return poll(0);
  const Nanos gap_end = p.last_fire + kTimerGap;
  const bool gathers = timer < gap_end && p.timers.second() < gap_end;
  const Nanos timeout = std::min((gathers ? gap_end : timer) - t, limit);
  p.sleeps_until.store(t + timeout, std::memory_order_release);
  const bool came = poll(timeout);
  p.sleeps_until.store(kNever, std::memory_order_relaxed);
  return came;
}

// set_procs() took this processor out of service, so its goroutines go to the others. Its poller and its timers stay
// with it, so this machine goes on serving them.
void Machine::serve_retired_processor() noexcept {
  Processor& p = *processor();
  if (spinning_) stop_spinning();
  if (G* const g = p.runnext.exchange(nullptr, std::memory_order_acquire)) scheduler_.push_global(g);
  while (G* const g = p.queue.pop()) scheduler_.push_global(g);
  // For sysmon's deep sleep, these two stores are what joining and leaving the idle set are for a processor in service.
  // They are seq_cst for the same reason.
  p.dormant.store(true, std::memory_order_seq_cst);
  sleep_in_poller();
  p.dormant.store(false, std::memory_order_seq_cst);
  scheduler_.monitor().note_activity();
}

// While a processor's own machine was away (in a blocking call, with a goroutine that computed), another machine served
// the processor. The kernel posts the completions of io_uring requests by the thread that made them, so the processor
// goes back as soon as its own machine waits for a processor.
bool Machine::give_processor_home() noexcept {
  Processor& p = *processor();
  if (p.home->ended_.load(std::memory_order_relaxed)) p.home = this;
  if (!p.home->waits_.load(std::memory_order_relaxed) || !scheduler_.take_waiting(*p.home)) return false;
  if (spinning_) stop_spinning();
  lease_.give();
  p.machine.store(nullptr, std::memory_order_relaxed);
  p.home->assign(p, nullptr);
  return true;
}

}  // namespace weft::rt
