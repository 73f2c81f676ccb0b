// aarch64, AAPCS64: weft_call_watched (call_watched.h).
#if defined(__aarch64__)

        .text
        .hidden weft_watch_personality
        .globl  weft_call_watched
        .hidden weft_call_watched
        .type   weft_call_watched, %function
        .align  4
weft_call_watched:                      // x0 = function, x1 = argument, x2 = observer
        .cfi_startproc
        .cfi_personality 0x1b, weft_watch_personality   // DW_EH_PE_pcrel | DW_EH_PE_sdata4
        stp     x29, x30, [sp, #-32]!
        .cfi_def_cfa_offset 32
        .cfi_offset x29, -32
        .cfi_offset x30, -24
        mov     x29, sp
        str     x19, [sp, #16]
        .cfi_offset x19, -16
        mov     x19, x2
        mov     x9, x0
        mov     x0, x1
        blr     x9
        ldr     x19, [sp, #16]
        .cfi_restore x19
        ldp     x29, x30, [sp], #32
        .cfi_restore x29
        .cfi_restore x30
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   weft_call_watched, .-weft_call_watched

#endif
        .section .note.GNU-stack, "", %progbits
