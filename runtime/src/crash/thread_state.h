// What the kernel's scheduler says of a thread.
#pragma once

#include <sys/types.h>

namespace weft::rt {

// Returns the state of a thread of this process, as /proc/PID/task/TID/stat has it: 'R' runs or waits for a CPU, 'S'
// and 'D' sleep in the kernel. It is 0 when the thread is gone or /proc can't be read. The state is a moment old. Any
// thread may call it; it takes a few microseconds.
char thread_state(pid_t thread) noexcept;

}  // namespace weft::rt
