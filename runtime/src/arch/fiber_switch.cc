#include "runtime/src/arch/fiber_switch.h"

#include <cxxabi.h>
#include <pthread.h>

#if defined(WEFT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(WEFT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace weft::rt {
namespace {

inline void carry_exceptions(Fiber& from, Fiber& to, ExceptionGlobals* globals) noexcept {
  from.exceptions = *globals;
  *globals = to.exceptions;
}

}  // namespace

ExceptionGlobals* thread_exception_globals() noexcept {
  // Keeps calls apart: __cxa_get_globals is declared const, so a compiler would merge two calls across a switch.
  asm volatile("");
  return reinterpret_cast<ExceptionGlobals*>(abi::__cxa_get_globals());
}

void adopt_thread([[maybe_unused]] Fiber& fiber) noexcept {
#if defined(WEFT_ASAN)
  pthread_attr_t attributes;
  void* low = nullptr;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &low, &fiber.stack_size);
    pthread_attr_destroy(&attributes);
  }
  fiber.stack_low = low;
#endif
#if defined(WEFT_TSAN)
  fiber.tsan_fiber = __tsan_get_current_fiber();
#endif
}

void make_fiber(Fiber& fiber, [[maybe_unused]] void* low, void* top, void (*entry)(void*), void* arg) noexcept {
  fiber.exceptions = {};
#if defined(WEFT_ASAN)
  fiber.asan_fake_stack = nullptr;
  fiber.stack_low = low;
  fiber.stack_size = static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(low));
  __asan_unpoison_memory_region(low, fiber.stack_size);  // an earlier user of the stack may have left red zones
#endif
#if defined(WEFT_TSAN)
  fiber.tsan_fiber = __tsan_create_fiber(0);
#endif
  fiber.sp = weft_make_context(top, entry, arg);
}

#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
void switch_fiber(Fiber& from, Fiber& to, ExceptionGlobals* globals) noexcept {
  carry_exceptions(from, to, globals);
#if defined(WEFT_ASAN)
  __sanitizer_start_switch_fiber(&from.asan_fake_stack, to.stack_low, to.stack_size);
#endif
#if defined(WEFT_TSAN)
  __tsan_switch_to_fiber(to.tsan_fiber, 0);
#endif
  weft_switch_context(&from.sp, to.sp);
#if defined(WEFT_ASAN)
  __sanitizer_finish_switch_fiber(from.asan_fake_stack, nullptr, nullptr);
#endif
}
#endif

void leave_fiber(Fiber& from, Fiber& to, ExceptionGlobals* globals) noexcept {
  carry_exceptions(from, to, globals);
#if defined(WEFT_ASAN)
  __sanitizer_start_switch_fiber(nullptr, to.stack_low, to.stack_size);
#endif
#if defined(WEFT_TSAN)
  __tsan_switch_to_fiber(to.tsan_fiber, 0);
#endif
  weft_switch_context(&from.sp, to.sp);
}

void fiber_started() noexcept {
#if defined(WEFT_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

void destroy_fiber([[maybe_unused]] Fiber& fiber) noexcept {
#if defined(WEFT_TSAN)
  __tsan_destroy_fiber(fiber.tsan_fiber);
  fiber.tsan_fiber = nullptr;
#endif
}

}  // namespace weft::rt
