// x86-64, System V ABI: weft_call_watched (call_watched.h).
#if defined(__x86_64__)

        .text
        .hidden weft_watch_personality
        .globl  weft_call_watched
        .hidden weft_call_watched
        .type   weft_call_watched, @function
        .align  16
weft_call_watched:                      // rdi = function, rsi = argument, rdx = observer
        .cfi_startproc
        .cfi_personality 0x1b, weft_watch_personality   // DW_EH_PE_pcrel | DW_EH_PE_sdata4
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register rbp
        pushq   %rbx
        .cfi_offset rbx, -24
        subq    $8, %rsp                // keeps the stack 16-byte aligned at the call
        movq    %rdx, %rbx
        movq    %rdi, %rax
        movq    %rsi, %rdi
        callq   *%rax
        addq    $8, %rsp
        popq    %rbx
        .cfi_restore rbx
        popq    %rbp
        .cfi_restore rbp
        .cfi_def_cfa rsp, 8
        ret
        .cfi_endproc
        .size   weft_call_watched, .-weft_call_watched

#endif
        .section .note.GNU-stack, "", @progbits
