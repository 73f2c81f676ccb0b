#include "runtime/src/sched/scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

#include "runtime/src/base/errno.h"
#include "runtime/src/base/fatal.h"
#include "runtime/src/base/fork.h"
#include "runtime/src/base/seed.h"
#include "runtime/src/sched/constants.h"

namespace weft::rt {
namespace {

// A plain thread that uses the scheduler counts itself in scheduler_users before it reads running_scheduler. The end of
// run() stores null and then waits for the count to be zero. Each writes before it reads what the other wrote
// (seq_cst), so either the thread sees null or run() sees the thread.
std::atomic<Scheduler*> running_scheduler{nullptr};
std::atomic<int> scheduler_users{0};

// The number of machines whose threads were detached, of runtimes that have ended. Machine::number_in_process() begins
// there. It is written between runtimes; the threads of the next runtime are started after that.
std::atomic<int> abandoned_machines{0};

// How long run() waits for machines that are in the middle of a goroutine when main returns.
constexpr std::chrono::milliseconds kStopGrace{100};

}  // namespace

SchedulerUse::SchedulerUse() noexcept {
  if (Machine* const machine = current_machine()) {
    scheduler_ = &machine->scheduler();
    return;
  }
  refuse_in_forked_child("a call of the runtime");
  counted_ = true;
  scheduler_users.fetch_add(1, std::memory_order_seq_cst);
  scheduler_ = running_scheduler.load(std::memory_order_seq_cst);
}

SchedulerUse::~SchedulerUse() {
  if (counted_) scheduler_users.fetch_sub(1, std::memory_order_release);
}

// --- start and stop --------------------------------------------------------------------------------------------------

Scheduler::Scheduler(const RuntimeOptions& options, std::unique_ptr<Backend> backend)
    : options_(options),
      backend_(std::move(backend)),
      stacks_(stack_pool(options.stack_size)),
      processors_(kMaxProcs),
      sleepers_(kMaxProcs) {}

Scheduler::~Scheduler() {
  // Goroutines that main did not wait for never run again. Their slots are not used again either, because others may
  // point to them.
  for_each_goroutine_slot([](G& g) { g.set_status(Status::dead); });
  for (const auto& p : processors()) stacks_.give(p->free);
}

Error Scheduler::prepare() {
  if (Error error = make_processors(options_.procs)) return error;
  procs_.store(options_.procs, std::memory_order_relaxed);
  processors_.front()->exclusive.store(!has_several(), std::memory_order_relaxed);
  return {};
}

Error Scheduler::make_processors(int n) {
  for (int i = static_cast<int>(processors().size()); i < n; ++i) {
    Result<std::unique_ptr<Poller>> poller = backend_->make_poller();
    if (!poller) return poller.error();
    const auto index = static_cast<std::size_t>(i);
    processors_[index] = std::make_unique<Processor>(i, std::move(*poller), schedule_seed() + static_cast<unsigned>(i));
    made_.store(index + 1, std::memory_order_release);
  }
  return {};
}

Error Scheduler::start(SystemMonitor& monitor, AroundThread around_thread) {
  monitor_ = &monitor;
  around_thread_ = around_thread;
  running_scheduler.store(this, std::memory_order_seq_cst);
  try {
    // Sysmon is the first, because a machine may need it as soon as there is one.
    monitor_->start();
  } catch (const std::system_error& e) {
    running_scheduler.store(nullptr, std::memory_order_seq_cst);
    return Error(e.code(), "a thread for sysmon");
  }
  int error = 0;
  {
    const std::lock_guard lock(machines_mutex_);
    for (const auto& p : processors()) {
      error = start_machine_locked(*p);
      if (error != 0) break;
    }
  }
  if (error == 0) return {};
  // The machines have nothing to run, so all of them come to a stop.
  stop();
  finish();
  return Error(system_error(error), "a thread for each of " + std::to_string(procs()) + " processors");
}

bool Scheduler::run(G* main) {
  push_global(main);
  return finish();
}

// Waits until the scheduler stops. Then waits for its machines, and returns whether all of them have stopped.
bool Scheduler::await_stop() noexcept {
  std::unique_lock lock(stopped_mutex_);
  stopped_.wait(lock, [this] { return stopping(); });
  bool all_stopped = stopped_.wait_for(lock, kStopGrace, [this] { return running_machines_ == 0; });
  // Machines in runtime mode come to a stop, however slow they are; only goroutine code may go on for ever.
  while (!all_stopped) {
    lock.unlock();  // whoever starts a machine takes stopped_mutex_ under machines_mutex_
    const bool comes_to_a_stop = any_machine_in_runtime_mode();
    lock.lock();
    if (!comes_to_a_stop) break;
    all_stopped = stopped_.wait_for(lock, kStopGrace, [this] { return running_machines_ == 0; });
  }
  return all_stopped;
}

bool Scheduler::finish() noexcept {
  const bool all_stopped = await_stop();
  if (!all_stopped) abandon_goroutines();
  monitor_->stop();
  running_scheduler.store(nullptr, std::memory_order_seq_cst);
  while (scheduler_users.load(std::memory_order_seq_cst) != 0) relax_thread();
  std::vector<Thread> threads;
  {
    const std::lock_guard lock(machines_mutex_);
    threads.swap(ended_threads_);
    for (const auto& machine : machines_) threads.push_back(std::move(machine->thread_));
    if (!all_stopped) abandoned_machines.fetch_add(static_cast<int>(machines_.size()), std::memory_order_relaxed);
  }
  for (Thread& thread : threads) {
    if (all_stopped) {
      thread.join();
    } else {
      thread.detach();  // it may run a goroutine that does not come to a scheduling point
    }
  }
  return all_stopped;
}

bool Scheduler::any_machine_in_runtime_mode() noexcept {
  bool any = false;
  for_each_machine([&](Machine& machine) { any = any || machine.lease().observed_mode() == Mode::runtime; });
  return any;
}

// Marks the goroutines that don't run now as dead: they never will run.
void Scheduler::abandon_goroutines() noexcept {
  for_each_goroutine_slot([](G& g) {
    if (g.status() != Status::running) g.set_status(Status::dead);
  });
}

// The body of a machine's thread.
void Scheduler::run_machine(Machine& machine) noexcept {
  around_thread_([](void* arg) noexcept { static_cast<Machine*>(arg)->run(); }, &machine);
  {
    const std::lock_guard lock(machines_mutex_);
    machine.ended_.store(true, std::memory_order_relaxed);
    if (!stopping()) {
      // Its goroutine was locked to this thread. What the thread still has to do is the user's: the destructors of
      // thread-local objects, which may take their time. The machine may get another thread meanwhile, and nobody waits
      // for this one under a lock.
      const auto still_ends = [](Thread& thread) { return !thread.try_join(); };
      ended_threads_.erase(std::partition(ended_threads_.begin(), ended_threads_.end(), still_ends),
                           ended_threads_.end());
      ended_threads_.push_back(std::move(machine.thread_));
      ended_.push_back(&machine);
    }
  }
  const std::lock_guard lock(stopped_mutex_);
  --running_machines_;
  stopped_.notify_all();
}

void Scheduler::stop() noexcept {
  {
    const std::lock_guard lock(stopped_mutex_);
    stopping_.store(true, std::memory_order_release);
  }
  stopped_.notify_all();
  for (const auto& p : processors()) p->poller->interrupt();
  // A machine that is made from here on finds stopping_ set under this lock. One that was made before is in the list.
  const std::lock_guard lock(machines_mutex_);
  for (const auto& machine : machines_) machine->wake();
}

// --- processors and machines -----------------------------------------------------------------------------------------

Error Scheduler::set_procs(int n, ProcsBy by) {
  const std::lock_guard lock(procs_mutex_);
  if (by == ProcsBy::choice) {
    follows_default_procs_.store(false, std::memory_order_relaxed);
  } else if (!follows_default_procs()) {
    return {};
  }
  const int before = procs();
  const auto made = static_cast<int>(processors().size());
  const Error error = make_processors(n);
  n = std::min(n, static_cast<int>(processors().size()));
  procs_.store(n, std::memory_order_seq_cst);
  for (int i = n; i < before; ++i) {
    processors_[static_cast<std::size_t>(i)]->retired.store(true, std::memory_order_seq_cst);
    processors_[static_cast<std::size_t>(i)]->poller->interrupt();
  }
  for (int i = before; i < n; ++i) {
    Processor& p = *processors_[static_cast<std::size_t>(i)];
    p.retired.store(false, std::memory_order_seq_cst);
    if (i < made) {
      p.poller->interrupt();
    } else {
      hand_off(p);
    }
  }
  return error;
}

void Scheduler::follow_default_procs() noexcept {
  const std::lock_guard lock(procs_mutex_);
  follows_default_procs_.store(true, std::memory_order_relaxed);
}

void Scheduler::hand_off(Processor& p) noexcept {
  Machine* const self = current_machine();
  const bool clean = self != nullptr ? !self->may_be_altered() : monitor_->on_its_thread();
  {
    const std::lock_guard lock(machines_mutex_);
    if (stopping() || give_to_waiting_locked(p)) return;
    if (clean) {
      if (start_machine_locked(p) != 0)
        fatal("can't start a thread: raise the limit of processes (ulimit -u, pids.max) or lower WEFT_PROCS");
      return;
    }
    postponed_.push_back(&p);
    has_postponed_.store(true, std::memory_order_seq_cst);
  }
  monitor_->wake();
}

void Scheduler::start_postponed() noexcept {
  if (!has_postponed()) return;
  std::vector<Processor*> processors;
  {
    const std::lock_guard lock(machines_mutex_);
    processors.swap(postponed_);
    has_postponed_.store(false, std::memory_order_relaxed);
  }
  for (Processor* const p : processors) hand_off(*p);
}

bool Scheduler::give_to_waiting_locked(Processor& p) noexcept {
  if (waiting_.empty()) return false;
  // The processor goes to its own machine, if that one waits: give_processor_home() says why.
  const auto own = std::ranges::find(waiting_, p.home);
  Machine* const machine = own != waiting_.end() ? p.home : waiting_.back();
  waiting_.erase(own != waiting_.end() ? own : std::prev(waiting_.end()));
  machine->waits_.store(false, std::memory_order_relaxed);
  if (p.home == nullptr) p.home = machine;
  machine->assign(p, nullptr);
  return true;
}

// Returns 0, or the kernel's error when it has no thread to give.
int Scheduler::start_machine_locked(Processor& p) noexcept {
  Machine* machine = nullptr;
  if (!ended_.empty()) {
    machine = ended_.back();
    ended_.pop_back();
    machine->ended_.store(false, std::memory_order_relaxed);
  } else {
    if (machines_.size() >= options_.max_threads) {
      static_cast<void>(std::fprintf(stderr, "runtime: program exceeds %zu-thread limit\n", options_.max_threads));
      fatal(
          "thread exhaustion: raise RuntimeOptions::max_threads, or have fewer goroutines in blocking calls at a time");
    }
    const auto id = static_cast<int>(machines_.size());
    machines_.push_back(std::make_unique<Machine>(*this, id, abandoned_machines.load(std::memory_order_relaxed) + id));
    machine = machines_.back().get();
  }
  if (p.home == nullptr) p.home = machine;
  machine->assign(p, nullptr);
  {
    const std::lock_guard stopped_lock(stopped_mutex_);
    ++running_machines_;
  }
  const auto body = [](void* arg) -> void* {
    auto& m = *static_cast<Machine*>(arg);
    m.scheduler().run_machine(m);
    return nullptr;
  };
  // The thread's end, which moves thread_, waits for machines_mutex_.
  const int error = machine->thread_.start(body, machine);
  if (error == 0) return 0;
  machine->ended_.store(true, std::memory_order_relaxed);
  const std::lock_guard stopped_lock(stopped_mutex_);
  --running_machines_;
  return error;
}

void Scheduler::add_waiting(Machine& machine) noexcept {
  const std::lock_guard lock(machines_mutex_);
  waiting_.push_back(&machine);
  machine.waits_.store(true, std::memory_order_relaxed);
}

bool Scheduler::take_waiting(Machine& machine) noexcept {
  const std::lock_guard lock(machines_mutex_);
  const auto found = std::ranges::find(waiting_, &machine);
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  machine.waits_.store(false, std::memory_order_relaxed);
  return true;
}

void Scheduler::release_waiting_heaps() noexcept {
  const std::lock_guard lock(machines_mutex_);
  for (Machine* const machine : waiting_) machine->release_heap();
}

Scheduler::MachineCount Scheduler::count_machines() noexcept {
  const std::lock_guard lock(machines_mutex_);
  return {machines_.size() - ended_.size(), waiting_.size()};
}

// --- the global queue ------------------------------------------------------------------------------------------------

void Scheduler::push_global(std::span<G* const> goroutines) noexcept {
  if (goroutines.empty()) return;
  global_.push(goroutines);
  wake_if_needed();
}

G* Scheduler::take_global(Processor& p) noexcept {
  G* first = nullptr;
  global_.move_out(static_cast<std::size_t>(procs()), kGlobalGrab, [&](G* g) {
    if (first == nullptr) {
      first = g;
    } else {
      p.queue.push(g);
    }
  });
  return first;
}

// --- waking ----------------------------------------------------------------------------------------------------------

// The submitter's half of the protocol of sleepers.h; the goroutine is in a queue already.
void Scheduler::wake_if_needed() noexcept {
  if (const int id = sleepers_.claim(); id >= 0) processors_[static_cast<std::size_t>(id)]->poller->interrupt();
}

void Scheduler::wake_if_needed_after_rmw() noexcept {
  if (const int id = sleepers_.claim_after_rmw(); id >= 0)
    processors_[static_cast<std::size_t>(id)]->poller->interrupt();
}

// The number of those who are idle is read last: who goes to sleep meanwhile makes the answer false. So does one that
// has not said yet how long it sleeps.
bool Scheduler::sleepers_wake_after_rmw(Nanos from, Nanos to) const noexcept {
  StdAtomics::fence_after_rmw();
  const auto waking = std::ranges::count_if(processors(), [=](const auto& p) {
    const Nanos until = p->sleeps_until.load(std::memory_order_acquire);
    return from <= until && until <= to && !p->retired.load(std::memory_order_relaxed);
  });
  return waking != 0 && waking >= sleepers_.idle();
}

bool Scheduler::any_work() noexcept {
  if (!global_empty()) return true;
  return std::ranges::any_of(processors(), [](const auto& p) {
    // The order matters: a goroutine may move from runnext to the queue, and never back.
    return !p->exclusive.load(std::memory_order_acquire) &&
           (p->runnext.load(std::memory_order_acquire) != nullptr || !p->queue.empty());
  });
}

// --- goroutines ------------------------------------------------------------------------------------------------------

G* Scheduler::take_dead(Processor* processor) {
  if (processor == nullptr) return stacks_.take(1, nullptr);
  if (processor->free == nullptr) {
    processor->free = stacks_.take(kFreeGoroutinesBatch, nullptr);
    for (const G* g = processor->free; g != nullptr; g = g->link) ++processor->free_count;
  }
  G* const g = processor->free;
  processor->free = g->link;
  --processor->free_count;
  return g;
}

void Scheduler::give_dead(Processor* processor, G* g) noexcept {
  if (g->pool != &stacks_) [[unlikely]] {  // GoOptions::stack_size
    g->link = nullptr;
    g->pool->give(g);
    return;
  }
  g->link = processor->free;
  processor->free = g;
  if (++processor->free_count < kFreeGoroutines) return;
  G* last = processor->free;
  for (std::size_t i = 1; i < kFreeGoroutinesBatch; ++i) last = last->link;
  G* const kept = last->link;
  last->link = nullptr;
  stacks_.give(processor->free);
  processor->free = kept;
  processor->free_count -= kFreeGoroutinesBatch;
}

void Scheduler::release_memory(Processor& p) noexcept {
  p.queue.release_memory();
  global_.release_memory();
  stacks_.give(std::exchange(p.free, nullptr));
  p.free_count = 0;
}

std::uint64_t Scheduler::next_id(Processor* processor) noexcept {
  if (processor == nullptr) return next_id_.fetch_add(1, std::memory_order_relaxed);
  if (processor->next_id == processor->end_id) {
    processor->next_id = next_id_.fetch_add(kIdBatch, std::memory_order_relaxed);
    processor->end_id = processor->next_id + kIdBatch;
  }
  return processor->next_id++;
}

void Scheduler::count_spawn(Processor* processor) noexcept {
  if (processor != nullptr) {
    processor->spawned.add();
  } else {
    spawned_elsewhere_.fetch_add(1, std::memory_order_relaxed);
  }
}

Scheduler::Totals Scheduler::totals() noexcept {
  Totals t;
  for (const auto& p : processors()) t.exited += p->exited.get();
  t.spawned = spawned_elsewhere_.load(std::memory_order_relaxed);
  for (const auto& p : processors()) {
    t.spawned += p->spawned.get();
    t.parks += p->parks.get();
    t.steals += p->steals.get();
    t.polls += p->polls.get();
    t.rounds += p->rounds.get();
    t.timers += p->timers.size();
  }
  t.spawned = std::max(t.spawned, t.exited);  // read one after the other, they may disagree by a moment
  t.idle = sleepers_.idle();
  t.spinning = sleepers_.searching();
  t.global_queue = global_.size();
  return t;
}

}  // namespace weft::rt
