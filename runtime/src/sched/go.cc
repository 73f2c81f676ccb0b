// go() and what a goroutine does to itself: yield(), exit_goroutine(), and who and where it is (weft/go.h).
#include "runtime/src/sched/go.h"

#include <cstdint>
#include <functional>
#include <new>
#include <utility>

#include "runtime/src/base/fatal.h"
#include "runtime/src/base/fork.h"
#include "runtime/src/sched/bubble_hooks.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/goroutine_locals.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/scheduler.h"
#include "weft/go.h"

namespace weft {
namespace rt {

void end_goroutine(G& g) noexcept {
  if (g.locals != nullptr) {
    g.locals->destroy_all();
    delete g.locals;
    g.locals = nullptr;
  }
  g.labels.clear();
}

namespace {

// Every goroutine's outermost frame. It is not noexcept. An exception that nobody catches must come to the end of the
// stack: there the terminate handler is called before anything is unwound, and finds the throwing function. GCC and
// clang unwind up to a noexcept function first.
void goroutine_main(void* self) {
  fiber_started();
  G* const g = static_cast<G*>(self);
  try {
    g->entry(g->closure);
  } catch (detail::GoroutineExit& exit) {
    exit.arrived_at(g);
  }
  end_goroutine(*g);
  if (current_machine() == nullptr) die_in_forked_child("the end of a goroutine");
  Machine::enter().exit_goroutine();
}

}  // namespace

G* current_goroutine() noexcept {
  Machine* const machine = current_machine();
  return machine == nullptr ? nullptr : machine->current();
}

G* make_goroutine(Scheduler& scheduler, Processor* processor, const G* parent, std::size_t size, std::size_t alignment,
                  weft::detail::ClosureEntry entry, const SourceLocation& where, const GoOptions* options) {
  Labels labels = parent == nullptr ? Labels() : parent->labels.own();
  if (options != nullptr) labels = labels.with(options->labels);
  const bool own_size = options != nullptr && options->stack_size != 0;
  G* const g = own_size ? stack_pool(options->stack_size).take(1, nullptr) : scheduler.take_dead(processor);
  auto address = reinterpret_cast<std::uintptr_t>(g) - size;
  address &= ~(std::uintptr_t{alignment} - 1);
  g->closure = reinterpret_cast<void*>(address);
  g->entry = entry;
  address &= ~std::uintptr_t{15};
  make_fiber(g->fiber, g->stack_low, reinterpret_cast<void*>(address), &goroutine_main, g);
  g->set_identity(scheduler.next_id(processor), parent == nullptr ? 0 : parent->id.load(std::memory_order_relaxed),
                  where, std::move(labels));
  g->reason.store(WaitReason::none, std::memory_order_relaxed);
  g->is_branch = parent != nullptr && parent->reason.load(std::memory_order_relaxed) == WaitReason::none;
  g->mode.store(Mode::user, std::memory_order_relaxed);
  g->thread_locks = 0;
  g->after_end = {};
  BubbleHooks* const bubble = parent == nullptr ? nullptr : parent->bubble.load(std::memory_order_relaxed);
  g->bubble.store(bubble, std::memory_order_relaxed);
  if (bubble != nullptr) [[unlikely]] {
    bubble->join();
  }
  scheduler.count_spawn(processor);
  return g;
}

void go_without_parent(std::function<void()> fn, SourceLocation where) {
  using Fn = std::function<void()>;
  const auto entry = [](void* closure) {
    const weft::detail::DestroyAtEnd<Fn> body{static_cast<Fn*>(closure)};
    (*body.object)();
  };
  const SchedulerUse scheduler;
  if (!scheduler) return;  // the runtime has ended, and there is nobody to tell
  const Pin pin;
  G* const g = make_goroutine(*scheduler, pin.processor(), nullptr, sizeof(Fn), alignof(Fn), entry, where, nullptr);
  ::new (g->closure) Fn(std::move(fn));
  weft::detail::start_goroutine({g, g->closure});
}

}  // namespace rt

namespace detail {

Spawn prepare_goroutine(std::size_t size, std::size_t alignment, ClosureEntry entry, const SourceLocation& where,
                        const GoOptions* options, const AfterEnd& after) {
  if (rt::current_machine() == nullptr) rt::refuse_in_forked_child("go()");
  const rt::SchedulerUse scheduler;
  if (!scheduler) rt::fatal("weft::go needs a running runtime: call it inside weft::run");
  const rt::Pin pin;
  rt::G* const g =
      rt::make_goroutine(*scheduler, pin.processor(), rt::current_goroutine(), size, alignment, entry, where, options);
  g->after_end = after;
  return {g, g->closure};
}

void start_goroutine(Spawn spawn) noexcept {
  rt::G* const g = static_cast<rt::G*>(spawn.goroutine);
  g->set_status(rt::Status::runnable);
  rt::submit(g);
}

// An exception that has not arrived was swallowed by a catch (...) that does not rethrow: the frames above the catch
// are gone, and the ones below expect to go.
GoroutineExit::~GoroutineExit() {
  if (!arrived_.load(std::memory_order_relaxed))
    rt::fatal("exit_goroutine was stopped by a catch (...): rethrow what you don't know");
}

void GoroutineExit::arrived_at(const void* goroutine) noexcept {
  if (goroutine != goroutine_) rt::fatal("exit_goroutine was rethrown in another goroutine");
  arrived_.store(true, std::memory_order_relaxed);
}

}  // namespace detail

void exit_goroutine() {
  if (!rt::on_goroutine()) rt::fatal("exit_goroutine outside a goroutine");
  throw detail::GoroutineExit(rt::current_machine()->current());
}

void yield() { rt::yield_global(); }

int procs() noexcept {
  const rt::SchedulerUse scheduler;
  return scheduler ? scheduler->procs() : 0;
}

int processor_id() noexcept {
  rt::Machine* const machine = rt::current_machine();
  return machine == nullptr ? -1 : machine->last_processor();
}

int machine_id() noexcept {
  rt::Machine* const machine = rt::current_machine();
  return machine == nullptr ? -1 : machine->id();
}

std::string_view to_string(GoroutineState state) noexcept {
  switch (state) {
    case GoroutineState::runnable:
      return rt::kStatusTexts[static_cast<std::size_t>(rt::Status::runnable)];
    case GoroutineState::running:
      return rt::kStatusTexts[static_cast<std::size_t>(rt::Status::running)];
    case GoroutineState::syscall:
      return "syscall";
    case GoroutineState::waiting:
      return rt::kStatusTexts[static_cast<std::size_t>(rt::Status::waiting)];
  }
  return "???";
}

namespace this_goroutine {

std::uint64_t id() noexcept {
  const rt::G* const g = rt::current_goroutine();
  return g == nullptr ? 0 : g->id.load(std::memory_order_relaxed);
}

std::uint64_t parent_id() noexcept {
  const rt::G* const g = rt::current_goroutine();
  return g == nullptr ? 0 : g->parent_id.load(std::memory_order_relaxed);
}

}  // namespace this_goroutine
}  // namespace weft
