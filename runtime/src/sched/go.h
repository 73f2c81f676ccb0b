// How a goroutine begins and ends.
#pragma once

#include <cstddef>
#include <functional>

#include "weft/go.h"

namespace weft::rt {

struct G;
struct Processor;
class Scheduler;

// Returns the goroutine that runs on this thread; null on a plain thread and on a scheduler stack.
G* current_goroutine() noexcept;

// Makes a goroutine that is not runnable yet, with room for a closure of `size` bytes on its stack. The goroutine
// inherits the labels and the bubble of `parent`, which may be null. Nothing is called after its end, unless somebody
// sets G::after_end. `options` may be null. So may `processor`, on a plain thread.
// Throws std::bad_alloc.
G* make_goroutine(Scheduler& scheduler, Processor* processor, const G* parent, std::size_t size, std::size_t alignment,
                  weft::detail::ClosureEntry entry, const SourceLocation& where, const GoOptions* options);

// Starts a goroutine that has no parent, for what the runtime itself has to tell: who finds out is whoever happens to
// poll, and that goroutine's labels and bubble have nothing to do with it. Does nothing when no runtime runs.
// Throws std::bad_alloc.
void go_without_parent(std::function<void()> fn, SourceLocation where = SourceLocation::current());

// Does what a goroutine still has to do on its own stack when its function has returned. A second call is harmless.
void end_goroutine(G& g) noexcept;

}  // namespace weft::rt
