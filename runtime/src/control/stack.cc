// weft::stack(), and what goroutines() tells on request.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "runtime/src/sched/go.h"
#include "runtime/src/sched/goroutine.h"
#include "runtime/src/stack/slab.h"
#include "runtime/src/symbols/debug_info.h"
#include "runtime/src/symbols/large_stack.h"
#include "runtime/src/symbols/snapshot.h"
#include "runtime/src/symbols/traceback.h"
#include "weft/debug.h"
#include "weft/go.h"

namespace weft {
namespace {

// This many pages are looked at in one call.
constexpr std::size_t kPagesAtOnce = 256;

// Returns the distance from the top of the slot down to the lowest page that is in memory. G lies in the top page.
std::size_t high_water_mark(const rt::G& g) {
  const std::size_t page = rt::page_size();
  const auto low = reinterpret_cast<std::uintptr_t>(g.stack_low);
  const std::uintptr_t top = (reinterpret_cast<std::uintptr_t>(&g) / page + 1) * page;
  std::array<unsigned char, kPagesAtOnce> resident;
  for (std::uintptr_t at = low; at < top; at += kPagesAtOnce * page) {
    const std::size_t pages = std::min((top - at) / page, kPagesAtOnce);
    if (::mincore(reinterpret_cast<void*>(at), pages * page, resident.data()) != 0) return 0;
    for (std::size_t i = 0; i < pages; ++i) {
      if ((resident[i] & 1) != 0) return top - (at + i * page);
    }
  }
  return 0;
}

// Returns the frames alone, because GoroutineInfo has the rest.
std::string stack_of(rt::DebugInfo& info, const rt::G& g, rt::Snapshot& scratch) {
  std::string text;
  if (rt::capture_parked(g, scratch)) rt::append_frames(text, info, scratch, rt::Frames::user);
  return text;
}

}  // namespace

std::string stack(StackOptions options) {
  const rt::Frames frames = options.system ? rt::Frames::all : rt::Frames::user;
  const rt::G* const self = rt::current_goroutine();
  rt::Snapshot here;
  WEFT_CAPTURE_HERE(here.registers);
  const long thread = ::syscall(SYS_gettid);
  std::string text;
  rt::on_large_stack([&] {
    const rt::DebugInfo::Use info;
    if (self != nullptr) {
      rt::ListedGoroutine listed;
      rt::list_goroutine(*self, listed);
      rt::Snapshot unused;
      rt::append_goroutine(text, *info, listed, &here, frames, unused);
    } else {
      fmt::format_to(std::back_inserter(text), "thread {} [running, no goroutine]:\n", thread);
      rt::append_frames(text, *info, here, frames);
    }
    if (!options.all) return;
    rt::Snapshot scratch;
    for (const rt::ListedGoroutine& listed : rt::list_goroutines()) {
      if (listed.g == self) continue;
      text += '\n';
      rt::append_goroutine(text, *info, listed, nullptr, frames, scratch);
    }
  });
  return text;
}

std::vector<GoroutineInfo> goroutines(GoroutinesOptions options) {
  std::vector<GoroutineInfo> all = goroutines();
  if (!options.stacks && !options.high_water) return all;
  const rt::G* const self = rt::current_goroutine();
  rt::Snapshot here;
  WEFT_CAPTURE_HERE(here.registers);
  rt::on_large_stack([&] {
    const rt::DebugInfo::Use info;
    rt::Snapshot scratch;
    const std::vector<rt::ListedGoroutine> listed = rt::list_goroutines();
    for (GoroutineInfo& goroutine : all) {
      const auto at = std::ranges::lower_bound(listed, goroutine.id, {}, &rt::ListedGoroutine::id);
      if (at == listed.end() || at->id != goroutine.id) continue;  // it has ended
      if (options.high_water) goroutine.stack_high_water = high_water_mark(*at->g);
      if (!options.stacks) continue;
      if (at->g == self) {
        rt::append_frames(goroutine.stack, *info, here, rt::Frames::user);
      } else {
        goroutine.stack = stack_of(*info, *at->g, scratch);
      }
    }
  });
  return all;
}

}  // namespace weft
