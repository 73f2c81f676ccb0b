// The one loop that every operation on a descriptor runs through: try, try again when a signal interrupted the call,
// wait when there is nothing to do yet.
//
// What an operation tries and how it waits are the caller's functions. They are inlined, so the loop costs what the
// same loop written by hand costs. Locks, deadlines and closing lie around it, in Descriptor::Turn; an interrupted wait
// brings them in here as its error.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <system_error>

#include "runtime/src/base/errno.h"
#include "weft/error.h"

namespace weft::rt {

// What one attempt came to.
struct Attempt {
  ssize_t n;  // what the system call returned; -1: it failed
  int error;  // errno of a call that failed

  // `n` is the result of a system call that was made just now.
  static Attempt of(ssize_t n) noexcept { return {n, n < 0 ? last_errno() : 0}; }
  static Attempt done(std::size_t n) noexcept { return {static_cast<ssize_t>(n), 0}; }
  static Attempt failed(int error) noexcept { return {-1, error}; }
  static Attempt must_wait() noexcept { return {-1, EAGAIN}; }

  bool must_be_repeated() const noexcept { return n < 0 && error == EINTR; }
  bool would_block() const noexcept { return n < 0 && (error == EAGAIN || error == EWOULDBLOCK); }
};

// What an operation came to: n, or ec.
struct Outcome {
  ssize_t n;
  std::error_code ec;
};

// `attempt` returns an Attempt and does not block. `wait` parks until it is worth while to try again; its error ends
// the operation.
template <typename Try, typename Wait>
Outcome operate(Try attempt, Wait wait) {
  for (;;) {
    const Attempt a = attempt();
    if (a.n >= 0) return {a.n, {}};
    if (a.must_be_repeated()) continue;
    if (!a.would_block()) return {-1, system_error(a.error)};
    if (const std::error_code ec = wait()) return {-1, ec};
  }
}

// What the outcome of a read means: zero bytes are the end.
inline IoResult read_result(const Outcome& got) noexcept {
  if (got.ec) return {0, got.ec};
  if (got.n == 0) return {0, Errc::eof};
  return {static_cast<std::size_t>(got.n), {}};
}

}  // namespace weft::rt
