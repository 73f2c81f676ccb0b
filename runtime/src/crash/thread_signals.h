// What the threads that run goroutines need for signals: a stack to handle them on, and a way to ask a running one
// where it is.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <vector>

#include "runtime/src/symbols/snapshot.h"

namespace weft::rt {

// Calls body(arg) on a thread that runs goroutines; every machine's thread does that. Meanwhile the thread has an
// alternate signal stack, without which the overflow of a goroutine's stack could not be reported, and is on the list
// that signalled_threads() returns. A thread that has such a stack already, as the sanitizers' have, keeps it.
void with_thread_signals(void (*body)(void* arg) noexcept, void* arg) noexcept;

// Returns the threads that are inside with_thread_signals(). Takes no lock.
std::vector<pid_t> signalled_threads();

// The first takes SIGURG for capture_running(), if nobody else has it; the second gives it back. One caller at a time.
void install_capture_handler() noexcept;
void restore_capture_handler() noexcept;

// Copies the registers and the stack of a thread of this process while the thread goes on: its handler of SIGURG makes
// the copy. Returns false when the thread has not answered within `limit` (it may block the signal), is gone, or SIGURG
// is not ours. Any thread but the one asked may call it. One call runs at a time, and the wait for that is within
// `limit` too. A blocking system call of the thread may return EINTR if it is not one that restarts.
bool capture_running(pid_t thread, Snapshot& to, std::chrono::milliseconds limit);

}  // namespace weft::rt
