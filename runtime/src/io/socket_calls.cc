#include "runtime/src/io/socket_calls.h"

#include <pthread.h>
#include <sys/sendfile.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "runtime/src/base/errno.h"

namespace weft::rt {
namespace {

// The most that one call copies. It takes well under a millisecond from memory; the caller looks at its deadline after
// each call.
constexpr std::size_t kMostPerCall = std::size_t{1} << 20;

bool sigpipe_ends_process() noexcept {
  struct sigaction action;
  return ::sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_DFL;
}

// While this lives, a write of this thread to a broken pipe raises no SIGPIPE that anybody gets. The function that has
// one does not park.
class NoSigpipeHere {
 public:
  NoSigpipeHere() noexcept {
    ::sigemptyset(&sigpipe_);
    ::sigaddset(&sigpipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &old_mask_);
    sigset_t pending;
    pending_before_ = ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGPIPE) == 1;
  }
  NoSigpipeHere(const NoSigpipeHere&) = delete;
  NoSigpipeHere& operator=(const NoSigpipeHere&) = delete;
  ~NoSigpipeHere() {
    const int saved_errno = last_errno();
    // A second pending SIGPIPE is none: one that was pending before stays for whom it is meant.
    if (may_have_raised_ && !pending_before_) {
      const timespec at_once{};
      while (::sigtimedwait(&sigpipe_, nullptr, &at_once) < 0 && last_errno() == EINTR) {
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
    set_errno(saved_errno);
  }
  void set_may_have_raised() noexcept { may_have_raised_ = true; }

 private:
  sigset_t sigpipe_;
  sigset_t old_mask_;
  bool pending_before_ = false;
  bool may_have_raised_ = false;
};

}  // namespace

ssize_t socket_send_file(int fd, int file, off_t offset, std::size_t count) noexcept {
  count = std::min(count, kMostPerCall);
  // sendfile(2) knows no MSG_NOSIGNAL. A program that ignores or handles SIGPIPE (weft::app does) needs no more.
  if (!sigpipe_ends_process()) return ::sendfile(fd, file, &offset, count);
  NoSigpipeHere quiet;
  const ssize_t n = ::sendfile(fd, file, &offset, count);
  // One call sends many times. When a later send finds the connection broken, the signal is raised, and yet the call
  // returns how much went out before. Only a call that sent all of it has raised none.
  if (n < 0 || static_cast<std::size_t>(n) < count) quiet.set_may_have_raised();
  return n;
}

}  // namespace weft::rt
