// blocking() and lock_os_thread().
#include "runtime/src/base/fatal.h"
#include "runtime/src/sched/held_mutexes.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/scheduler.h"
#include "weft/go.h"

namespace weft {

void lock_os_thread() {
  if (!rt::on_goroutine()) rt::fatal("lock_os_thread outside a goroutine");
  rt::Machine& machine = rt::Machine::enter();
  rt::G& g = *machine.current();
  if (g.thread_locks++ == 0) {
    g.locked.store(&machine, std::memory_order_relaxed);
    machine.lock_thread();
  }
  machine.leave();
}

void unlock_os_thread() {
  if (!rt::on_goroutine()) rt::fatal("unlock_os_thread outside a goroutine");
  rt::Machine& machine = rt::Machine::enter();
  rt::G& g = *machine.current();
  if (g.thread_locks > 0 && --g.thread_locks == 0) {
    g.locked.store(nullptr, std::memory_order_relaxed);
    machine.unlock_thread();
  }
  machine.leave();
}

namespace detail {

BlockingRegion::BlockingRegion() noexcept {
  if (!rt::on_goroutine()) return;
  rt::Machine& machine = rt::Machine::enter();
  if (!machine.locked()) rt::check_no_mutex_held("blocking");
  rt::G& g = *machine.current();
  if (g.mode.load(std::memory_order_relaxed) == rt::Mode::user) {
    outermost_ = true;
    g.mode.store(rt::Mode::blocking, std::memory_order_relaxed);
    if (machine.others_wait()) machine.give_processor_away();
  }
  machine.leave();
}

BlockingRegion::~BlockingRegion() {
  if (!outermost_) return;
  rt::Machine& machine = rt::Machine::enter();
  machine.current()->mode.store(rt::Mode::user, std::memory_order_relaxed);
  machine.leave();
}

}  // namespace detail
}  // namespace weft
