// Runs a program from which the kernel withholds something, by a seccomp filter.
//
//   deny io_uring PROGRAM [ARGUMENT...]         io_uring_setup fails with EPERM, as if a container's profile forbade it
//   deny guard_install PROGRAM [ARGUMENT...]    madvise(MADV_GUARD_INSTALL) fails with EINVAL, as before Linux 6.13
//   deny drain PROGRAM [ARGUMENT...]            sockets take no filter, and there are none of netlink: both with EPERM
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

#if defined(__x86_64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "deny knows x86-64 and aarch64"
#endif

constexpr unsigned kGuardInstall = 102;  // MADV_GUARD_INSTALL, which Debian 12's headers lack

using Filter = std::vector<sock_filter>;

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
}
constexpr sock_filter skip_unless(unsigned value, unsigned char instructions) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, instructions);
}
constexpr sock_filter refuse(unsigned error) {
  return BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA));
}
constexpr sock_filter kAllow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

// Refuses only calls of this architecture. Everything else passes.
Filter io_uring_filter() {
  return {load(offsetof(seccomp_data, arch)),
          skip_unless(kArchitecture, 3),
          load(offsetof(seccomp_data, nr)),
          skip_unless(__NR_io_uring_setup, 1),
          refuse(EPERM),
          kAllow};
}

Filter guard_install_filter() {
  return {load(offsetof(seccomp_data, arch)),
          skip_unless(kArchitecture, 5),
          load(offsetof(seccomp_data, nr)),
          skip_unless(__NR_madvise, 3),
          load(offsetof(seccomp_data, args[2])),  // the low half of the argument: both architectures are little-endian
          skip_unless(kGuardInstall, 1),
          refuse(EINVAL),
          kAllow};
}

Filter drain_filter() {
  return {load(offsetof(seccomp_data, arch)),
          skip_unless(kArchitecture, 9),
          load(offsetof(seccomp_data, nr)),
          skip_unless(__NR_setsockopt, 3),
          load(offsetof(seccomp_data, args[2])),
          skip_unless(SO_ATTACH_FILTER, 5),
          refuse(EPERM),
          skip_unless(__NR_socket, 3),
          load(offsetof(seccomp_data, args[0])),
          skip_unless(AF_NETLINK, 1),
          refuse(EPERM),
          kAllow};
}

int usage() {
  std::fputs("usage: deny io_uring|guard_install|drain PROGRAM [ARGUMENT...]\n", stderr);
  return 2;
}

int fail(const char* what) {
  std::fprintf(stderr, "deny: %s: %s\n", what, std::strerror(errno));
  return 127;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return usage();
  Filter instructions;
  const std::string_view what = argv[1];
  if (what == "io_uring") {
    instructions = io_uring_filter();
  } else if (what == "guard_install") {
    instructions = guard_install_filter();
  } else if (what == "drain") {
    instructions = drain_filter();
  } else {
    return usage();
  }
  const sock_fprog program = {static_cast<unsigned short>(instructions.size()), instructions.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail("PR_SET_NO_NEW_PRIVS");
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return fail("PR_SET_SECCOMP");
  ::execvp(argv[2], argv + 2);
  return fail(argv[2]);
}
