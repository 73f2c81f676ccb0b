// run(), and the number of processors while it runs (weft/go.h).
#include <algorithm>
#include <atomic>
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
#include "runtime/src/control/hogs.h"
#include "runtime/src/control/procs.h"
#include "runtime/src/control/sysmon.h"
#include "runtime/src/crash/crash.h"
#include "runtime/src/crash/thread_signals.h"
#include "runtime/src/io/backends.h"
#include "runtime/src/sched/go.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/scheduler.h"
#include "runtime/src/symbols/debug_root.h"
#include "weft/go.h"
#include "weft/log.h"

namespace weft {
namespace {

using rt::G;

// A kernel that lets us have one ring may refuse the next (locked memory, files). Then epoll serves, unless a ring was
// asked for.
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

// When run() returns, what the sink has captured may go. A thread that is left behind writes to stderr.
struct LogSinkReset {
  LogSinkReset() = default;
  ~LogSinkReset() { rt::set_log_sink({}); }
  LogSinkReset(const LogSinkReset&) = delete;
  LogSinkReset& operator=(const LogSinkReset&) = delete;
};

// One runtime runs at a time. What the one before has written is visible to the next.
std::atomic<bool> run_is_under_way{false};

struct MainFrame {
  detail::ClosureEntry entry;
  void* closure;
  rt::Scheduler* scheduler;
};

}  // namespace

namespace detail {

namespace {

int cannot_start(const std::string& why) {
  std::fprintf(stderr, "weft: %s\n", one_line(why).c_str());
  return 1;
}

int run_alone(ClosureEntry entry, void* closure, const RuntimeOptions& options) {
  rt::prepare_heavy_barrier();  // before there are other threads
  rt::install_terminate_handler();
  rt::ForkWatch fork_watch([]() noexcept { rt::set_current_machine(nullptr); });
  rt::prepare_debug_root();
  const rt::CrashReports crash_reports(options.crash_reports, &rt::capture_hog_stacks);
  RuntimeOptions effective = options;
  const bool chosen = rt::procs_were_chosen(effective.procs);
  effective.procs = effective.procs > 0 ? std::min(effective.procs, rt::kMaxProcs) : rt::default_procs();
  rt::set_log_sink(effective.log);
  const LogSinkReset log_sink_reset;

  Result<std::unique_ptr<rt::Scheduler>> made = make_scheduler(effective);
  if (!made) return cannot_start(made.error().message());
  std::unique_ptr<rt::Scheduler> scheduler = std::move(*made);

  if (!chosen) scheduler->follow_default_procs();
  MainFrame frame{entry, closure, scheduler.get()};
  const auto run_frame = [](void* slot) {
    MainFrame* const f = *static_cast<MainFrame**>(slot);
    f->entry(f->closure);
    rt::refuse_in_forked_child("the end of main");
    rt::end_goroutine(*rt::current_goroutine());  // before the others stop: what it destroys may wait for them
    // From here to its end main has a processor. Without one, nobody would run it any more once the others stop.
    rt::Machine::enter();
    f->scheduler->stop();
  };
  G* const main =
      rt::make_goroutine(*scheduler, nullptr, nullptr, sizeof(MainFrame*), alignof(MainFrame*), run_frame, {}, nullptr);
  ::new (main->closure) MainFrame*(&frame);
  main->set_status(rt::Status::runnable);
  auto sysmon = std::make_unique<rt::Sysmon>(*scheduler);
  if (const Error error = scheduler->start(*sysmon, &rt::with_thread_signals))
    return cannot_start(error.message() + ": raise the limit of processes (ulimit -u, pids.max) or lower WEFT_PROCS");
  if (!scheduler->run(main)) {
    // A machine is still inside a goroutine; what it runs on must outlive this call.
    static_cast<void>(scheduler.release());
    static_cast<void>(sysmon.release());
    fork_watch.keep();
  }
  return 0;
}

}  // namespace

int run_main(ClosureEntry entry, void* closure, const RuntimeOptions& options) {
  rt::refuse_in_forked_child("run()");
  if (run_is_under_way.exchange(true, std::memory_order_acquire))
    return cannot_start("a runtime runs already in this process, and there is one at a time");
  struct Ends {
    ~Ends() { run_is_under_way.store(false, std::memory_order_release); }
  } const ends;
  try {
    return run_alone(entry, closure, options);
  } catch (const std::bad_alloc&) {
    // It comes from the start: nothing is thrown beyond a goroutine.
    return cannot_start("out of memory");
  }
}

}  // namespace detail

int set_procs(int n) {
  int before = 0;
  Error error;
  {
    const rt::SchedulerUse scheduler;
    if (!scheduler) return 0;
    before = scheduler->procs();
    if (n < 1) return before;
    error = scheduler->set_procs(std::min(n, rt::kMaxProcs), rt::Scheduler::ProcsBy::choice);
    if (error) error = error.wrap("set_procs: " + std::to_string(scheduler->procs()) + " processors run");
  }
  // Without the scheduler, whose end waits for those that use it: the sink is the user's code.
  if (error) rt::log_warning(error.message());
  return before;
}

void follow_default_procs() {
  const rt::SchedulerUse scheduler;
  if (!scheduler) return;
  scheduler->follow_default_procs();
  scheduler->monitor().wake();
}

}  // namespace weft
