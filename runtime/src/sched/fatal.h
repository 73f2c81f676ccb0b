// The ends of the process that Go's runtime has: fatal errors, and checks that stay on in release builds.
#pragma once

namespace weft::rt {

// Prints "fatal error: TEXT" and the goroutine that met it to stderr, and ends the process with status 2. For misuse that can't be
// recovered from (R12); any thread.
[[noreturn]] void fatal(const char* text) noexcept;

// The same, and all goroutines.
[[noreturn]] void fatal_all(const char* text) noexcept;

// A broken invariant of weft itself: prints "weft: FILE:LINE: check failed: CONDITION: TEXT" and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const char* text) noexcept;

// Makes an exception that leaves a goroutine (or anything else that calls std::terminate) print "panic: VALUE", the goroutine,
// and end the process with status 2.
void install_terminate_handler() noexcept;

}  // namespace weft::rt

// On in release: corrupt state words, double parks, negative counters.
#define WEFT_CHECK(condition, text)                                   \
  do {                                                                \
    if (!(condition)) [[unlikely]] {                                  \
      ::weft::rt::check_failed(__FILE__, __LINE__, #condition, text); \
    }                                                                 \
  } while (false)

// For what is too dear on a hot path; off when NDEBUG is defined.
#ifdef NDEBUG
#define WEFT_DCHECK(condition, text) \
  do {                               \
  } while (false)
#else
#define WEFT_DCHECK(condition, text) WEFT_CHECK(condition, text)
#endif
