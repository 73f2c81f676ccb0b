// Goroutines that kept their thread for so long that sysmon took their processor away: what the debug server shows of
// them, and the line in the log.
//
// A hog's stack is captured in three steps, none of which delays sysmon. First, sysmon notes who the hog is. Second,
// the reporter (crash/crash.h) asks the thread for its registers and its stack. Third, whoever reads recent_hogs()
// first unwinds that stack, because loading debug information takes a while, and a service that nobody looks into
// should not pay for it.
//
// Only a thread that computes is asked, by SIGURG: a thread that sleeps in a system call would come out of it with
// EINTR, which its caller may not expect. The handler (crash/thread_signals.cc) may interrupt anything, malloc
// included. So it runs on a stack of its own, takes no lock, calls nothing but system calls, and leaves errno as it
// was. What the handler interrupts does not notice.
#pragma once

#include <cstdint>

#include "runtime/src/base/clock.h"
#include "weft/stats.h"

namespace weft::rt {

struct G;
class Machine;

// Returns how many hogs there were since the process began.
std::uint64_t hogs_seen() noexcept;

// Notes who `g` is; null: nobody. Sysmon calls it before it takes the processor from `g`: as long as the machine holds
// the processor, nothing changes.
HogInfo observe_hog(const G* g);

// Keeps the hog, and logs it. Sysmon calls it just after it took the processor.
void note_hog(HogInfo hog, const Machine& machine, const G* g, Nanos since) noexcept;

// Captures the stacks of the hogs that were noted since the last call. The reporter calls it, as its errand.
void capture_hog_stacks();

}  // namespace weft::rt
