// run(), go(), yield() and the identity functions of weft/go.h.
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "poll/backend.h"
#include "sched/fatal.h"
#include "sched/goroutine.h"
#include "sched/machine.h"
#include "sched/procs.h"
#include "sched/scheduler.h"
#include "weft/go.h"

namespace weft {
namespace {

using rt::G;

// Every goroutine's outermost frame. Noexcept: an exception that gets here finds the terminate handler before anything is unwound.
void goroutine_main(void* self) noexcept {
  rt::fiber_started();
  G* const g = static_cast<G*>(self);
  g->entry(g->closure);
  rt::current_machine()->exit_goroutine();
}

G* make_goroutine(rt::Scheduler& scheduler, rt::Processor* processor, std::size_t size, std::size_t alignment,
                  detail::ClosureEntry entry) {
  G* const g = scheduler.take_dead(processor);
  auto address = reinterpret_cast<std::uintptr_t>(g) - size;
  address &= ~(std::uintptr_t{alignment} - 1);
  g->closure = reinterpret_cast<void*>(address);
  g->entry = entry;
  address &= ~std::uintptr_t{15};
  rt::make_fiber(g->fiber, g->stack_low, reinterpret_cast<void*>(address), &goroutine_main, g);
  g->id.store(scheduler.next_id(processor), std::memory_order_relaxed);
  g->parent_id.store(this_goroutine::id(), std::memory_order_relaxed);
  g->reason.store(rt::WaitReason::none, std::memory_order_relaxed);
  scheduler.count_spawn(processor);
  return g;
}

G* current_goroutine() noexcept {
  rt::Machine* const machine = rt::current_machine();
  return machine == nullptr ? nullptr : machine->current();
}

struct MainFrame {
  detail::ClosureEntry entry;
  void* closure;
  rt::Scheduler* scheduler;
};

}  // namespace

namespace detail {

Spawn prepare_goroutine(std::size_t size, std::size_t alignment, ClosureEntry entry) {
  rt::Machine* const machine = rt::current_machine();
  rt::Scheduler* const scheduler = machine != nullptr ? &machine->scheduler() : rt::current_scheduler();
  if (scheduler == nullptr) rt::fatal("weft::go needs a running runtime: call it inside weft::run");
  G* const g = make_goroutine(*scheduler, machine != nullptr ? machine->processor() : nullptr, size, alignment, entry);
  return {g, g->closure};
}

void start_goroutine(Spawn spawn) noexcept {
  G* const g = static_cast<G*>(spawn.goroutine);
  g->set_status(rt::Status::runnable);
  if (rt::Machine* const machine = rt::current_machine()) {
    machine->enqueue(g);
  } else if (rt::Scheduler* const scheduler = rt::current_scheduler()) {
    scheduler->push_global(g);
  }
}

int run_main(ClosureEntry entry, void* closure, const RuntimeOptions& options) {
  if (rt::current_scheduler() != nullptr) rt::fatal("weft::run inside a running runtime");
  rt::install_terminate_handler();
  RuntimeOptions effective = options;
  if (effective.procs <= 0) effective.procs = rt::default_procs();

  Result<std::unique_ptr<rt::Backend>> backend = rt::choose_backend(effective.poller);
  if (!backend) {
    std::fprintf(stderr, "weft: %s\n", backend.error().message().c_str());
    return 1;
  }
  auto scheduler = std::make_unique<rt::Scheduler>(effective, std::move(*backend));
  if (const Error error = scheduler->prepare()) {
    std::fprintf(stderr, "weft: can't start %d processors: %s\n", effective.procs, error.message().c_str());
    return 1;
  }

  MainFrame frame{entry, closure, scheduler.get()};
  G* const main = make_goroutine(*scheduler, nullptr, sizeof(MainFrame*), alignof(MainFrame*), [](void* slot) {
    MainFrame* const f = *static_cast<MainFrame**>(slot);
    f->entry(f->closure);
    f->scheduler->stop();
  });
  ::new (main->closure) MainFrame*(&frame);
  main->set_status(rt::Status::runnable);
  if (!scheduler->run(main)) {
    // A machine is still inside a goroutine; what it runs on must outlive this call.
    static_cast<void>(scheduler.release());
  }
  return 0;
}

}  // namespace detail

void yield() {
  rt::Machine* const machine = rt::current_machine();
  if (machine != nullptr && machine->current() != nullptr) machine->yield(rt::Machine::YieldTo::global_queue);
}

int procs() noexcept {
  rt::Scheduler* const scheduler = rt::current_scheduler();
  return scheduler == nullptr ? 0 : scheduler->procs();
}

int processor_id() noexcept {
  rt::Machine* const machine = rt::current_machine();
  return machine == nullptr ? -1 : machine->processor()->id;
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
