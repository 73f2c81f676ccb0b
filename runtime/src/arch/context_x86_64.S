// x86-64, System V ABI. The callee-saved registers are rbx, rbp and r12-r15. The ABI counts the x87 control word and
// the control bits of mxcsr among them; here these belong to the thread, because carrying them takes 8 of a switch's 11
// ns (context.h).
//
// A suspended stack, from its stack pointer up:
//   +0 r15, +8 r14, +16 r13, +24 r12, +32 rbx, +40 rbp, +48 return address
#if defined(__x86_64__)

        .text
        .globl  weft_switch_context
        .hidden weft_switch_context
        .type   weft_switch_context, @function
        .align  16
weft_switch_context:                    // rdi = from_sp, rsi = to_sp
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0

        movq    %rsp, (%rdi)
        movq    %rsi, %rsp              // the frame below has the same layout, so the CFI stays true

        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        popq    %rcx                    // a jump, not a ret: the return-address predictor knows nothing of this stack
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        jmpq    *%rcx
        .cfi_endproc
        .size   weft_switch_context, .-weft_switch_context

        .globl  weft_make_context
        .hidden weft_make_context
        .type   weft_make_context, @function
        .align  16
weft_make_context:                      // rdi = top, rsi = entry, rdx = arg
        .cfi_startproc
        leaq    -72(%rdi), %rax         // 56 bytes of frame and 16 above it: the start below runs 16-byte aligned
        movq    $0, (%rax)              // r15
        movq    $0, 8(%rax)             // r14
        movq    %rdx, 16(%rax)          // r13 = arg
        movq    %rsi, 24(%rax)          // r12 = entry
        movq    $0, 32(%rax)            // rbx
        movq    $0, 40(%rax)            // rbp: end of the frame-pointer chain
        leaq    weft_start_context(%rip), %rcx
        movq    %rcx, 48(%rax)
        movq    $0, 56(%rax)            // where a return address would be: end of the stack for unwinders
        ret
        .cfi_endproc
        .size   weft_make_context, .-weft_make_context

        .type   weft_start_context, @function
        .align  16
weft_start_context:
        .cfi_startproc
        .cfi_undefined rip              // the outermost frame
        movq    %r13, %rdi
        callq   *%r12
        ud2
        .cfi_endproc
        .size   weft_start_context, .-weft_start_context

#endif
        .section .note.GNU-stack, "", @progbits
