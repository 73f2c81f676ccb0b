// ThrowWatch: calls a function whose exceptions the caller catches, and knows afterwards where one was thrown.
//
// The C++ runtime looks for a handler before it unwinds anything: it walks up the stack that throws and calls each
// frame's personality function. weft_call_watched (arch/call_watched.h) is a frame whose personality function copies
// the registers and the stack, and has no handler. So an exception that the function catches itself costs nothing, and
// one that it lets out costs a copy of the stack. Symbols are looked up when somebody asks for the text.
#pragma once

#include <optional>
#include <string>

#include "runtime/src/symbols/snapshot.h"

namespace weft::rt {

// A watch belongs to one goroutine, and lies on its stack.
class ThrowWatch {
 public:
  ThrowWatch() noexcept = default;
  ThrowWatch(const ThrowWatch&) = delete;
  ThrowWatch& operator=(const ThrowWatch&) = delete;

  // Calls function(argument). Exceptions pass through; there must be a handler above.
  void call(void (*function)(void* argument), void* argument);

  // Returns what weft::stack() would have said where the exception that left call() was thrown; empty when there was no
  // memory for the copy. Blocks the thread, as weft::stack() does. Throws std::bad_alloc.
  std::string stack() const;

 private:
  // Not a lambda: a traceback hides frames by their full names, which inlined functions do not have.
  static void on_throw(void* self) noexcept;

  std::optional<Snapshot> thrown_;
};

}  // namespace weft::rt
