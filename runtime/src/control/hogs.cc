#include "runtime/src/control/hogs.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "runtime/src/base/log.h"
#include "runtime/src/crash/crash.h"
#include "runtime/src/crash/thread_signals.h"
#include "runtime/src/crash/thread_state.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/sched/scheduler.h"
#include "runtime/src/symbols/debug_info.h"
#include "runtime/src/symbols/large_stack.h"
#include "runtime/src/symbols/snapshot.h"
#include "runtime/src/symbols/traceback.h"

namespace weft {
namespace {

constexpr std::size_t kKept = 32;
constexpr rt::Nanos kLogEvery = 1'000'000'000;

// A goroutine's stack is not asked for more often than this.
constexpr rt::Nanos kCaptureEvery = 1'000'000'000;

// A thread that computes answers as soon as it gets a CPU.
constexpr std::chrono::milliseconds kCaptureLimit{1000};

// TSan holds signals back until the thread makes a system call.
#ifdef WEFT_TSAN
constexpr bool kCanCapture = false;
#else
constexpr bool kCanCapture = true;
#endif

struct Hog {
  HogInfo info;
  std::uint64_t number = 0;  // names it while the list moves
  const rt::G* g = nullptr;
  pid_t thread = 0;
  rt::Nanos noted = 0;
  bool asked = false;                           // its stack is wanted, or was
  bool wanted = false;                          // its stack is wanted, and nobody has tried yet
  std::shared_ptr<const rt::Snapshot> capture;  // kept until somebody reads it
};

// It outlives every static destructor; a runtime's hogs are kept for the next runtime to show.
struct Hogs {
  std::mutex mutex;  // guards all below
  std::deque<Hog> latest;
  std::uint64_t total = 0;
  rt::Nanos last_log = 0;
  std::uint64_t unlogged = 0;

  Hog* find_locked(std::uint64_t number) noexcept {
    const auto at = std::ranges::find(latest, number, &Hog::number);
    return at == latest.end() ? nullptr : &*at;
  }
};
Hogs& hogs() {
  static auto* const all = new Hogs;
  return *all;
}

HogThread public_state(char state) noexcept {
  switch (state) {
    case 'R':
      return HogThread::computes;
    case 'S':
    case 'D':
      return HogThread::sleeps;
    default:
      return HogThread::unknown;
  }
}

std::string log_line(const HogInfo& hog, std::uint64_t unlogged) {
  std::string line = fmt::format("goroutine {}", hog.goroutine);
  if (hog.creator) line += fmt::format(" (created at {}:{})", hog.creator.file, hog.creator.line);
  line += fmt::format(" has kept its thread for {} ms without a scheduling point",
                      std::chrono::duration_cast<std::chrono::milliseconds>(hog.kept).count());
  std::string_view advice = "call weft::yield() where it computes, or wrap what blocks in weft::blocking()";
  if (hog.thread == HogThread::computes) {
    line += " and computes";
    advice = "call weft::yield() now and then";
  } else if (hog.thread == HogThread::sleeps) {
    line += " and sleeps in a system call";
    advice = "wrap what blocks in weft::blocking()";
  }
  line += fmt::format("; processor {} goes to another thread: {}", hog.processor, advice);
  if (unlogged > 0) line += fmt::format("; {} more since the last such line", unlogged);
  return line;
}

// Tells whether `thread` still runs `g` without the processor that was taken from it: then `g` has not come back to the
// runtime.
bool still_keeps_thread(pid_t thread, const rt::G* g) {
  const rt::SchedulerUse scheduler;
  if (!scheduler) return false;
  bool keeps = false;
  scheduler->for_each_machine([&](rt::Machine& machine) {
    if (machine.thread_id() != thread) return;
    keeps = machine.observed_current() == g && machine.lease().observed_processor() == nullptr &&
            machine.lease().observed_mode() == rt::Mode::user;
  });
  return keeps;
}

std::shared_ptr<const rt::Snapshot> capture(const Hog& hog) {
  auto snapshot = std::make_shared<rt::Snapshot>();
  if (!still_keeps_thread(hog.thread, hog.g) || rt::thread_state(hog.thread) != 'R') return nullptr;
  if (!rt::capture_running(hog.thread, *snapshot, kCaptureLimit) || !still_keeps_thread(hog.thread, hog.g))
    return nullptr;
  // The rest of the copy is the neighbours' stacks.
  const auto low = reinterpret_cast<std::uint64_t>(hog.g->stack_low);
  const auto high = reinterpret_cast<std::uint64_t>(hog.g);
  if (snapshot->low < low || snapshot->low >= high) return nullptr;
  snapshot->bytes.resize(std::min<std::uint64_t>(snapshot->bytes.size(), high - snapshot->low));
  snapshot->bytes.shrink_to_fit();
  snapshot->copy_only = true;
  return snapshot;
}

std::string text_of(rt::DebugInfo& info, const Hog& hog) {
  std::string text;
  rt::ListedGoroutine listed;
  listed.id = hog.info.goroutine;
  listed.parent_id = hog.info.parent_id;
  listed.creator = hog.info.creator;
  listed.status = rt::Status::running;
  rt::Snapshot unused;
  rt::append_goroutine(text, info, listed, hog.capture.get(), rt::Frames::user, unused);
  return text;
}

}  // namespace

std::vector<HogInfo> recent_hogs() {
  Hogs& all = hogs();
  std::vector<Hog> latest;
  {
    const std::lock_guard lock(all.mutex);
    latest.assign(all.latest.begin(), all.latest.end());
  }
  if (std::ranges::any_of(latest, [](const Hog& hog) { return hog.capture != nullptr; })) {
    rt::on_large_stack([&] {
      const rt::DebugInfo::Use info;
      for (Hog& hog : latest) {
        if (hog.capture != nullptr) hog.info.stack = text_of(*info, hog);
      }
    });
    const std::lock_guard lock(all.mutex);
    for (const Hog& hog : latest) {
      Hog* const kept = hog.capture == nullptr ? nullptr : all.find_locked(hog.number);
      if (kept == nullptr) continue;
      kept->info.stack = hog.info.stack;
      kept->capture.reset();
    }
  }
  std::vector<HogInfo> infos;
  infos.reserve(latest.size());
  for (Hog& hog : latest) infos.push_back(std::move(hog.info));
  return infos;
}

namespace rt {

HogInfo observe_hog(const G* g) {
  HogInfo hog;
  if (g == nullptr) return hog;
  hog.goroutine = g->id.load(std::memory_order_acquire);
  hog.parent_id = g->parent_id.load(std::memory_order_acquire);
  hog.creator = g->creator();
  hog.labels = g->labels.read();
  return hog;
}

void note_hog(HogInfo info, const Machine& machine, const G* g, Nanos since) noexcept {
  if (report_under_way()) return;  // a goroutine that crashed keeps its thread until its report is printed
  const Nanos t = now();
  Hog hog;
  hog.info = std::move(info);
  hog.info.when = std::chrono::system_clock::now();
  hog.info.kept = std::chrono::nanoseconds(since);
  hog.thread = machine.thread_id();
  hog.info.thread = public_state(thread_state(hog.thread));
  hog.g = g;
  hog.noted = t;
  std::string line;
  Hogs& all = hogs();
  {
    const std::lock_guard lock(all.mutex);
    hog.number = ++all.total;
    const bool asked_lately = std::ranges::any_of(all.latest, [&](const Hog& before) {
      return before.asked && before.info.goroutine == hog.info.goroutine && t - before.noted < kCaptureEvery;
    });
    hog.asked = hog.wanted = kCanCapture && hog.info.thread == HogThread::computes && !asked_lately;
    if (all.last_log == 0 || t - all.last_log >= kLogEvery) {
      line = log_line(hog.info, std::exchange(all.unlogged, 0));
      all.last_log = t;
    } else {
      ++all.unlogged;
    }
    all.latest.push_back(hog);
    if (all.latest.size() > kKept) all.latest.pop_front();
  }
  if (hog.wanted) wake_reporter_for_errand();
  if (!line.empty()) log_warning(line);
}

void capture_hog_stacks() {
  Hogs& all = hogs();
  for (;;) {
    Hog hog;
    {
      const std::lock_guard lock(all.mutex);
      // The latest hog comes first, because the others may have come back already.
      const auto wanted = std::find_if(all.latest.rbegin(), all.latest.rend(), [](const Hog& h) { return h.wanted; });
      if (wanted == all.latest.rend()) return;
      wanted->wanted = false;
      hog = *wanted;
    }
    std::shared_ptr<const Snapshot> snapshot = capture(hog);
    if (snapshot == nullptr) continue;
    const std::lock_guard lock(all.mutex);
    if (Hog* const kept = all.find_locked(hog.number)) kept->capture = std::move(snapshot);
  }
}

std::uint64_t hogs_seen() noexcept {
  Hogs& all = hogs();
  const std::lock_guard lock(all.mutex);
  return all.total;
}

}  // namespace rt
}  // namespace weft
