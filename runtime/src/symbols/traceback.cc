#include "runtime/src/symbols/traceback.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "runtime/src/base/clock.h"
#include "runtime/src/sched/stack_pool.h"
#include "runtime/src/symbols/names.h"

namespace weft::rt {
namespace {

constexpr std::size_t kInnermost = 50;
constexpr std::size_t kOutermost = 50;

constexpr Nanos kMinute = 60'000'000'000;

std::string_view status_text(const ListedGoroutine& goroutine) noexcept {
  if (goroutine.status == Status::waiting) return wait_reason_text(goroutine.reason);
  return to_string(goroutine_state(goroutine.status, goroutine.blocking ? Mode::blocking : Mode::user));
}

// The C++ runtime's private functions, which lie between a throw and the terminate handler.
bool is_nameless_support(const Symbol& symbol) noexcept {
  return symbol.function.starts_with("0x") && (symbol.file.find("/libstdc++.so") != std::string::npos ||
                                               symbol.file.find("/libgcc_s.so") != std::string::npos);
}

void append_frame(std::string& text, const Symbol& symbol) {
  fmt::format_to(std::back_inserter(text), "{}(...)\n\t", symbol.function);
  if (symbol.line != 0) {
    fmt::format_to(std::back_inserter(text), "{}:{}", symbol.file, symbol.line);
  } else if (!symbol.file.empty()) {
    fmt::format_to(std::back_inserter(text), "{}@{:#x}", symbol.file, symbol.address);
  } else {
    text += "?";
  }
  fmt::format_to(std::back_inserter(text), " +{:#x}\n", symbol.offset);
}

}  // namespace

bool list_goroutine(const G& g, ListedGoroutine& to) noexcept {
  // What is read between two equal ids is of one goroutine, as G::set_identity() says.
  to.g = &g;
  to.id = g.id.load(std::memory_order_acquire);
  to.parent_id = g.parent_id.load(std::memory_order_acquire);
  to.creator = g.creator();
  to.status = g.status();
  to.reason = g.reason.load(std::memory_order_relaxed);
  to.since = g.since.load(std::memory_order_acquire);
  to.blocking = g.mode.load(std::memory_order_relaxed) == Mode::blocking;
  to.locked_to_thread = g.locked.load(std::memory_order_relaxed) != nullptr;
  return to.status != Status::dead && to.id != 0 && g.id.load(std::memory_order_relaxed) == to.id;
}

std::vector<ListedGoroutine> list_goroutines() {
  std::vector<ListedGoroutine> all;
  for_each_goroutine_slot([&](const G& g) {
    ListedGoroutine listed;
    if (list_goroutine(g, listed)) all.push_back(listed);
  });
  std::ranges::sort(all, {}, &ListedGoroutine::id);
  return all;
}

void append_header(std::string& text, const ListedGoroutine& goroutine) {
  fmt::format_to(std::back_inserter(text), "goroutine {} [{}", goroutine.id, status_text(goroutine));
  if (goroutine.status == Status::waiting) {
    const Nanos minutes = (now() - goroutine.since) / kMinute;
    if (minutes >= 1) fmt::format_to(std::back_inserter(text), ", {} minutes", minutes);
  }
  if (goroutine.locked_to_thread) text += ", locked to thread";
  text += "]:\n";
}

void append_frames(std::string& text, DebugInfo& info, const Snapshot& snapshot, Frames frames) {
  struct Place {
    std::uint64_t pc;
    std::size_t index;  // of symbolise(pc)
  };
  std::vector<Place> shown;
  if (snapshot.entry != 0) {
    // The function is internal, but its name holds that of the user's function.
    append_frame(text, info.symbolise(snapshot.entry).back());
    return;
  }
  bool hide = frames != Frames::all;
  for (const std::uint64_t pc : info.unwind(snapshot)) {
    const std::vector<Symbol>& symbols = info.symbolise(pc);
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      const bool internal = is_internal(symbols[i].function) || is_nameless_support(symbols[i]);
      if (internal && frames == Frames::relevant && shown.empty()) hide = false;
      if (!internal || !hide) shown.push_back({pc, i});
    }
  }
  const std::size_t elided = shown.size() > kInnermost + kOutermost ? shown.size() - kInnermost - kOutermost : 0;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (elided > 0 && i == kInnermost) {
      fmt::format_to(std::back_inserter(text), "...{} frames elided...\n", elided);
      i += elided;
    }
    append_frame(text, info.symbolise(shown[i].pc)[shown[i].index]);
  }
}

void append_creator(std::string& text, const ListedGoroutine& goroutine) {
  const SourceLocation& at = goroutine.creator;
  if (at.line == 0) return;
  std::string_view function = at.function;
  function = function.substr(0, function.find(" [with "));  // GCC's template arguments
  fmt::format_to(std::back_inserter(text), "created by {} in goroutine {}\n\t{}:{}\n", without_signature(function),
                 goroutine.parent_id, at.file, at.line);
}

void append_goroutine(std::string& text, DebugInfo& info, const ListedGoroutine& goroutine, const Snapshot* captured,
                      Frames frames, Snapshot& scratch) {
  append_header(text, goroutine);
  if (captured == nullptr && goroutine.status != Status::running && capture_parked(*goroutine.g, scratch)) {
    captured = &scratch;
  }
  if (captured != nullptr) {
    append_frames(text, info, *captured, frames);
  } else {
    text += "\tgoroutine running on other thread; stack unavailable\n";
  }
  append_creator(text, goroutine);
}

}  // namespace weft::rt
