// Goroutines that kept their thread for so long that sysmon took their processor away: what the debug server shows of them, and the line in
// the log.
//
// A hog's stack is had in three steps, none of which holds sysmon up. Sysmon notes who it is. The reporter (crash/crash.h) asks the thread for
// its registers and its stack. Whoever reads recent_hogs() first unwinds that, because loading debug information takes a while and a service
// that nobody looks into should not pay for it.
//
// Only a thread that computes is asked, by SIGURG: one that sleeps in a system call would come out of it with EINTR, which its caller may not
// expect. The handler (crash/thread_signals.cc) may interrupt anything, malloc included: it runs on a stack of its own, takes no lock, calls
// nothing but system calls, and leaves errno as it was. What it interrupts can't tell.
#pragma once

#include <cstdint>

#include "runtime/src/base/clock.h"
#include "weft/stats.h"

namespace weft::rt {

struct G;
class Machine;

// How many there were since the process began.
std::uint64_t hogs_seen() noexcept;

// Who runs there; by sysmon, before it takes the processor: as long as the machine holds it nothing changes. Null `g`: nobody.
HogInfo observe_hog(const G* g);

// By sysmon, just after it took the processor.
void note_hog(HogInfo hog, const Machine& machine, const G* g, Nanos since) noexcept;

// By the reporter, as its errand: captures the stacks of the hogs that were noted since the last call.
void capture_hog_stacks();

}  // namespace weft::rt
