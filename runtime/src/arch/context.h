// The context switch itself: callee-saved registers, in assembly per architecture.
//
// The floating-point control words (rounding mode, exception masks, flush to zero) stay with the thread, as in Go:
// storing and loading them takes longer than all the rest (8.4 of 11 ns on the machine where it was measured). A
// goroutine that changes them sets them back before it parks; debug builds check that (arch/float_control.h).
//
// A suspended context is one word, its stack pointer; the registers lie on its stack in the order that the assembly
// file draws. Nothing but fiber_switch.h and fiber_switch.cc calls these functions: a switch must also carry exception
// state and tell the sanitizers.
#pragma once

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "weft has a context switch for x86-64 and aarch64 only: add runtime/src/arch/context_<arch>.S"
#endif

namespace weft::rt {

extern "C" {

// Pushes the caller's registers, stores its stack pointer to *from_sp, and resumes the context whose stack pointer is
// to_sp. Returns when somebody resumes the caller's context, perhaps on another thread.
void weft_switch_context(void** from_sp, void* to_sp) noexcept;

// Lays out a context at the top of a stack (`top` is 16-byte aligned). When the context is resumed, it calls
// entry(arg), which must not return.
void* weft_make_context(void* top, void (*entry)(void*), void* arg) noexcept;
}

}  // namespace weft::rt
