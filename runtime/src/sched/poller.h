// Poller: where a processor waits for I/O, one per processor.
#pragma once

#include "runtime/src/base/clock.h"

namespace weft::rt {

class Poller {
 public:
  virtual ~Poller() = default;

  // Reaps what has completed and readies its goroutines; when nothing has, waits up to `timeout` nanoseconds (0: not at all, kNever:
  // without bound). Called by the machine that holds the processor, on its scheduler stack.
  virtual void poll(Nanos timeout) noexcept = 0;

  // Makes the present blocking poll, or else the next one, return soon. Any thread; cheap when one is already under way.
  virtual void interrupt() noexcept = 0;
};

}  // namespace weft::rt
