#include "runtime/src/control/procs.h"
#include "weft/log.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/src/base/errno.h"

namespace weft::rt {
namespace {

constexpr double kNoQuota = std::numeric_limits<double>::infinity();

// --- text ------------------------------------------------------------------------------------------------------------

// Returns the text of the file; empty when there is none to read.
std::string read_file(const std::string& path) {
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char chunk[4096];
  for (;;) {
    const ssize_t n = ::read(fd, chunk, sizeof(chunk));
    if (n < 0 && last_errno() == EINTR) continue;
    if (n <= 0) break;
    text.append(chunk, static_cast<std::size_t>(n));
  }
  ::close(fd);
  return text;
}

// Takes the text up to the separator, or all of it, off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) noexcept {
  const std::size_t n = std::min(rest.find(separator), rest.size());
  const std::string_view head = rest.substr(0, n);
  rest.remove_prefix(std::min(n + 1, rest.size()));
  return head;
}

bool has_element(std::string_view list, std::string_view element) noexcept {
  while (!list.empty()) {
    if (take_until(list, ',') == element) return true;
  }
  return false;
}

std::optional<long long> whole_number(std::string_view text) noexcept {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  long long n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

double quota_of(std::optional<long long> quota, std::optional<long long> period) noexcept {
  if (!quota || !period || *quota <= 0 || *period <= 0) return kNoQuota;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

// --- cgroups ---------------------------------------------------------------------------------------------------------

// Reads v2's "QUOTA PERIOD", where QUOTA may be "max".
double quota_v2(const std::string& directory) {
  const std::string text = read_file(directory + "/cpu.max");
  std::string_view rest = text;
  const std::string_view quota = take_until(rest, ' ');
  return quota_of(whole_number(quota), whole_number(rest));
}

// Reads v1's two files; a quota of -1 means none.
double quota_v1(const std::string& directory) {
  const std::optional<long long> quota = whole_number(read_file(directory + "/cpu.cfs_quota_us"));
  return quota ? quota_of(quota, whole_number(read_file(directory + "/cpu.cfs_period_us"))) : kNoQuota;
}

// The cgroups that this process is in, from /proc/self/cgroup. Its lines are "ID:CONTROLLERS:PATH", where v2 has no
// controllers.
struct Membership {
  std::optional<std::string> v1;  // of the controller cpu
  std::optional<std::string> v2;
};

Membership read_membership(const std::string& root) {
  Membership in;
  const std::string text = read_file(root + "/proc/self/cgroup");
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = take_until(rest, '\n');
    const std::string_view id = take_until(line, ':');
    const std::string_view controllers = take_until(line, ':');
    if (line.empty() || line.front() != '/') continue;
    if (id == "0" && controllers.empty()) in.v2 = line;
    if (has_element(controllers, "cpu")) in.v1 = line;
  }
  return in;
}

// Turns \ooo into the character that it stands for: blanks and backslashes in mountinfo are written so.
std::string unescape(std::string_view text) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool has_parent_step(std::string_view path) noexcept {
  while (!path.empty()) {
    if (take_until(path, '/') == "..") return true;
  }
  return false;
}

bool only_parent_steps(std::string_view path) noexcept {
  while (!path.empty()) {
    const std::string_view step = take_until(path, '/');
    if (!step.empty() && step != "..") return false;
  }
  return true;
}

// Returns where the cgroup `path` lies below a mount that shows the hierarchy from the cgroup `mount_root` on ("" or
// "/..."); nothing when the mount does not show it. Both are as this process's cgroup namespace names them: what lies
// outside of the namespace begins with "/..".
std::optional<std::string> place_below(std::string_view mount_root, std::string_view path) {
  if (mount_root == "/") mount_root = "";
  if (path == "/") path = "";
  const std::string_view rest = path.substr(std::min(mount_root.size(), path.size()));
  if (path.starts_with(mount_root) && (rest.empty() || rest.front() == '/')) {
    if (has_parent_step(rest)) return std::nullopt;
    return std::string(rest);
  }
  // The mount shows an ancestor of the namespace, which has no name for the way down from there. At least the
  // ancestor's own limit holds.
  if (only_parent_steps(mount_root) && !has_parent_step(path)) return std::string();
  return std::nullopt;
}

template <typename Read>
double least_quota(const std::string& mount_point, std::string place, Read read) {
  double least = read(mount_point);
  while (!place.empty()) {
    least = std::min(least, read(mount_point + place));
    place.resize(place.rfind('/'));
  }
  return least;
}

// Reads one line of mountinfo: ID PARENT DEVICE ROOT MOUNT-POINT OPTIONS [FIELD...] - TYPE SOURCE SUPER-OPTIONS.
double quota_of_mount(const std::string& root, std::string_view line, const Membership& in) {
  const std::size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return kNoQuota;
  std::string_view tail = line.substr(dash + 3);
  const std::string_view type = take_until(tail, ' ');
  static_cast<void>(take_until(tail, ' '));
  const bool v2 = type == "cgroup2";
  if (!v2 && (type != "cgroup" || !has_element(tail, "cpu"))) return kNoQuota;
  const std::optional<std::string>& path = v2 ? in.v2 : in.v1;
  if (!path) return kNoQuota;

  std::string_view head = line.substr(0, dash);
  for (int i = 0; i < 3; ++i) static_cast<void>(take_until(head, ' '));
  const std::string mount_root = unescape(take_until(head, ' '));
  const std::string mount_point = root + unescape(take_until(head, ' '));
  std::optional<std::string> place = place_below(mount_root, *path);
  if (!place) return kNoQuota;
  return v2 ? least_quota(mount_point, std::move(*place), quota_v2)
            : least_quota(mount_point, std::move(*place), quota_v1);
}

// --- the environment -------------------------------------------------------------------------------------------------

// Returns the number in WEFT_PROCS; 0 when the variable is not set, or empty, or no number of processors. With
// `complain` it says so in the last case.
int procs_of_environment(bool complain) noexcept {
  const char* const text = std::getenv("WEFT_PROCS");
  if (text == nullptr || *text == '\0') return 0;
  if (const std::optional<long long> n = whole_number(text); n && *n >= 1 && *n <= kMaxProcs)
    return static_cast<int>(*n);
  static std::atomic<bool> complained{false};
  if (complain && !complained.exchange(true, std::memory_order_relaxed)) {
    std::fprintf(stderr, "weft: WEFT_PROCS=%s: not a number from 1 to %d; ignored\n", one_line(text).c_str(),
                 kMaxProcs);
  }
  return 0;
}

}  // namespace

int affinity_cpus() noexcept {
  // The kernel refuses a set that is smaller than its own.
  constexpr std::size_t kMostCpus = std::size_t{1} << 20;
  std::vector<unsigned long> words;
  for (std::size_t cpus = 1024; cpus <= kMostCpus; cpus *= 2) {
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    try {
      words.assign(bytes / sizeof(unsigned long), 0);
    } catch (...) {
      return 1;
    }
    auto* const set = reinterpret_cast<cpu_set_t*>(words.data());
    if (::sched_getaffinity(0, bytes, set) == 0) return std::max(1, CPU_COUNT_S(bytes, set));
    if (last_errno() != EINVAL) return 1;
  }
  return 1;
}

double cgroup_cpu_quota(const std::string& root) {
  double least = kNoQuota;
  const Membership in = read_membership(root);
  if (!in.v1 && !in.v2) return least;
  const std::string mounts = read_file(root + "/proc/self/mountinfo");
  // Whichever mount shows a limit of ours or of an ancestor, that limit holds. So the least of all counts.
  for (std::string_view rest = mounts; !rest.empty();) {
    least = std::min(least, quota_of_mount(root, take_until(rest, '\n'), in));
  }
  return least;
}

int procs_within(int cpus, double quota) noexcept {
  if (quota < cpus) cpus = std::max(std::min(cpus, 2), static_cast<int>(std::ceil(quota)));
  return std::min(cpus, kMaxProcs);
}

int granted_procs() noexcept {
  const int cpus = affinity_cpus();
  try {
    return procs_within(cpus, cgroup_cpu_quota());
  } catch (...) {
    return procs_within(cpus, kNoQuota);  // there is no memory to read it with
  }
}

bool procs_were_chosen(int option) noexcept { return option > 0 || procs_of_environment(false) > 0; }

int default_procs() noexcept {
  const int chosen = procs_of_environment(true);
  return chosen > 0 ? chosen : granted_procs();
}

}  // namespace weft::rt
