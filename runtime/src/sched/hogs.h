// Goroutines that computed for so long that sysmon took their processor away: what the debug server shows of them, and the line in the log.
#pragma once

#include <cstdint>

#include "time/clock.h"

namespace weft::rt {

struct G;
class Machine;

// How many there were since the process began.
std::uint64_t hogs_seen() noexcept;

// By sysmon, just after it took the processor.
void note_hog(Machine& machine, const G& g, int processor, Nanos since) noexcept;

}  // namespace weft::rt
