// Fiber: a stack that a thread can run on (a goroutine's, or a machine's own), and the one function that switches
// between two fibers.
//
// Besides the registers, a switch carries the exception globals (the caught-exceptions stack and the count of uncaught
// ones): the C++ runtime keeps them per thread but means them per flow of control. A switch also tells ASan and TSan
// which stack runs. fiber_switch.cc is compiled without sanitizers, because TSan's shadow stack underflows when an
// instrumented function calls the switch.
#pragma once

#include <cstddef>

#include "runtime/src/arch/context.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_HAS_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define WEFT_HAS_TSAN
#endif
#endif
#if (defined(__SANITIZE_ADDRESS__) || defined(WEFT_HAS_ASAN)) && !defined(WEFT_ASAN)
#error "AddressSanitizer must know of stack switches: configure with WEFT_SANITIZE=address instead of adding the flag"
#endif
#if (defined(__SANITIZE_THREAD__) || defined(WEFT_HAS_TSAN)) && !defined(WEFT_TSAN)
#error "ThreadSanitizer must know of stack switches: configure with WEFT_SANITIZE=thread instead of adding the flag"
#endif

namespace weft::rt {

// The layout of __cxa_eh_globals in the Itanium C++ ABI.
struct ExceptionGlobals {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

// Only the thread that runs a fiber, or is about to run it, touches it. Handing a suspended fiber to another thread
// must synchronise (the run queues do).
struct Fiber {
  void* sp = nullptr;           // while suspended
  ExceptionGlobals exceptions;  // while suspended
#if defined(WEFT_ASAN)
  void* asan_fake_stack = nullptr;
  const void* stack_low = nullptr;  // of this fiber's stack, as ASan wants to know it
  std::size_t stack_size = 0;
#endif
#if defined(WEFT_TSAN)
  void* tsan_fiber = nullptr;
#endif
};

// Returns the calling thread's exception globals. They stay the same for the thread's life, so a machine looks them up
// once.
[[gnu::noinline]] ExceptionGlobals* thread_exception_globals() noexcept;

// Makes `fiber` stand for the calling thread's own stack.
void adopt_thread(Fiber& fiber) noexcept;

// Makes `fiber` a new flow on [low, top) that will call entry(arg), which must never return.
void make_fiber(Fiber& fiber, void* low, void* top, void (*entry)(void*), void* arg) noexcept;

// Suspends `from`, which must be running on this thread, and runs `to`. `globals` are the calling thread's.
//
// The function is inline, and so are its callers: the return-address predictor does not follow a switch, so every
// return on the way out of it is mispredicted, at some 5 ns each.
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
void switch_fiber(Fiber& from, Fiber& to, ExceptionGlobals* globals) noexcept;
#else
[[gnu::always_inline]] inline void switch_fiber(Fiber& from, Fiber& to, ExceptionGlobals* globals) noexcept {
  from.exceptions = *globals;
  *globals = to.exceptions;
  weft_switch_context(&from.sp, to.sp);
}
#endif

// Switches away from `from` for the last time; it is never resumed. Whoever runs next calls destroy_fiber(from).
void leave_fiber(Fiber& from, Fiber& to, ExceptionGlobals* globals) noexcept;

// A new fiber calls this first, on its own stack.
void fiber_started() noexcept;

// Ends what the sanitizers keep for a fiber that has left for good.
void destroy_fiber(Fiber& fiber) noexcept;

}  // namespace weft::rt
