// How many processors a program gets: what run()'s options say, else WEFT_PROCS, else what the machine
// grants.
//
// The machine grants the CPUs of the affinity mask, and no more than the CPU quota of the cgroups, rounded up. A quota
// says how much a program may compute, not how parallel it may be: so the quota never takes the number below two,
// unless the mask does.
#pragma once

#include <string>

#include "runtime/src/sched/constants.h"

namespace weft::rt {

// Returns the number for a program whose options don't say: WEFT_PROCS, else granted_procs(). A WEFT_PROCS that is not
// a number from 1 to kMaxProcs is ignored, and one line on stderr says so, once in the process's life. The function
// reads the environment, so it must not run beside a setenv().
int default_procs() noexcept;

// Tells whether the option (0: not given) or WEFT_PROCS fixes the number, so that it must not follow what the machine
// grants.
bool procs_were_chosen(int option) noexcept;

// Returns what the machine grants now, which changes with a container's limits. It looks at the calling thread's
// affinity mask. Any thread may call it. It reads a handful of small files, so once a second is often enough.
int granted_procs() noexcept;

// --- the parts of granted_procs() ---

// Returns the number of CPUs in the calling thread's affinity mask, of whatever size the mask is; at least 1.
int affinity_cpus() noexcept;

// Returns the least CPU quota, in CPUs, of the cgroup that this process is in and of every ancestor that is mounted
// here; infinity when none has one. It knows cgroup v1, v2 and both side by side. What can't be found, read or
// understood counts as no quota. `root` stands before every path, so that a test may bring its own /proc/self and
// cgroup files. Throws std::bad_alloc.
double cgroup_cpu_quota(const std::string& root = "");

// Applies the rule at the top of this file.
int procs_within(int cpus, double quota) noexcept;

}  // namespace weft::rt
