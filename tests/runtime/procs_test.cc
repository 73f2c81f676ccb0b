// The number of processors: WEFT_PROCS, the affinity mask, and the cgroup's CPU quota. The quota is read from made-up
// files and, where this machine lets the test make one, from a real cgroup.
#include "runtime/src/control/procs.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <utility>

#include "weft/go.h"

namespace {

namespace fs = std::filesystem;
using weft::rt::cgroup_cpu_quota;
using weft::rt::default_procs;
using weft::rt::granted_procs;
using weft::rt::kMaxProcs;
using weft::rt::procs_within;

constexpr double kNone = std::numeric_limits<double>::infinity();

// --- made-up trees ---------------------------------------------------------------------------------------------------

class CgroupQuota : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "weft-procs-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }

  void file(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void membership(const std::string& text) { file("/proc/self/cgroup", text); }
  void mounts(const std::string& text) { file("/proc/self/mountinfo", kOtherMounts + text); }
  void v1(const std::string& directory, const std::string& quota, const std::string& period) {
    file(directory + "/cpu.cfs_quota_us", quota);
    file(directory + "/cpu.cfs_period_us", period);
  }
  double quota() const { return cgroup_cpu_quota(root_); }

  static constexpr const char* kOtherMounts =
      "23 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
      "24 23 0:22 / /proc rw,nosuid - proc proc rw\n";
  std::string root_;
};

TEST_F(CgroupQuota, NoFilesIsNone) { EXPECT_EQ(quota(), kNone); }

TEST_F(CgroupQuota, MembershipWithoutMountsIsNone) {
  membership("0::/service\n");
  EXPECT_EQ(quota(), kNone);
  mounts("");
  EXPECT_EQ(quota(), kNone);
}

TEST_F(CgroupQuota, V2) {
  membership("0::/service\n");
  mounts("30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  EXPECT_EQ(quota(), kNone);
  file("/sys/fs/cgroup/service/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), kNone);
  file("/sys/fs/cgroup/service/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 1.5);
  file("/sys/fs/cgroup/service/cpu.max", "20000 10000\n");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(CgroupQuota, V2EveryAncestorLimits) {
  membership("0::/a/b/c\n");
  mounts("30 23 0:26 / /cg rw - cgroup2 none rw\n");
  file("/cg/a/b/c/cpu.max", "max 100000\n");
  file("/cg/a/b/cpu.max", "500000 100000\n");
  EXPECT_EQ(quota(), 5.0);
  file("/cg/a/cpu.max", "300000 100000\n");
  EXPECT_EQ(quota(), 3.0);
  file("/cg/cpu.max", "250000 100000\n");  // the root has the file where the mount shows the part of a container
  EXPECT_EQ(quota(), 2.5);
  file("/cg/a/b/c/cpu.max", "50000 100000\n");
  EXPECT_EQ(quota(), 0.5);
}

TEST_F(CgroupQuota, V2InACgroupNamespace) {
  membership("0::/\n");
  mounts("30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n");
  file("/sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota(), 4.0);
}

// A container without a namespace of its own: the mount shows the hierarchy from the container's cgroup on.
TEST_F(CgroupQuota, MountOfAPartOfTheHierarchy) {
  membership("0::/kubepods/pod1/box\n");
  mounts("30 23 0:26 /kubepods/pod1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  file("/sys/fs/cgroup/box/cpu.max", "700000 100000\n");
  file("/sys/fs/cgroup/kubepods/pod1/box/cpu.max", "100000 100000\n");  // belongs to another container
  EXPECT_EQ(quota(), 7.0);
  file("/sys/fs/cgroup/cpu.max", "600000 100000\n");
  EXPECT_EQ(quota(), 6.0);
}

TEST_F(CgroupQuota, MountOfAnotherPartIsNone) {
  membership("0::/kubepods/pod10\n");
  mounts("30 23 0:26 /kubepods/pod1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  file("/sys/fs/cgroup/cpu.max", "100000 100000\n");
  file("/sys/fs/cgroup/0/cpu.max", "100000 100000\n");
  EXPECT_EQ(quota(), kNone);
}

TEST_F(CgroupQuota, OutsideOfTheNamespace) {
  membership("0::/../other\n");
  mounts("30 23 0:26 / /cg/own ro - cgroup2 cgroup rw\n");
  file("/cg/own/cpu.max", "100000 100000\n");
  file("/cg/other/cpu.max", "100000 100000\n");  // the way up leads out of the mount
  EXPECT_EQ(quota(), kNone);
  mounts("30 23 0:26 /.. /cg ro - cgroup2 cgroup rw\n");
  EXPECT_EQ(quota(), 1.0);
}

// The host's mount, seen from within a namespace. The cgroups in between have no name, but the top of the mount is an
// ancestor.
TEST_F(CgroupQuota, AncestorOfTheNamespace) {
  membership("0::/\n");
  mounts("30 23 0:26 /../.. /cg ro - cgroup2 cgroup rw\n");
  file("/cg/cpu.max", "900000 100000\n");
  EXPECT_EQ(quota(), 9.0);
}

TEST_F(CgroupQuota, V1) {
  membership("12:memory:/m\n4:cpu,cpuacct:/docker/box\n1:name=systemd:/s\n");
  mounts(
      "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:7 - cgroup cgroup rw,cpu,cpuacct\n");
  v1("/sys/fs/cgroup/memory/docker/box", "100000", "100000");  // the mount of another controller
  EXPECT_EQ(quota(), kNone);
  v1("/sys/fs/cgroup/cpu,cpuacct/docker/box", "-1\n", "100000\n");
  EXPECT_EQ(quota(), kNone);
  v1("/sys/fs/cgroup/cpu,cpuacct/docker/box", "325000\n", "100000\n");
  EXPECT_EQ(quota(), 3.25);
  v1("/sys/fs/cgroup/cpu,cpuacct/docker", "200000\n", "100000\n");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(CgroupQuota, V1ControllerAloneAndBoundToTheContainer) {
  membership("1:cpuset:/docker/box\n2:cpu:/docker/box\n");
  mounts("32 31 0:29 /docker/box /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
  v1("/sys/fs/cgroup/cpu", "50000\n", "25000\n");
  EXPECT_EQ(quota(), 2.0);
}

// cpuset and cpuacct are not cpu.
TEST_F(CgroupQuota, V1OtherControllersAreNot) {
  membership("1:cpuset,cpuacct:/x\n");
  mounts("32 31 0:29 / /cg rw - cgroup cgroup rw,cpuset,cpuacct\n");
  v1("/cg/x", "100000\n", "100000\n");
  EXPECT_EQ(quota(), kNone);
}

TEST_F(CgroupQuota, Hybrid) {
  membership("1:cpu:/one\n0::/two\n");
  mounts(
      "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  v1("/sys/fs/cgroup/cpu/one", "250000\n", "100000\n");
  EXPECT_EQ(quota(), 2.5);
  file("/sys/fs/cgroup/unified/two/cpu.max", "200000 100000\n");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(CgroupQuota, BlanksInTheMountPoint) {
  membership("0::/a b\n");
  mounts("30 23 0:26 / /my\\040cg\\134roup rw - cgroup2 cgroup2 rw\n");
  file("/my cg\\roup/a b/cpu.max", "300000 100000\n");
  EXPECT_EQ(quota(), 3.0);
}

TEST_F(CgroupQuota, GarbageIsNone) {
  mounts(
      "30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n"
      "\n - \n - cgroup2 x\nx - cgroup2 x rw\n30 - cgroup\n31 1 0:2 / /cg\\0 rw\n");
  for (const char* const lines :
       {"", "\n\n", "0", "0:", "0::", "0::relative\n", ":::\n", "cpu\n", "0:cpu\n", "x:y:z\n"}) {
    membership(lines);
    EXPECT_EQ(quota(), kNone) << lines;
  }
  membership("0::/a\n");
  for (const char* const text : {"", "\n", "max", "abc def\n", "100000\n", "100000 0\n", "0 100000\n", "-5 100000\n",
                                 "100000 abc\n", "99999999999999999999 100000\n", "1e5 1e5\n", " 100000 100000"}) {
    file("/cg/a/cpu.max", text);
    EXPECT_EQ(quota(), kNone) << text;
  }
  membership("2:cpu:/a\n");
  mounts("32 31 0:29 / /v1 rw - cgroup cgroup rw,cpu\n");
  file("/v1/a/cpu.cfs_quota_us", "100000\n");
  EXPECT_EQ(quota(), kNone);  // there is no period
  v1("/v1/a", "x\n", "100000\n");
  EXPECT_EQ(quota(), kNone);
}

// --- the rule --------------------------------------------------------------------------------------------------------

TEST(Procs, QuotaIsRoundedUpAndNeverBelowTwo) {
  EXPECT_EQ(procs_within(8, kNone), 8);
  EXPECT_EQ(procs_within(8, 1.5), 2);
  EXPECT_EQ(procs_within(8, 0.1), 2);
  EXPECT_EQ(procs_within(8, 2.0), 2);
  EXPECT_EQ(procs_within(8, 2.01), 3);
  EXPECT_EQ(procs_within(8, 7.5), 8);
  EXPECT_EQ(procs_within(8, 100.0), 8);
  EXPECT_EQ(procs_within(2, 0.5), 2);
  EXPECT_EQ(procs_within(1, 0.5), 1);
  EXPECT_EQ(procs_within(1, kNone), 1);
  EXPECT_EQ(procs_within(4096, kNone), kMaxProcs);
  EXPECT_EQ(procs_within(4096, 2000.0), kMaxProcs);
}

TEST(Procs, FollowsTheAffinityMask) {
  cpu_set_t before;
  if (::sched_getaffinity(0, sizeof(before), &before) != 0) GTEST_SKIP() << "more than 1024 CPUs";
  // The mask of a thread is its own, and ends with the thread.
  std::thread([&] {
    EXPECT_EQ(weft::rt::affinity_cpus(), CPU_COUNT(&before));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &before)) ++cpu;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(weft::rt::affinity_cpus(), 1);
    EXPECT_EQ(granted_procs(), 1);
  }).join();
}

// --- WEFT_PROCS ------------------------------------------------------------------------------------------------------

class ProcsVariable : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* const text = std::getenv("WEFT_PROCS")) before_ = text;
  }
  void TearDown() override {
    if (before_.empty()) {
      ::unsetenv("WEFT_PROCS");
    } else {
      ::setenv("WEFT_PROCS", before_.c_str(), 1);
    }
  }
  std::string before_;
};

TEST_F(ProcsVariable, Chooses) {
  for (const auto& [text, n] : {std::pair("1", 1), std::pair("3", 3), std::pair("1024", 1024)}) {
    ::setenv("WEFT_PROCS", text, 1);
    EXPECT_EQ(default_procs(), n);
    EXPECT_TRUE(weft::rt::procs_were_chosen(0));
  }
}

TEST_F(ProcsVariable, RunObeysItUnlessAnOptionSaysMore) {
  ::setenv("WEFT_PROCS", "3", 1);
  EXPECT_EQ(weft::run([] { return weft::procs(); }), 3);
  EXPECT_EQ(weft::run([] { return weft::procs(); }, {.procs = 2}), 2);
}

TEST_F(ProcsVariable, AbsentOrEmptyChoosesNothing) {
  ::unsetenv("WEFT_PROCS");
  EXPECT_FALSE(weft::rt::procs_were_chosen(0));
  EXPECT_TRUE(weft::rt::procs_were_chosen(1));
  ::setenv("WEFT_PROCS", "", 1);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(default_procs(), granted_procs());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_FALSE(weft::rt::procs_were_chosen(0));
}

// Each case runs in a process of its own, because the line is printed once in the life of a process.
TEST_F(ProcsVariable, BadOneIsIgnoredWithOneLine) {
  for (const char* const text : {"0", "-3", "abc", "2x", "1025", "99999999999999999999", "4.5", "+2", "0x2"}) {
    ::setenv("WEFT_PROCS", text, 1);
    EXPECT_EXIT(
        {
          const bool ignored = default_procs() == granted_procs() && default_procs() == granted_procs();
          ::_exit(ignored && !weft::rt::procs_were_chosen(0) ? 0 : 1);
        },
        ::testing::ExitedWithCode(0),
        "^weft: WEFT_PROCS=" + std::string(*text == '+' ? "\\" : "") + text +
            ": not a number from 1 to 1024; ignored\n$");
  }
}

// --- a real cgroup ---------------------------------------------------------------------------------------------------

bool write_to(const std::string& path, const std::string& text) {
  std::ofstream out(path);
  out << text << std::flush;
  return out.good();
}

struct RealCgroup {
  std::string directory;
  bool v2 = false;

  bool limit(long quota) const {
    if (v2) return write_to(directory + "/cpu.max", std::to_string(quota) + " 100000");
    return write_to(directory + "/cpu.cfs_period_us", "100000") &&
           write_to(directory + "/cpu.cfs_quota_us", std::to_string(quota));
  }
};

// Returns what a child that moves into the cgroup reads of its own quota, or 0 when it can't move.
double quota_inside(const RealCgroup& group) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    double seen = 0;
    if (write_to(group.directory + "/cgroup.procs", std::to_string(::getpid()))) seen = cgroup_cpu_quota();
    ::_exit(::write(ends[1], &seen, sizeof(seen)) == sizeof(seen) ? 0 : 1);
  }
  ::close(ends[1]);
  double seen = 0;
  EXPECT_EQ(::read(ends[0], &seen, sizeof(seen)), static_cast<ssize_t>(sizeof(seen)));
  ::close(ends[0]);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  return seen;
}

TEST(Procs, RealCgroup) {
  if (cgroup_cpu_quota() < 2) GTEST_SKIP() << "this process has a quota already";
  RealCgroup group;
  const std::string name = "/weft-procs-" + std::to_string(::getpid());
  for (const auto& [top, v2] : {std::pair("/sys/fs/cgroup/cpu", false), std::pair("/sys/fs/cgroup/cpu,cpuacct", false),
                                std::pair("/sys/fs/cgroup", true)}) {
    const std::string directory = std::string(top) + name;
    if (::mkdir(directory.c_str(), 0755) != 0) continue;
    group = {directory, v2};
    if (group.limit(150'000)) break;
    ::rmdir(directory.c_str());
    group.directory.clear();
  }
  if (group.directory.empty()) GTEST_SKIP() << "no cgroup with a CPU quota can be made here (not root, or read-only)";

  const double inside = quota_inside(group);
  EXPECT_TRUE(group.limit(50'000));
  const double later = quota_inside(group);
  EXPECT_EQ(::rmdir(group.directory.c_str()), 0);
  if (inside == 0) GTEST_SKIP() << "a process can't be moved to " << group.directory;
  EXPECT_EQ(inside, 1.5);
  EXPECT_EQ(procs_within(8, inside), 2);
  EXPECT_EQ(later, 0.5);
}

}  // namespace
