#include "runtime/src/crash/throw_watch.h"

#include <cstdint>
#include <new>
#include <string>

#include "runtime/src/arch/call_watched.h"
#include "runtime/src/sched/machine.h"
#include "runtime/src/symbols/debug_info.h"
#include "runtime/src/symbols/large_stack.h"
#include "runtime/src/symbols/traceback.h"

namespace weft::rt {
namespace {

const G* current_goroutine() noexcept {
  Machine* const machine = current_machine();
  return machine == nullptr ? nullptr : machine->current();
}

}  // namespace

void ThrowWatch::call(void (*function)(void* argument), void* argument) {
  const ThrowObserver observer{&on_throw, this};
  weft_call_watched(function, argument, &observer);
}

// The stack ends where G lies. read_memory() makes the copy, because a sanitizer would object to a copy of its red
// zones.
void ThrowWatch::on_throw(void* self) noexcept {
  const G* const g = current_goroutine();
  if (g == nullptr) return;
  Snapshot& thrown = static_cast<ThrowWatch*>(self)->thrown_.emplace();
  WEFT_CAPTURE_HERE(thrown.registers);
  thrown.low = thrown.registers.sp();
  thrown.copy_only = true;
  try {
    thrown.bytes.resize(reinterpret_cast<std::uint64_t>(g) - thrown.low);
  } catch (const std::bad_alloc&) {
    return;
  }
  thrown.bytes.resize(read_memory(thrown.low, thrown.bytes.data(), thrown.bytes.size()));
}

std::string ThrowWatch::stack() const {
  std::string text;
  const G* const self = current_goroutine();
  if (!thrown_ || thrown_->bytes.empty() || self == nullptr) return text;
  on_large_stack([&] {
    ListedGoroutine listed;
    list_goroutine(*self, listed);
    listed.status = Status::running;  // as it was then
    listed.blocking = false;
    Snapshot unused;
    const DebugInfo::Use info;
    append_goroutine(text, *info, listed, &*thrown_, Frames::user, unused);
  });
  return text;
}

}  // namespace weft::rt
