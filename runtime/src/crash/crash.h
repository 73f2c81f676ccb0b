// Crash reports: what is printed when the process ends because something went wrong, and by whom.
//
// A thread that crashes may hold any lock (the allocator's, the loader's) and may have no stack left. So it only notes
// what happened, including its registers, and waits. The reporter, a thread that run() keeps asleep for this, unwinds,
// symbolises and prints. The wait is bounded: when the report makes no progress, the crashing thread prints its return
// addresses itself, with nothing but system calls.
//
//   what                              first lines                                       ends by
//   exception that leaves a goroutine panic: TYPE: WHAT                                 status 2
//   fatal(), fatal_all()              fatal error: TEXT                                 status 2
//   failed WEFT_CHECK                 weft: FILE:LINE: check failed: CONDITION: TEXT    SIGABRT
//   overflow of a goroutine's stack   runtime: goroutine stack exceeds N-byte limit     status 2
//                                     fatal error: stack overflow
//   SIGSEGV, SIGBUS, SIGFPE, SIGILL,  [signal NAME: TEXT code=N addr=N pc=N]            the signal's default action
//   SIGABRT
//   SIGQUIT                           SIGQUIT: quit                                     status 2
//
// After that come goroutines with their stacks (symbols/traceback.h), each after a blank line, as WEFT_TRACEBACK says:
//   none, 0    no goroutine
//   single     the one that crashed; the default. All of them for fatal_all() and SIGQUIT
//   all, 1     all
//   system, 2  all, with the runtime's own frames
//   crash      as system, and what would end with status 2 ends by SIGABRT, for a core
//
// When several threads crash at once, the first one's report is printed, and the others wait for the end.
#pragma once

#include <string_view>
#include <thread>

namespace weft::rt {

// Takes the signals of the table and SIGURG, each unless the program handles it, and starts the reporter. The
// destructor undoes both. Under ASan and TSan the faults are left to the sanitizer. There may be one object at a time.
class CrashReports {
 public:
  // What the reporter does between reports, on its own thread, when wake_reporter_for_errand() asks for it. It may
  // throw std::bad_alloc, which is ignored.
  using Errand = void (*)();

  // With `enabled` false it takes no signal; reports are made by threads that start when they are needed.
  CrashReports(bool enabled, Errand errand);
  ~CrashReports();
  CrashReports(const CrashReports&) = delete;
  CrashReports& operator=(const CrashReports&) = delete;

 private:
  std::thread reporter_;
};

// Makes the reporter run its errand soon; does nothing without a reporter. Any thread may call it.
void wake_reporter_for_errand() noexcept;

// Tells whether the process is about to end with a report, which nothing else should be printed into. Any thread may
// call it.
bool report_under_way() noexcept;

}  // namespace weft::rt
