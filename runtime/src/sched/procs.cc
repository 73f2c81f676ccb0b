#include "sched/procs.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

namespace weft::rt {
namespace {

int affinity_cpus() noexcept {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

// The quota of this process's cgroup (v2) in CPUs; infinity when there is none. Every ancestor's limit holds too.
double cgroup_quota() {
  std::ifstream membership("/proc/self/cgroup");
  double quota = std::numeric_limits<double>::infinity();
  for (std::string line; std::getline(membership, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    for (std::string path = line.substr(3); !path.empty(); path.resize(path.rfind('/'))) {
      std::ifstream file("/sys/fs/cgroup" + path + "/cpu.max");
      std::string limit;
      double period = 0;
      if (file >> limit >> period && limit != "max" && period > 0) quota = std::min(quota, std::stod(limit) / period);
      if (path.rfind('/') == std::string::npos) break;
    }
  }
  return quota;
}

}  // namespace

int default_procs() noexcept {
  if (const char* const text = std::getenv("WEFT_PROCS")) {
    int n = 0;
    const char* const end = text + std::strlen(text);
    if (const auto [p, ec] = std::from_chars(text, end, n); ec == std::errc() && p == end && n > 0)
      return std::min(n, kMaxProcs);
  }
  const int cpus = affinity_cpus();
  try {
    // Rounded up, and never below two unless there are fewer CPUs: a quota says how much, not how parallel.
    const double quota = cgroup_quota();
    if (quota < cpus) return std::max(std::min(cpus, 2), static_cast<int>(std::ceil(quota)));
  } catch (...) {
    // An unreadable quota is no quota.
  }
  return std::min(cpus, kMaxProcs);
}

}  // namespace weft::rt
