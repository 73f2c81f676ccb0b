// How many processors a program gets when it does not say (R18): WEFT_PROCS, else the affinity mask and the cgroup's CPU quota.
#pragma once

namespace weft::rt {

int default_procs() noexcept;

inline constexpr int kMaxProcs = 1024;

}  // namespace weft::rt
