// The deadlock report: every goroutine waits for another one, for ever.
#pragma once

namespace weft::rt {

class Scheduler;

// Sysmon calls this when every processor sleeps. It reports, and ends the process, only when nothing can ever wake a
// goroutine: no timer is armed, no goroutine waits for I/O (signal subscriptions have one that does) or is in a
// blocking call, and the process has no thread that is not the runtime's. A report that is wrong is far worse than one
// that is missing.
void report_deadlock_if_any(Scheduler& scheduler) noexcept;

}  // namespace weft::rt
