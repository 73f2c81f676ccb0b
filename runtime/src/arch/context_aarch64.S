// aarch64, AAPCS64. The callee-saved registers are x19-x28, the frame pointer x29, the link register x30, and d8-d15.
// fpcr belongs to the thread here (context.h).
//
// A suspended stack, from its stack pointer up:
//   +0 d8..d15 (64 bytes), +64 x19..x28 (80 bytes), +144 x29, +152 x30; 160 bytes
#if defined(__aarch64__)

        .text
        .globl  weft_switch_context
        .hidden weft_switch_context
        .type   weft_switch_context, %function
        .align  4
weft_switch_context:                    // x0 = from_sp, x1 = to_sp
        .cfi_startproc
        sub     sp, sp, #160
        .cfi_def_cfa_offset 160
        stp     d8, d9, [sp, #0]
        stp     d10, d11, [sp, #16]
        stp     d12, d13, [sp, #32]
        stp     d14, d15, [sp, #48]
        stp     x19, x20, [sp, #64]
        stp     x21, x22, [sp, #80]
        stp     x23, x24, [sp, #96]
        stp     x25, x26, [sp, #112]
        stp     x27, x28, [sp, #128]
        stp     x29, x30, [sp, #144]
        .cfi_rel_offset x29, 144
        .cfi_rel_offset x30, 152

        mov     x10, sp
        str     x10, [x0]
        mov     sp, x1

        ldp     d8, d9, [sp, #0]
        ldp     d10, d11, [sp, #16]
        ldp     d12, d13, [sp, #32]
        ldp     d14, d15, [sp, #48]
        ldp     x19, x20, [sp, #64]
        ldp     x21, x22, [sp, #80]
        ldp     x23, x24, [sp, #96]
        ldp     x25, x26, [sp, #112]
        ldp     x27, x28, [sp, #128]
        ldp     x29, x30, [sp, #144]
        add     sp, sp, #160
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   weft_switch_context, .-weft_switch_context

        .globl  weft_make_context
        .hidden weft_make_context
        .type   weft_make_context, %function
        .align  4
weft_make_context:                      // x0 = top, x1 = entry, x2 = arg
        .cfi_startproc
        sub     x0, x0, #160
        stp     xzr, xzr, [x0, #0]
        stp     xzr, xzr, [x0, #16]
        stp     xzr, xzr, [x0, #32]
        stp     xzr, xzr, [x0, #48]
        stp     x1, x2, [x0, #64]       // x19 = entry, x20 = arg
        stp     xzr, xzr, [x0, #80]
        stp     xzr, xzr, [x0, #96]
        stp     xzr, xzr, [x0, #112]
        stp     xzr, xzr, [x0, #128]
        adr     x9, weft_start_context
        stp     xzr, x9, [x0, #144]     // x29 = 0: end of the frame-pointer chain; x30 = start
        ret
        .cfi_endproc
        .size   weft_make_context, .-weft_make_context

        .type   weft_start_context, %function
        .align  4
weft_start_context:
        .cfi_startproc
        .cfi_undefined x30              // the outermost frame
        mov     x0, x20
        mov     x30, xzr
        blr     x19
        brk     #0
        .cfi_endproc
        .size   weft_start_context, .-weft_start_context

#endif
        .section .note.GNU-stack, "", %progbits
