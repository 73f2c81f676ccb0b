#include "runtime/src/control/trace.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "runtime/src/sched/scheduler.h"

namespace weft::rt {
namespace {

constexpr Nanos kMillisecond = 1'000'000;

// Returns the value of `key` in "key=value,key=value"; 0 when it is not there or no number.
long setting(std::string_view text, std::string_view key) noexcept {
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    if (item.size() <= key.size() || item.substr(0, key.size()) != key || item[key.size()] != '=') continue;
    long value = 0;
    const std::string_view digits = item.substr(key.size() + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc() && end == digits.data() + digits.size()) return value;
  }
  return 0;
}

template <typename... Args>
void append(std::string& text, const char* format, Args... args) {
  char piece[256];
  const int n = std::snprintf(piece, sizeof(piece), format, args...);
  text.append(piece, static_cast<std::size_t>(std::clamp(n, 0, static_cast<int>(sizeof(piece)) - 1)));
}

// Returns Go's number for the state.
int go_status(const G& g) noexcept {
  switch (g.status()) {
    case Status::dead:
      return 6;
    case Status::runnable:
      return 1;
    case Status::running:
      return g.mode.load(std::memory_order_relaxed) == Mode::blocking ? 3 : 2;
    case Status::waiting:
      return 4;
  }
  return 0;
}

int id_of(Machine* machine) noexcept { return machine == nullptr ? -1 : machine->id(); }
long long id_of(const G* g) noexcept {
  return g == nullptr ? -1 : static_cast<long long>(g->id.load(std::memory_order_relaxed));
}

void append_details(std::string& text, Scheduler& scheduler) {
  for (const auto& p : scheduler.processors()) {
    append(text, "  P%d: status=%d schedtick=%llu syscalltick=0 m=%d runqsize=%zu gfreecnt=%zu timerslen=%zu\n", p->id,
           p->retired.load(std::memory_order_relaxed) ? 4 : 1, static_cast<unsigned long long>(p->slices.get()),
           id_of(p->machine.load(std::memory_order_acquire)), p->queue.size(), std::size_t{0}, p->timers.size());
  }
  scheduler.for_each_machine([&](Machine& m) {
    const G* const g = m.observed_current();
    append(text, "  M%d: p=%d curg=%lld spinning=%d blocked=%d lockedg=%lld\n", m.id(), m.observed_processor(),
           id_of(g), m.observed_spinning() ? 1 : 0, m.observed_processor() < 0 ? 1 : 0, id_of(m.observed_locked()));
  });
  for_each_goroutine_slot([&](const G& g) {
    if (g.status() == Status::dead) return;
    append(text, "  G%lld: status=%d(%s) m=-1 lockedm=%d\n", id_of(&g), go_status(g),
           g.status() == Status::waiting ? wait_reason_text(g.reason.load(std::memory_order_relaxed)) : "",
           id_of(g.locked.load(std::memory_order_relaxed)));
  });
}

}  // namespace

SchedulerTrace::SchedulerTrace(Scheduler& scheduler) noexcept : scheduler_(scheduler) {
  const char* const text = std::getenv("WEFT_DEBUG");
  if (text == nullptr) return;
  const long period = setting(text, "schedtrace");
  detail_ = setting(text, "scheddetail") > 0;
  if (period <= 0) return;
  period_ = std::min(period, 86'400'000L) * kMillisecond;
  next_ = now() + period_;
}

void SchedulerTrace::print_if_due(Nanos t) noexcept {
  if (t < next_) return;
  next_ = std::max(next_ + period_, t);
  const Scheduler::Totals totals = scheduler_.totals();
  const Scheduler::MachineCount machines = scheduler_.count_machines();
  std::string text;
  append(text,
         "SCHED %lldms: gomaxprocs=%d idleprocs=%d threads=%zu spinningthreads=%d needspinning=0 idlethreads=%zu "
         "runqueue=%zu",
         static_cast<long long>((t - scheduler_.start_time()) / kMillisecond), scheduler_.procs(), totals.idle,
         machines.all + 1, totals.spinning, machines.waiting, totals.global_queue);
  if (detail_) {
    text += '\n';
    append_details(text, scheduler_);
  } else {
    text += " [";
    for (const auto& p : scheduler_.processors()) append(text, " %zu", p->queue.size());
    text += " ] schedticks=[";
    for (const auto& p : scheduler_.processors())
      append(text, " %llu", static_cast<unsigned long long>(p->slices.get()));
    text += " ]\n";
  }
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

}  // namespace weft::rt
