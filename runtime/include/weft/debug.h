// Stacks as text, for logs and debug pages: Go's runtime.Stack.
#pragma once

#include <string>

namespace weft {

struct StackOptions {
  // Print every goroutine: the caller's stack first, the others by id. If false, print the caller's alone.
  bool all = false;
  // Print the runtime's own frames too.
  bool system = false;
};

// Returns the stacks of goroutines in Go's format: a header with the id and what the goroutine waits for, each frame's
// function, file, line and offset, and who created the goroutine. A blank line separates two goroutines. Of a stack
// deeper than 100 frames, the 50 innermost and the 50 outermost are shown. No goroutine is stopped: another goroutine
// that runs shows "goroutine running on other thread; stack unavailable". Outside a goroutine, the caller's part is the
// stack of its thread.
// Any thread may call it. The call blocks the thread for milliseconds, and the first time for longer, because debug
// information is loaded. It is not for hot paths. Throws std::bad_alloc.
std::string stack(StackOptions options = {});

}  // namespace weft
