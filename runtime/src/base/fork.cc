#include "runtime/src/base/fork.h"

#include <pthread.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <iterator>

#include "runtime/src/base/fatal.h"

namespace weft::rt {

constinit std::atomic<bool> forked_child_flag{false};

namespace {

// The number of ForkWatches that live. It is counted up before the runtime's first thread starts, and down after the
// last was joined: a thread of the runtime that forks sees its own runtime's, and for a fork beside the start or the
// end either answer will do. The increment is a release, which publishes the hook.
constinit std::atomic<int> runtimes_with_threads{0};

// What the scheduler does in a forked child. Every ForkWatch writes the same function, before runtimes_with_threads is
// counted up.
constinit std::atomic<void (*)() noexcept> in_forked_child_hook{nullptr};

// Runs between fork() and its return in the child, so it does only what a signal handler may do.
void mark_child() noexcept {
  if (runtimes_with_threads.load(std::memory_order_acquire) == 0) return;
  in_forked_child_hook.load(std::memory_order_relaxed)();
  forked_child_flag.store(true, std::memory_order_relaxed);
}

iovec piece(const char* text) noexcept { return {const_cast<char*>(text), std::strlen(text)}; }

}  // namespace

void die_in_forked_child(const char* what) noexcept {
  const iovec pieces[] = {
      piece("weft: fatal error: "), piece(what),
      piece(" in a forked child: only exec is allowed; use posix_spawn, or fork before weft::run (docs/fork.md)\n")};
  static_cast<void>(::writev(STDERR_FILENO, pieces, std::size(pieces)));
  ::_exit(2);
}

ForkWatch::ForkWatch(void (*in_child)() noexcept) noexcept {
  in_forked_child_hook.store(in_child, std::memory_order_relaxed);
  static const int installed = ::pthread_atfork(nullptr, nullptr, &mark_child);
  WEFT_CHECK(installed == 0, "no memory for a fork handler");
  runtimes_with_threads.fetch_add(1, std::memory_order_release);
}

ForkWatch::~ForkWatch() {
  if (!kept_) runtimes_with_threads.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace weft::rt
