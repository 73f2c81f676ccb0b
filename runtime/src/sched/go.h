// How a goroutine begins and ends.
#pragma once

#include <cstddef>

#include "weft/go.h"

namespace weft::rt {

struct G;
struct Processor;
class Scheduler;

// The goroutine that runs on this thread; null on a plain thread and on a scheduler stack.
G* current_goroutine() noexcept;

// A goroutine that is not runnable yet, with room for a closure of `size` bytes on its stack. It inherits the labels and the bubble of the
// caller. `options` may be null, and so may `processor`, on a plain thread. Throws std::bad_alloc.
G* make_goroutine(Scheduler& scheduler, Processor* processor, std::size_t size, std::size_t alignment,
                  weft::detail::ClosureEntry entry, const SourceLocation& where, const GoOptions* options);

// What a goroutine still has to do on its own stack when its function has returned. Once more is harmless.
void end_goroutine(G& g) noexcept;

}  // namespace weft::rt
