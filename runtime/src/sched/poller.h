// Poller: where a processor waits for I/O, one per processor.
#pragma once

#include "runtime/src/base/clock.h"

namespace weft::rt {

class Poller {
 public:
  virtual ~Poller() = default;

  // Reaps what has completed and readies its goroutines. When nothing has completed, waits up to `timeout` nanoseconds
  // (0: not at all, kNever: without bound). The machine that holds the processor calls it, on its scheduler stack.
  virtual void poll(Nanos timeout) noexcept = 0;

  // Makes the present blocking poll, or else the next one, return soon. Any thread may call it; it is cheap when an
  // interrupt is already under way.
  virtual void interrupt() noexcept = 0;
};

}  // namespace weft::rt
