#include "sched/machine.h"

#include <algorithm>

#include "debug/thread_signals.h"
#include "sched/fatal.h"
#include "sched/scheduler.h"

namespace weft::rt {
namespace {

thread_local Machine* this_threads_machine [[gnu::tls_model("initial-exec")]] = nullptr;

// A processor that always finds work looks at its poller this often all the same.
constexpr Nanos kPollAtLeastEvery = 1'000'000;

// Rounds between two looks at the clock while goroutines keep coming: what is due is at most this many turns late.
constexpr std::uint32_t kClockTick = 8;

// Rounds in a row that may come from runnext while others wait in the queue: two goroutines that wake each other share a turn.
constexpr std::uint32_t kRunnextStreak = 64;

}  // namespace

Machine* current_machine() noexcept {
  asm volatile("");  // keeps calls apart: the result is not the same before and after a park
  return this_threads_machine;
}

void set_current_machine(Machine* machine) noexcept { this_threads_machine = machine; }

// --- on the scheduler stack ------------------------------------------------------------------------------------------

void Machine::run() noexcept {
  const ThreadSignals signals;
  set_current_machine(this);
  adopt_thread(fiber_);
  exception_globals_ = thread_exception_globals();
  refresh_clock();
  while (G* const g = find_runnable()) {
    if (spinning_) stop_spinning();
    execute(g);
  }
  if (spinning_) stop_spinning();
  set_current_machine(nullptr);
}

void Machine::execute(G* g) noexcept {
  current_ = g;
  g->set_status(Status::running);
  bool again = true;
  while (again) {
    switch_fiber(fiber_, g->fiber, exception_globals_);
    again = false;
    switch (departure_) {
      case Departure::park:
        again = !finish_park(g);
        break;
      case Departure::yield_local:
        current_ = nullptr;
        g->set_status(Status::runnable);
        enqueue_last(g);
        break;
      case Departure::yield_global:
        current_ = nullptr;
        g->set_status(Status::runnable);
        scheduler_.push_global(g);
        break;
      case Departure::exit:
        current_ = nullptr;
        finish_exit(g);
        break;
    }
  }
}

// False when commit refused. After commit returned true the goroutine may run elsewhere already: nothing of it is touched.
bool Machine::finish_park(G* g) noexcept {
  g->since.store(processor_->clock.load(std::memory_order_relaxed), std::memory_order_relaxed);
  const std::uint64_t epoch = g->epoch() + 1;
  g->state.store(G::pack(epoch, Status::waiting), std::memory_order_release);
  current_ = nullptr;
  if (commit_(commit_arg_)) {
    processor_->parks.add();
    return true;
  }
  WEFT_CHECK(g->state.load(std::memory_order_relaxed) == G::pack(epoch, Status::waiting),
             "commit refused a goroutine that was readied");
  g->state.store(G::pack(epoch, Status::running), std::memory_order_release);
  current_ = g;
  return false;
}

void Machine::finish_exit(G* g) noexcept {
  destroy_fiber(g->fiber);
  g->set_status(Status::dead);
  processor_->exited.add();
  scheduler_.give_dead(processor_, g);
}

// --- on the goroutine's stack ----------------------------------------------------------------------------------------

void Machine::park(CommitFn commit, void* arg, WaitReason reason) noexcept {
  G* const g = current_;
  WEFT_CHECK(g != nullptr, "park outside a goroutine");
  g->reason.store(reason, std::memory_order_relaxed);
  departure_ = Departure::park;
  commit_ = commit;
  commit_arg_ = arg;
  switch_fiber(g->fiber, fiber_, exception_globals_);
  // `this` is the machine that the goroutine left, perhaps not the one that runs it now.
}

void Machine::yield(YieldTo where) noexcept {
  G* const g = current_;
  departure_ = where == YieldTo::local_queue ? Departure::yield_local : Departure::yield_global;
  switch_fiber(g->fiber, fiber_, exception_globals_);
}

void Machine::exit_goroutine() noexcept {
  departure_ = Departure::exit;
  leave_fiber(current_->fiber, fiber_, exception_globals_);
  __builtin_unreachable();
}

// --- queues ----------------------------------------------------------------------------------------------------------

void Machine::enqueue(G* g) noexcept {
  if (batch_ != nullptr) {
    batch_->push_back(g);
    return;
  }
  Processor& p = *processor_;
  if (kPerturb && p.random.below(4) == 0) {
    enqueue_last(g);
  } else if (G* const kicked = p.runnext.exchange(g, std::memory_order_acq_rel); kicked != nullptr) {
    enqueue_last(kicked);
  }
  scheduler_.wake_if_needed();
}

void Machine::enqueue_last(G* g) noexcept {
  Processor& p = *processor_;
  while (!p.queue.push(g)) {
    GList half;
    if (!p.queue.take_half([&](G* older) { half.push_back(older); })) continue;
    half.push_back(g);
    scheduler_.push_global(half);
    return;
  }
}

G* Machine::next_local() noexcept {
  Processor& p = *processor_;
  if (p.runnext.load(std::memory_order_relaxed) != nullptr) {
    // Only thieves race for it, and only the owner fills it.
    if (G* const g = p.runnext.exchange(nullptr, std::memory_order_acquire); g != nullptr) {
      if (++p.runnext_streak < kRunnextStreak) return g;
      p.runnext_streak = 0;
      enqueue_last(g);
    }
  } else {
    p.runnext_streak = 0;
  }
  return p.queue.pop();
}

bool Machine::flush_batch(GList& batch) noexcept {
  if (batch.empty()) return false;
  const bool surplus = batch.size() > 1;
  while (G* const g = batch.pop_front()) enqueue_last(g);
  if (surplus) scheduler_.wake_if_needed();
  return true;
}

// --- finding work ----------------------------------------------------------------------------------------------------

void Machine::refresh_clock() noexcept { processor_->clock.store(now(), std::memory_order_relaxed); }

G* Machine::find_runnable() noexcept {
  Processor& p = *processor_;
  for (;;) {
    if (scheduler_.stopping()) return nullptr;
    ++p.tick;
    p.rounds.add();
    if (p.tick % kClockTick == 0) periodic_check();
    if (p.tick % kGlobalQueueTick == 0) {
      if (G* const g = scheduler_.take_global(*this, 1)) return g;
    }
    if (G* const g = next_local()) return g;
    if (G* const g = scheduler_.take_global(*this, kGlobalGrab)) return g;
    if (poll(0)) continue;
    if (start_spinning()) {
      if (G* const g = steal()) return g;
    }
    idle();
  }
}

// What must not starve while there is always a goroutine to run: the poller and the timers.
void Machine::periodic_check() noexcept {
  Processor& p = *processor_;
  refresh_clock();
  const Nanos t = p.clock.load(std::memory_order_relaxed);
  if (t - p.last_poll > kPollAtLeastEvery) {
    poll(0);
  } else if (p.timers.next() <= t) {
    fire_timers(p);
  }
}

bool Machine::poll(Nanos timeout) noexcept {
  Processor& p = *processor_;
  GList batch;
  batch_ = &batch;
  p.poller->poll(timeout);
  p.polls.add();
  refresh_clock();
  const Nanos t = p.clock.load(std::memory_order_relaxed);
  p.last_poll = t;
  p.timers.fire_due(t);
  batch_ = nullptr;
  return flush_batch(batch);
}

bool Machine::fire_timers(Processor& owner) noexcept {
  GList batch;
  batch_ = &batch;
  owner.timers.fire_due(processor_->clock.load(std::memory_order_relaxed));
  batch_ = nullptr;
  return flush_batch(batch);
}

bool Machine::start_spinning() noexcept {
  if (scheduler_.procs() == 1) return false;
  if (spinning_) return true;
  // Searchers cost CPU; half of the busy processors is enough of them.
  const int busy = scheduler_.procs() - scheduler_.idle_.count();
  if (2 * scheduler_.spinning_.load(std::memory_order_relaxed) >= busy) return false;
  spinning_ = true;
  scheduler_.spinning_.fetch_add(1, std::memory_order_seq_cst);
  return true;
}

// Having found work: the last searcher to stop wakes another, for there may be more where this came from.
void Machine::stop_spinning() noexcept {
  spinning_ = false;
  if (scheduler_.spinning_.fetch_sub(1, std::memory_order_seq_cst) == 1) scheduler_.wake_if_needed();
}

G* Machine::steal() noexcept {
  auto& processors = scheduler_.processors();
  const auto n = static_cast<std::uint32_t>(processors.size());
  for (int round = 0; round < kStealRounds; ++round) {
    const bool last_round = round == kStealRounds - 1;
    const std::uint32_t start = processor_->random.below(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      Processor& victim = *processors[(start + i) % n];
      if (&victim == processor_) continue;
      if (scheduler_.stopping()) return nullptr;
      if (G* const g = steal_from(victim, last_round)) {
        processor_->steals.add();
        return g;
      }
    }
  }
  return nullptr;
}

G* Machine::steal_from(Processor& victim, bool last_round) noexcept {
  Processor& p = *processor_;
  if (last_round && victim.timers.next() <= p.clock.load(std::memory_order_relaxed) && fire_timers(victim)) {
    if (G* const g = next_local()) return g;
  }
  if (G* const g = p.queue.steal_from(victim.queue)) return g;
  if (!last_round) return nullptr;
  G* next = victim.runnext.load(std::memory_order_acquire);
  if (next == nullptr) return nullptr;
  for (const Nanos end = now() + kRunnextGraceNanoseconds; now() < end;) relax_cpu();
  if (victim.runnext.load(std::memory_order_acquire) != next) return nullptr;
  return victim.runnext.compare_exchange_strong(next, nullptr, std::memory_order_acq_rel, std::memory_order_relaxed)
             ? next
             : nullptr;
}

// The sleeper's half of the protocol at the top of scheduler.h.
void Machine::idle() noexcept {
  Processor& p = *processor_;
  if (spinning_) {
    spinning_ = false;
    scheduler_.spinning_.fetch_sub(1, std::memory_order_seq_cst);
  }
  scheduler_.idle_.add(p.id);
  // Between the bit and the look at the queues; mirrors the fence in wake_if_needed().
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (scheduler_.any_work() || scheduler_.stopping()) {
    if (scheduler_.idle_.remove(p.id)) scheduler_.spinning_.fetch_add(1, std::memory_order_seq_cst);
    spinning_ = true;  // counted by us just now, or by the waker that claimed us
    return;
  }
  const Nanos next = p.timers.next();
  poll(next == kNever ? kNever : std::max<Nanos>(0, next - now()));
  if (!scheduler_.idle_.remove(p.id)) spinning_ = true;
}

}  // namespace weft::rt
