// Tracebacks: Go's text for goroutines and their stacks.
//
//   goroutine 7 [chan receive, 3 minutes]:
//   weft::Chan<int>::recv(...)
//           /src/chan.h:120 +0x45
//   consume(...)
//           /src/main.cc:17 +0x2f
//   created by main::<lambda()> in goroutine 1
//           /src/main.cc:30
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/src/sched/goroutine.h"
#include "runtime/src/symbols/debug_info.h"
#include "runtime/src/symbols/snapshot.h"
#include "weft/source_location.h"

namespace weft::rt {

// A goroutine as dumps list it. It is read without stopping it, so each field may be of another moment.
struct ListedGoroutine {
  const G* g = nullptr;
  std::uint64_t id = 0;
  std::uint64_t parent_id = 0;
  SourceLocation creator;  // line 0: main, which nobody created
  Status status = Status::dead;
  WaitReason reason = WaitReason::none;
  std::int64_t since = 0;
  bool blocking = false;          // inside blocking()
  bool locked_to_thread = false;  // by lock_os_thread()
};

// Fills in `to`. Returns false when the goroutine is dead.
bool list_goroutine(const G& g, ListedGoroutine& to) noexcept;

// Returns all goroutines that live, by id. Takes no lock.
std::vector<ListedGoroutine> list_goroutines();

enum class Frames {
  user,      // without the runtime's own
  all,       // with them
  relevant,  // without them, unless the innermost frame is one: for a stack that ends where something went wrong
};

// Appends "goroutine 7 [chan receive, 3 minutes]:\n".
void append_header(std::string& text, const ListedGoroutine& goroutine);

// Appends the frames of a stack: at most 100, which are the innermost and the outermost 50 of a deeper one.
void append_frames(std::string& text, DebugInfo& info, const Snapshot& snapshot, Frames frames);

// Appends what stands after the frames: who started the goroutine. Appends nothing for main.
void append_creator(std::string& text, const ListedGoroutine& goroutine);

// Appends header, frames and creator of a goroutine. `captured` is its stack when that is known already, as a running
// goroutine's must be; else null. `scratch` is overwritten.
void append_goroutine(std::string& text, DebugInfo& info, const ListedGoroutine& goroutine, const Snapshot* captured,
                      Frames frames, Snapshot& scratch);

}  // namespace weft::rt
