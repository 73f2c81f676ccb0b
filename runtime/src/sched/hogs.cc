#include "sched/hogs.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "sched/goroutine.h"
#include "sched/log.h"
#include "sched/machine.h"
#include "weft/stats.h"

namespace weft {
namespace {

constexpr std::size_t kKept = 32;
constexpr rt::Nanos kLogEvery = 1'000'000'000;

// Outlives every static destructor; a runtime's hogs are kept for the next one to show.
struct Hogs {
  std::mutex mutex;  // guards all below
  std::deque<HogInfo> latest;
  std::uint64_t total = 0;
  rt::Nanos last_log = 0;
  std::uint64_t unlogged = 0;
};
Hogs& hogs() {
  static auto* const all = new Hogs;
  return *all;
}

std::string log_line(const HogInfo& hog, std::uint64_t unlogged) {
  std::string line = "goroutine " + std::to_string(hog.goroutine) + " has run for " +
                     std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(hog.computed).count()) +
                     " ms without a scheduling point; processor " + std::to_string(hog.processor) +
                     " goes to another thread (weft::yield() or weft::blocking() in the goroutine avoid that)";
  if (unlogged > 0) line += "; " + std::to_string(unlogged) + " more since the last such line";
  return line;
}

}  // namespace

std::vector<HogInfo> recent_hogs() {
  Hogs& all = hogs();
  const std::lock_guard lock(all.mutex);
  return {all.latest.begin(), all.latest.end()};
}

namespace rt {

void note_hog(Machine& machine, const G& g, int processor, Nanos since) noexcept {
  static_cast<void>(machine);
  HogInfo hog;
  hog.goroutine = g.id.load(std::memory_order_relaxed);
  hog.processor = processor;
  hog.when = std::chrono::system_clock::now();
  hog.computed = std::chrono::nanoseconds(since);
  Hogs& all = hogs();
  const Nanos t = now();
  std::string line;
  {
    const std::lock_guard lock(all.mutex);
    ++all.total;
    if (t - all.last_log >= kLogEvery) {
      line = log_line(hog, std::exchange(all.unlogged, 0));
      all.last_log = t;
    } else {
      ++all.unlogged;
    }
    all.latest.push_back(std::move(hog));
    if (all.latest.size() > kKept) all.latest.pop_front();
  }
  if (!line.empty()) log_warning(line);
}

std::uint64_t hogs_seen() noexcept {
  Hogs& all = hogs();
  const std::lock_guard lock(all.mutex);
  return all.total;
}

}  // namespace rt
}  // namespace weft
