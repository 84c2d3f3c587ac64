/*
 * The switch for AArch64, AAPCS64: x19-x30, the low halves of v8-v15, FPCR.
 *
 * It ends in a jump rather than ret, for the return predictor would name another context's caller; but where the
 * program is built with branch target identification a jump may only land on a pad, which a return address is not, so
 * there it must be ret. FPCR holds control bits only (the status is FPSR's), so it is compared as a whole.
 */
#include "arch/layout.h"

#if !WEFT_SWITCH_PORTABLE

    .text

/* int weft__switch_raw(weft__context *from x0, weft__context *to x1, void (*after)(void *) x2, void *arg x3) */
    .globl weft__switch_raw
    .hidden weft__switch_raw
    .type weft__switch_raw, %function
    .p2align 6
weft__switch_raw:
    .cfi_startproc
    hint #34 /* bti c */
    stp x29, x30, [sp, #-WEFT__FRAME_SIZE]!
    .cfi_def_cfa_offset WEFT__FRAME_SIZE
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    mrs x4, fpcr
    stp x19, x20, [sp, #WEFT__FRAME_X19]
    .cfi_rel_offset x19, WEFT__FRAME_X19
    .cfi_rel_offset x20, WEFT__FRAME_X19 + 8
    stp x21, x22, [sp, #WEFT__FRAME_X19 + 16]
    .cfi_rel_offset x21, WEFT__FRAME_X19 + 16
    .cfi_rel_offset x22, WEFT__FRAME_X19 + 24
    stp x23, x24, [sp, #WEFT__FRAME_X19 + 32]
    .cfi_rel_offset x23, WEFT__FRAME_X19 + 32
    .cfi_rel_offset x24, WEFT__FRAME_X19 + 40
    stp x25, x26, [sp, #WEFT__FRAME_X19 + 48]
    .cfi_rel_offset x25, WEFT__FRAME_X19 + 48
    .cfi_rel_offset x26, WEFT__FRAME_X19 + 56
    stp x27, x28, [sp, #WEFT__FRAME_X19 + 64]
    .cfi_rel_offset x27, WEFT__FRAME_X19 + 64
    .cfi_rel_offset x28, WEFT__FRAME_X19 + 72
    stp d8, d9, [sp, #WEFT__FRAME_D8]
    .cfi_rel_offset d8, WEFT__FRAME_D8
    .cfi_rel_offset d9, WEFT__FRAME_D8 + 8
    stp d10, d11, [sp, #WEFT__FRAME_D8 + 16]
    .cfi_rel_offset d10, WEFT__FRAME_D8 + 16
    .cfi_rel_offset d11, WEFT__FRAME_D8 + 24
    stp d12, d13, [sp, #WEFT__FRAME_D8 + 32]
    .cfi_rel_offset d12, WEFT__FRAME_D8 + 32
    .cfi_rel_offset d13, WEFT__FRAME_D8 + 40
    stp d14, d15, [sp, #WEFT__FRAME_D8 + 48]
    .cfi_rel_offset d14, WEFT__FRAME_D8 + 48
    .cfi_rel_offset d15, WEFT__FRAME_D8 + 56
    str x4, [sp, #WEFT__FRAME_CONTROL]
    mov x5, sp
    str x5, [x0]
    ldr x6, [x1]
    mov sp, x6

/* A debugger that sets sp to a parked context's sp and pc to this label sees that context's stack. */
    .globl weft__switch_resume
    .hidden weft__switch_resume
weft__switch_resume:
    ldr x5, [sp, #WEFT__FRAME_CONTROL]
    cmp x4, x5
    b.ne .Lfpcr
.Lfpcr_done:
    cbnz x2, .Lafter
.Lafter_done:
    .cfi_remember_state
    ldp d8, d9, [sp, #WEFT__FRAME_D8]
    ldp d10, d11, [sp, #WEFT__FRAME_D8 + 16]
    ldp d12, d13, [sp, #WEFT__FRAME_D8 + 32]
    ldp d14, d15, [sp, #WEFT__FRAME_D8 + 48]
    ldp x19, x20, [sp, #WEFT__FRAME_X19]
    ldp x21, x22, [sp, #WEFT__FRAME_X19 + 16]
    ldp x23, x24, [sp, #WEFT__FRAME_X19 + 32]
    ldp x25, x26, [sp, #WEFT__FRAME_X19 + 48]
    ldp x27, x28, [sp, #WEFT__FRAME_X19 + 64]
    ldp x29, x30, [sp], #WEFT__FRAME_SIZE
    .cfi_def_cfa_offset 0
    .cfi_restore x29
    .cfi_restore x30
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore d8
    .cfi_restore d9
    .cfi_restore d10
    .cfi_restore d11
    .cfi_restore d12
    .cfi_restore d13
    .cfi_restore d14
    .cfi_restore d15
    mov w0, #0
#if defined(__ARM_FEATURE_BTI_DEFAULT)
    ret
#else
    br x30
#endif

    .cfi_restore_state
.Lfpcr:
    msr fpcr, x5
    b .Lfpcr_done
.Lafter:
    mov x29, sp /* a walk along frame pointers from within after must see this context, not the one just left */
    mov x0, x3
    blr x2
    b .Lafter_done
    .cfi_endproc
    .size weft__switch_raw, . - weft__switch_raw

/* The outermost frame of every fresh context: no return address, so unwinders and debuggers end here. */
    .type weft__context_start, %function
    .p2align 4
    .cfi_startproc
    .cfi_undefined x30
    nop /* unwinders look up the address before a return address, and this one is ours, too */
    .globl weft__context_start
    .hidden weft__context_start
weft__context_start:
    hint #38 /* bti jc */
    mov x0, x20
    mov x30, xzr
    blr x19
    .globl weft__context_started
    .hidden weft__context_started
weft__context_started: /* the return address at the bottom of every context */
    brk #1
    .cfi_endproc
    .size weft__context_start, . - weft__context_start

/* void weft__unwind_as(const void *sp x0, void (*fn)(void *) x1, void *arg x2):
 * its CFI says that its caller is *sp's. */
    .globl weft__unwind_as
    .hidden weft__unwind_as
    .type weft__unwind_as, %function
    .p2align 4
weft__unwind_as:
    .cfi_startproc
    hint #34 /* bti c */
    stp x29, x30, [sp, #-32]!
    .cfi_def_cfa_offset 32
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    str x19, [sp, #16]
    .cfi_rel_offset x19, 16
    mov x19, x0
    .cfi_remember_state
    .cfi_def_cfa x19, WEFT__FRAME_SIZE
    .cfi_offset x29, WEFT__FRAME_FP - WEFT__FRAME_SIZE
    .cfi_offset x30, WEFT__FRAME_PC - WEFT__FRAME_SIZE
    .cfi_offset x19, WEFT__FRAME_X19 - WEFT__FRAME_SIZE
    .cfi_offset x20, WEFT__FRAME_X19 + 8 - WEFT__FRAME_SIZE
    .cfi_offset x21, WEFT__FRAME_X19 + 16 - WEFT__FRAME_SIZE
    .cfi_offset x22, WEFT__FRAME_X19 + 24 - WEFT__FRAME_SIZE
    .cfi_offset x23, WEFT__FRAME_X19 + 32 - WEFT__FRAME_SIZE
    .cfi_offset x24, WEFT__FRAME_X19 + 40 - WEFT__FRAME_SIZE
    .cfi_offset x25, WEFT__FRAME_X19 + 48 - WEFT__FRAME_SIZE
    .cfi_offset x26, WEFT__FRAME_X19 + 56 - WEFT__FRAME_SIZE
    .cfi_offset x27, WEFT__FRAME_X19 + 64 - WEFT__FRAME_SIZE
    .cfi_offset x28, WEFT__FRAME_X19 + 72 - WEFT__FRAME_SIZE
    mov x0, x2
    blr x1
    nop
    .cfi_restore_state
    ldr x19, [sp, #16]
    ldp x29, x30, [sp], #32
    .cfi_def_cfa_offset 0
    .cfi_restore x29
    .cfi_restore x30
    .cfi_restore x19
    ret
    .cfi_endproc
    .size weft__unwind_as, . - weft__unwind_as

#if defined(__ARM_FEATURE_BTI_DEFAULT)
    .section .note.gnu.property, "a", %note
    .p2align 3
    .word 4
    .word 16
    .word 5
    .asciz "GNU"
    .word 0xc0000000 /* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
    .word 4
    .word 1 /* BTI */
    .word 0
#endif

#endif

    .section .note.GNU-stack, "", %progbits
