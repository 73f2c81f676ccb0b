// Stacks as text, for logs and debug pages: Go's runtime.Stack.
#pragma once

#include <string>

namespace weft {

struct StackOptions {
  // Every goroutine, the caller's first, the others by id; else the caller's alone.
  bool all = false;
  // With the runtime's own frames.
  bool system = false;
};

// The stacks of goroutines in Go's format: a header with the id and what it waits for, each frame's function, file, line and offset, and
// who created it; a blank line between two. Of a stack deeper than 100 frames the 50 innermost and the 50 outermost are shown. Nobody is
// stopped: another goroutine that runs shows "goroutine running on other thread; stack unavailable". Outside a goroutine the caller's part
// is the thread's.
// Any thread. It blocks the thread: for milliseconds, the first time (debug information is loaded) for longer; not for hot paths.
// Throws std::bad_alloc.
std::string stack(StackOptions options = {});

}  // namespace weft
