// run(), go(), yield() and the identity functions of weft/go.h.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "runtime/src/base/fatal.h"
#include "runtime/src/base/fork.h"
#include "runtime/src/base/log.h"
#include "runtime/src/base/membarrier.h"
#include "runtime/src/control/local_table.h"
#include "runtime/src/control/procs.h"
#include "runtime/src/crash/crash.h"
#include "runtime/src/sched/backend.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/scheduler.h"
#include "runtime/src/time/bubble.h"
#include "weft/go.h"

namespace weft {
namespace {

using rt::G;

// What a goroutine still has to do on its own stack when its function has returned. Once more is harmless.
void end_goroutine(G& g) noexcept {
  rt::destroy_locals(g);
  g.labels.clear();
}

// Every goroutine's outermost frame. Not noexcept: an exception that nobody catches must come to the end of the stack, where the terminate handler
// is called before anything is unwound and finds the throwing function. GCC and clang unwind up to a noexcept function first.
void goroutine_main(void* self) {
  rt::fiber_started();
  G* const g = static_cast<G*>(self);
  try {
    g->entry(g->closure);
  } catch (detail::GoroutineExit& exit) {
    exit.arrived_at(g);
  }
  end_goroutine(*g);
  if (rt::current_machine() == nullptr) rt::die_in_forked_child("the end of a goroutine");
  rt::Machine::enter().exit_goroutine();
}

G* current_goroutine() noexcept {
  rt::Machine* const machine = rt::current_machine();
  return machine == nullptr ? nullptr : machine->current();
}

G* make_goroutine(rt::Scheduler& scheduler, rt::Processor* processor, std::size_t size, std::size_t alignment,
                  detail::ClosureEntry entry, const SourceLocation& where, const GoOptions* options) {
  const G* const parent = current_goroutine();
  Labels labels = parent == nullptr ? Labels() : parent->labels.own();
  if (options != nullptr) labels = labels.with(options->labels);
  const bool own_size = options != nullptr && options->stack_size != 0;
  G* const g = own_size ? rt::stack_pool(options->stack_size).take(1, nullptr) : scheduler.take_dead(processor);
  auto address = reinterpret_cast<std::uintptr_t>(g) - size;
  address &= ~(std::uintptr_t{alignment} - 1);
  g->closure = reinterpret_cast<void*>(address);
  g->entry = entry;
  address &= ~std::uintptr_t{15};
  rt::make_fiber(g->fiber, g->stack_low, reinterpret_cast<void*>(address), &goroutine_main, g);
  g->set_identity(scheduler.next_id(processor), parent == nullptr ? 0 : parent->id.load(std::memory_order_relaxed),
                  where, std::move(labels));
  g->reason.store(rt::WaitReason::none, std::memory_order_relaxed);
  g->mode.store(rt::Mode::user, std::memory_order_relaxed);
  g->thread_locks = 0;
  rt::Bubble* const bubble = parent == nullptr ? nullptr : parent->bubble.load(std::memory_order_relaxed);
  g->bubble.store(bubble, std::memory_order_relaxed);
  if (bubble != nullptr) [[unlikely]] {
    bubble->join();
  }
  scheduler.count_spawn(processor);
  return g;
}

// A kernel that lets us have one ring may refuse the next (locked memory, files): then epoll serves, unless a ring was asked for.
Result<std::unique_ptr<rt::Scheduler>> make_scheduler(const RuntimeOptions& options) {
  Result<std::unique_ptr<rt::Backend>> backend = rt::choose_backend(options.poller);
  if (!backend) return Unexpected(backend.error());
  const bool may_fall_back = (*backend)->chosen_freely();
  auto scheduler = std::make_unique<rt::Scheduler>(options, std::move(*backend));
  Error error = scheduler->prepare();
  if (error && may_fall_back) {
    std::unique_ptr<rt::Backend> epoll = rt::make_epoll_backend();
    epoll->set_reason(error.message());
    scheduler = std::make_unique<rt::Scheduler>(options, std::move(epoll));
    error = scheduler->prepare();
  }
  if (error) return Unexpected(error.wrap("can't start " + std::to_string(options.procs) + " processors"));
  return scheduler;
}

struct MainFrame {
  detail::ClosureEntry entry;
  void* closure;
  rt::Scheduler* scheduler;
};

}  // namespace

namespace detail {

Spawn prepare_goroutine(std::size_t size, std::size_t alignment, ClosureEntry entry, const SourceLocation& where,
                        const GoOptions* options) {
  if (rt::current_machine() == nullptr) rt::refuse_in_forked_child("go()");
  const rt::SchedulerUse scheduler;
  if (!scheduler) rt::fatal("weft::go needs a running runtime: call it inside weft::run");
  const rt::Pin pin;
  G* const g = make_goroutine(*scheduler, pin.processor(), size, alignment, entry, where, options);
  return {g, g->closure};
}

void start_goroutine(Spawn spawn) noexcept {
  G* const g = static_cast<G*>(spawn.goroutine);
  g->set_status(rt::Status::runnable);
  rt::submit(g);
}

int run_main(ClosureEntry entry, void* closure, const RuntimeOptions& options) {
  rt::refuse_in_forked_child("run()");
  if (rt::SchedulerUse()) rt::fatal("weft::run inside a running runtime");
  rt::prepare_heavy_barrier();  // before there are other threads
  rt::install_terminate_handler();
  rt::ForkWatch fork_watch;
  const rt::CrashReports crash_reports(options.crash_reports);
  RuntimeOptions effective = options;
  const bool chosen = rt::procs_were_chosen(effective.procs);
  effective.procs = effective.procs > 0 ? std::min(effective.procs, rt::kMaxProcs) : rt::default_procs();
  rt::set_log_hook(effective.log);

  Result<std::unique_ptr<rt::Scheduler>> made = make_scheduler(effective);
  if (!made) {
    std::fprintf(stderr, "weft: %s\n", made.error().message().c_str());
    return 1;
  }
  std::unique_ptr<rt::Scheduler> scheduler = std::move(*made);

  if (!chosen) scheduler->follow_default_procs();
  MainFrame frame{entry, closure, scheduler.get()};
  const auto run_frame = [](void* slot) {
    MainFrame* const f = *static_cast<MainFrame**>(slot);
    f->entry(f->closure);
    rt::refuse_in_forked_child("the end of main");
    end_goroutine(*current_goroutine());  // before the others stop: what it destroys may wait for them
    f->scheduler->stop();
  };
  G* const main = make_goroutine(*scheduler, nullptr, sizeof(MainFrame*), alignof(MainFrame*), run_frame, {}, nullptr);
  ::new (main->closure) MainFrame*(&frame);
  main->set_status(rt::Status::runnable);
  if (!scheduler->run(main)) {
    // A machine is still inside a goroutine; what it runs on must outlive this call.
    static_cast<void>(scheduler.release());
    fork_watch.keep();
  }
  return 0;
}

}  // namespace detail

void yield() { rt::yield_global(); }

int procs() noexcept {
  const rt::SchedulerUse scheduler;
  return scheduler ? scheduler->procs() : 0;
}

int set_procs(int n) {
  const rt::SchedulerUse scheduler;
  if (!scheduler) return 0;
  const int before = scheduler->procs();
  if (n < 1) return before;
  if (const Error error = scheduler->set_procs(std::min(n, rt::kMaxProcs), rt::Scheduler::ProcsBy::choice))
    rt::log_warning(error.wrap("set_procs: " + std::to_string(scheduler->procs()) + " processors run").message());
  return before;
}

void follow_default_procs() {
  const rt::SchedulerUse scheduler;
  if (!scheduler) return;
  scheduler->follow_default_procs();
  scheduler->sysmon().wake();
}

int processor_id() noexcept {
  rt::Machine* const machine = rt::current_machine();
  return machine == nullptr ? -1 : machine->last_processor();
}

int machine_id() noexcept {
  rt::Machine* const machine = rt::current_machine();
  return machine == nullptr ? -1 : machine->id();
}

namespace this_goroutine {

std::uint64_t id() noexcept {
  const G* const g = current_goroutine();
  return g == nullptr ? 0 : g->id.load(std::memory_order_relaxed);
}

std::uint64_t parent_id() noexcept {
  const G* const g = current_goroutine();
  return g == nullptr ? 0 : g->parent_id.load(std::memory_order_relaxed);
}

}  // namespace this_goroutine
}  // namespace weft
