// Descriptors, by the functions that net uses.
#include "runtime/src/io/descriptor.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <new>
#include <stdexcept>
#include <system_error>

#include "support/failing_new.h"
#include "support/matrix.h"

namespace {

using weft::rt::Descriptor;
using weft::rt::FdKind;
using weft::rt::make_descriptor;

struct Ends {
  Ends() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0); }
  int fds[2];
};

// close() returns when nobody uses the number any more.
WEFT_MATRIX_TEST(Descriptor, UserThatThrowsLetsGoOfTheNumber) {
  const Ends ends;
  Descriptor* const descriptor = make_descriptor(ends.fds[0], FdKind::stream);
  EXPECT_THROW(static_cast<void>(descriptor->with_fd([](int) -> std::error_code { throw std::runtime_error("no"); })),
               std::runtime_error);
  EXPECT_FALSE(descriptor->with_fd([&](int fd) {
    EXPECT_EQ(fd, ends.fds[0]);
    return std::error_code();
  }));
  EXPECT_FALSE(descriptor->close());
  EXPECT_LT(::fcntl(ends.fds[0], F_GETFD), 0);
  descriptor->drop_owner();
  ::close(ends.fds[1]);
}

WEFT_MATRIX_TEST(Descriptor, OneThatCanNotBeMadeLeavesTheNumberToTheCaller) {
  const Ends ends;
  for (const FdKind kind : {FdKind::borrowed, FdKind::file, FdKind::stream, FdKind::tcp}) {
    {
      const weft::testing::AllocationsFailAfter none(0);
      EXPECT_THROW(static_cast<void>(make_descriptor(ends.fds[0], kind)), std::bad_alloc);
    }
    EXPECT_GE(::fcntl(ends.fds[0], F_GETFD), 0);
  }
  ::close(ends.fds[0]);
  ::close(ends.fds[1]);
}

}  // namespace
