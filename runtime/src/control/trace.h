// Scheduler traces: WEFT_DEBUG=schedtrace=1000,scheddetail=1 prints a line each second, in Go's format.
#pragma once

#include <string>

#include "runtime/src/base/clock.h"

namespace weft::rt {

class Scheduler;

class SchedulerTrace {
 public:
  // Reads WEFT_DEBUG.
  explicit SchedulerTrace(Scheduler& scheduler) noexcept;

  // Prints a trace when one is due. Sysmon calls it.
  void print_if_due(Nanos t) noexcept;
  // Returns how long sysmon may sleep; kNever without traces.
  Nanos due_in(Nanos t) const noexcept { return next_ == kNever ? kNever : (next_ > t ? next_ - t : 0); }

 private:
  Scheduler& scheduler_;
  Nanos period_ = 0;
  Nanos next_ = kNever;
  bool detail_ = false;
};

}  // namespace weft::rt
