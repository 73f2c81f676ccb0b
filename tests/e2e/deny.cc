// Runs a program from which the kernel withholds something, by a seccomp filter.
//
//   deny WHAT[=ERROR] PROGRAM [ARGUMENT...]
//
// WHAT is a system call (io_uring_setup, io_uring_enter, io_uring_register), which then fails as if a container's
// profile forbade it; or guard_install: madvise(MADV_GUARD_INSTALL) then fails with EINVAL, as before Linux 6.13; or
// drain: sockets then take no filter, and there are none of netlink. ERROR is EPERM (the default) or ENOSYS.
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "support/deny.h"

namespace {

using namespace weft::testing;

constexpr unsigned kGuardInstall = 102;  // MADV_GUARD_INSTALL, which Debian 12's headers lack

// Returns the filters; none when there is nothing of that name.
std::vector<Filter> filters_of(std::string_view text) {
  const std::size_t equals = text.find('=');
  const std::string_view what = text.substr(0, equals);
  unsigned error = EPERM;
  if (equals != std::string_view::npos) {
    const std::string_view name = text.substr(equals + 1);
    if (name != "EPERM" && name != "ENOSYS") return {};
    if (name == "ENOSYS") error = ENOSYS;
  }
  if (what == "guard_install") return {refuse_call_with(__NR_madvise, 2, kGuardInstall, EINVAL)};
  if (what == "io_uring_setup") return {refuse_call(__NR_io_uring_setup, error)};
  if (what == "io_uring_enter") return {refuse_call(__NR_io_uring_enter, error)};
  if (what == "io_uring_register") return {refuse_call(__NR_io_uring_register, error)};
  if (what == "drain") {
    return {refuse_call_with(__NR_setsockopt, 2, SO_ATTACH_FILTER, error),
            refuse_call_with(__NR_socket, 0, AF_NETLINK, error)};
  }
  return {};
}

int fail(const char* what) {
  std::fprintf(stderr, "deny: %s: %s\n", what, std::strerror(errno));
  return 127;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Filter> filters = argc < 3 ? std::vector<Filter>() : filters_of(argv[1]);
  if (filters.empty()) {
    std::fputs(
        "usage: deny guard_install|io_uring_setup|io_uring_enter|io_uring_register|drain[=EPERM|=ENOSYS] PROGRAM "
        "[ARGUMENT...]\n",
        stderr);
    return 2;
  }
  for (const Filter& filter : filters) {
    if (!install(filter)) return fail("seccomp");
  }
  ::execvp(argv[2], argv + 2);
  return fail(argv[2]);
}
