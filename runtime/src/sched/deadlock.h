// The deadlock report (R25): every goroutine waits for another one, for ever.
#pragma once

namespace weft::rt {

class Scheduler;

// Called by sysmon when every processor sleeps. Reports, and ends the process, only when nothing can ever wake a goroutine: no timer is
// armed, no goroutine waits for I/O or is in a blocking call, nobody outside has announced itself (OutsideWaker), and the process has no
// thread that is not the runtime's. A report that is wrong is far worse than one that is missing.
void report_deadlock_if_any(Scheduler& scheduler) noexcept;

// While one lives, something outside the goroutines may wake one of them: a signal subscription, say.
class OutsideWaker {
 public:
  OutsideWaker() noexcept;
  ~OutsideWaker();
  OutsideWaker(const OutsideWaker&) = delete;
  OutsideWaker& operator=(const OutsideWaker&) = delete;
};

}  // namespace weft::rt
