#include "sched/scheduler.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <string>
#include <system_error>

#include "sched/fatal.h"
#include "sched/seed.h"

namespace weft::rt {
namespace {

// A plain thread that uses the scheduler counts itself in scheduler_users before it reads running_scheduler; the end of run() stores null
// and then waits for the count to be zero. Each writes before it reads what the other wrote (seq_cst): either the thread sees null or
// run() sees the thread.
std::atomic<Scheduler*> running_scheduler{nullptr};
std::atomic<int> scheduler_users{0};

// How long run() waits for machines that are in the middle of a goroutine when main returns.
constexpr std::chrono::milliseconds kStopGrace{100};

}  // namespace

SchedulerUse::SchedulerUse() noexcept {
  if (Machine* const machine = current_machine()) {
    scheduler_ = &machine->scheduler();
    return;
  }
  counted_ = true;
  scheduler_users.fetch_add(1, std::memory_order_seq_cst);
  scheduler_ = running_scheduler.load(std::memory_order_seq_cst);
}

SchedulerUse::~SchedulerUse() {
  if (counted_) scheduler_users.fetch_sub(1, std::memory_order_release);
}

int IdleSet::take_any() noexcept {
  for (std::size_t w = 0; w < words_.size(); ++w) {
    for (;;) {
      const std::uint64_t word = words_[w].load(std::memory_order_relaxed);
      if (word == 0) break;
      const int id = static_cast<int>(w * 64) + std::countr_zero(word);
      if (remove(id)) return id;
    }
  }
  return -1;
}

// --- start and stop --------------------------------------------------------------------------------------------------

Scheduler::Scheduler(const RuntimeOptions& options, std::unique_ptr<Backend> backend)
    : procs_(options.procs),
      backend_(std::move(backend)),
      stacks_(stack_pool(options.stack_size)),
      idle_(static_cast<std::size_t>(options.procs)) {}

Scheduler::~Scheduler() {
  // Goroutines that main did not wait for never run again; their slots are not used again either, for others may point to them.
  for_each_goroutine_slot([](G& g) { g.set_status(Status::dead); });
  for (const auto& p : processors_) stacks_.give(p->free);
}

Error Scheduler::prepare() {
  for (int i = 0; i < procs_; ++i) {
    Result<std::unique_ptr<Poller>> poller = backend_->make_poller();
    if (!poller) return poller.error();
    processors_.push_back(
        std::make_unique<Processor>(i, std::move(*poller), schedule_seed() + static_cast<unsigned>(i)));
    machines_.push_back(std::make_unique<Machine>(*this, i, *processors_.back()));
  }
  return {};
}

bool Scheduler::run(G* main) {
  running_scheduler.store(this, std::memory_order_seq_cst);
  push_global(main);
  running_machines_ = procs_;
  for (const auto& machine : machines_) {
    try {
      threads_.emplace_back([this, m = machine.get()] {
        m->run();
        machine_stopped();
      });
    } catch (const std::system_error&) {
      fatal("can't start a thread: raise the limit of processes (ulimit -u, pids.max) or lower WEFT_PROCS");
    }
  }

  bool all_stopped = false;
  {
    std::unique_lock lock(stopped_mutex_);
    stopped_.wait(lock, [this] { return stopping(); });
    all_stopped = stopped_.wait_for(lock, kStopGrace, [this] { return running_machines_ == 0; });
  }
  running_scheduler.store(nullptr, std::memory_order_seq_cst);
  while (scheduler_users.load(std::memory_order_seq_cst) != 0) relax_thread();
  for (std::thread& thread : threads_) {
    if (all_stopped) {
      thread.join();
    } else {
      thread.detach();  // it runs a goroutine that does not come to a scheduling point
    }
  }
  return all_stopped;
}

void Scheduler::machine_stopped() noexcept {
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
  for (const auto& p : processors_) p->poller->interrupt();
}

// --- the global queue ------------------------------------------------------------------------------------------------

void Scheduler::push_global(G* g) noexcept {
  {
    const std::lock_guard lock(global_mutex_);
    global_.push_back(g);
    global_size_.store(global_.size(), std::memory_order_release);
  }
  wake_if_needed();
}

void Scheduler::push_global(GList& list) noexcept {
  {
    const std::lock_guard lock(global_mutex_);
    global_.append(list);
    global_size_.store(global_.size(), std::memory_order_release);
  }
  wake_if_needed();
}

G* Scheduler::take_global(Machine& machine, std::size_t limit) noexcept {
  if (global_empty()) return nullptr;
  G* first = nullptr;
  GList more;
  {
    const std::lock_guard lock(global_mutex_);
    const std::size_t share = global_.size() / static_cast<std::size_t>(procs_) + 1;
    const std::size_t n = std::min({share, limit, global_.size()});
    first = global_.pop_front();
    for (std::size_t i = 1; i < n; ++i) more.push_back(global_.pop_front());
    global_size_.store(global_.size(), std::memory_order_release);
  }
  while (G* const g = more.pop_front()) machine.enqueue_last(g);
  return first;
}

// --- waking ----------------------------------------------------------------------------------------------------------

// The submitter's half of the protocol at the top of the header; the goroutine is in a queue already.
void Scheduler::wake_if_needed() noexcept {
  if (procs_ == 1 && current_machine() != nullptr) return;
  // Between the queue and the look at the sleepers; mirrors the fence in Machine::idle().
  std::atomic_thread_fence(std::memory_order_seq_cst);
  while (idle_.count() != 0 && spinning_.load(std::memory_order_seq_cst) == 0) {
    int none = 0;
    // seq_cst: against the sleeper's decrement, which precedes its look at the queues.
    if (!spinning_.compare_exchange_strong(none, 1, std::memory_order_seq_cst, std::memory_order_relaxed)) return;
    if (const int id = idle_.take_any(); id >= 0) {
      processors_[static_cast<std::size_t>(id)]->poller->interrupt();
      return;
    }
    // Nobody to wake after all. While we counted as a searcher another submitter may have relied on us, and a processor may have gone to
    // sleep: look again.
    spinning_.fetch_sub(1, std::memory_order_seq_cst);
  }
}

bool Scheduler::any_work() noexcept {
  if (!global_empty()) return true;
  return std::ranges::any_of(processors_, [](const auto& p) {
    return !p->queue.empty() || p->runnext.load(std::memory_order_acquire) != nullptr;
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
  for (const auto& p : processors_) t.exited += p->exited.get();
  t.spawned = spawned_elsewhere_.load(std::memory_order_relaxed);
  for (const auto& p : processors_) {
    t.spawned += p->spawned.get();
    t.parks += p->parks.get();
    t.steals += p->steals.get();
    t.polls += p->polls.get();
    t.rounds += p->rounds.get();
    t.timers += p->timers.size();
  }
  t.spawned = std::max(t.spawned, t.exited);  // read one after the other, they may disagree by a moment
  t.idle = idle_.count();
  t.spinning = spinning_.load(std::memory_order_relaxed);
  t.global_queue = global_size_.load(std::memory_order_relaxed);
  return t;
}

// --- timers ----------------------------------------------------------------------------------------------------------

TimerHeap& current_timer_heap() noexcept {
  if (Machine* const machine = current_machine()) return machine->processor()->timers;
  const SchedulerUse scheduler;
  WEFT_CHECK(scheduler, "a timer needs a running runtime");
  return scheduler->processors().front()->timers;
}

void timer_moved_ahead(TimerHeap& heap) noexcept {
  // The owner looks at its heap before it sleeps; anybody else's sleep must be broken.
  if (current_machine() != nullptr) return;
  const SchedulerUse scheduler;
  if (!scheduler) return;
  for (const auto& p : scheduler->processors()) {
    if (&p->timers == &heap) p->poller->interrupt();
  }
}

}  // namespace weft::rt
