// Seccomp filters by which the kernel withholds a system call from a process, as a container's profile does.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <vector>

namespace weft::testing {

#if defined(__x86_64__)
inline constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
inline constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the filters are for x86-64 and aarch64"
#endif

using Filter = std::vector<sock_filter>;

inline constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
}
inline constexpr sock_filter skip_unless(unsigned value, unsigned char instructions) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, instructions);
}
inline constexpr sock_filter refuse(unsigned error) {
  return BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA));
}
inline constexpr sock_filter kAllow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

// Makes the system call fail with `error`. Calls of other architectures pass, as everything else does.
inline Filter refuse_call(unsigned call, unsigned error) {
  return {load(offsetof(seccomp_data, arch)),
          skip_unless(kArchitecture, 3),
          load(offsetof(seccomp_data, nr)),
          skip_unless(call, 1),
          refuse(error),
          kAllow};
}

// Does the same for calls whose argument of that index has the value; only the low half of the argument is looked at.
inline Filter refuse_call_with(unsigned call, unsigned index, unsigned value, unsigned error) {
  // Both architectures are little-endian.
  const std::size_t argument = offsetof(seccomp_data, args) + index * sizeof(seccomp_data::args[0]);
  return {load(offsetof(seccomp_data, arch)),
          skip_unless(kArchitecture, 5),
          load(offsetof(seccomp_data, nr)),
          skip_unless(call, 3),
          load(argument),
          skip_unless(value, 1),
          refuse(error),
          kAllow};
}

// Puts the filter before every system call of every thread of this process, and of the programs that it executes.
// Returns false, with errno, when the kernel refuses.
inline bool install(const Filter& filter) {
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

}  // namespace weft::testing
