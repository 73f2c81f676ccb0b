// The ways in which Go's runtime ends a process: fatal errors, and checks that stay on in release builds.
#pragma once

#include <string>
#include <string_view>
#include <typeinfo>

namespace weft::rt {

// The exit status of a process that ends with a report.
inline constexpr int kFailureStatus = 2;

struct Crash {
  std::string_view text;        // the first lines, each with its newline
  bool all_goroutines = false;  // whatever WEFT_TRACEBACK says, unless it is none
  bool runtime_broken = false;  // the runtime's own frames matter
  bool aborts = false;          // SIGABRT instead of status 2
};

// Reports the crash of the calling thread and ends the process. It must not be called from a signal handler. The room
// of crash reports fills in how it reports, before main(); in a program without that room the text alone goes to
// stderr.
using CrashReporter = void (*)(const Crash& crash) noexcept;
void set_crash_reporter(CrashReporter reporter) noexcept;
[[noreturn]] void report_crash(const Crash& crash) noexcept;

// Prints "fatal error: TEXT" and the goroutine that met it, with its stack, to stderr, and ends the process with status
// 2 (crash/crash.h has the table). It is for misuse that can't be recovered from. Any thread may call it.
[[noreturn]] void fatal(const char* text) noexcept;

// Does the same with every goroutine, each with its wait reason and stack. It is for what no single goroutine is to
// blame for. Any thread may call it.
[[noreturn]] void fatal_all(const char* text) noexcept;

// Reports a broken invariant of weft itself: prints "weft: FILE:LINE: check failed: CONDITION: TEXT" and the stack, and
// aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const char* text) noexcept;

// Makes an exception that leaves a goroutine (or anything else that calls std::terminate) print "panic: VALUE", the
// goroutine with its stack, and end the process with status 2.
void install_terminate_handler() noexcept;

// Returns the exception that is being handled, as reports name it: "TYPE: WHAT", or the text that was thrown.
std::string current_exception_text();

// Returns the type's name, demangled.
std::string type_name(const std::type_info& type);

}  // namespace weft::rt

// A check that stays on in release builds: for corrupt state words, double parks, negative counters.
#define WEFT_CHECK(condition, text)                                   \
  do {                                                                \
    if (!(condition)) [[unlikely]] {                                  \
      ::weft::rt::check_failed(__FILE__, __LINE__, #condition, text); \
    }                                                                 \
  } while (false)

// A check for what is too expensive on a hot path; it is off when NDEBUG is defined.
#ifdef NDEBUG
#define WEFT_DCHECK(condition, text) \
  do {                               \
  } while (false)
#else
#define WEFT_DCHECK(condition, text) WEFT_CHECK(condition, text)
#endif
