/*
 * The switch for 64-bit RISC-V, LP64D ABI: ra, s0-s11, fs0-fs11, the rounding mode in fcsr.
 *
 * It ends in a jump through t2: ra and t0 would consult the return predictor, which would name another context's
 * caller, and t2 is also the one register through which a jump needs no landing pad (Zicfilp).
 */
#include "arch/layout.h"

#if !WEFT_SWITCH_PORTABLE

    .text

/* int weft__switch_raw(weft__context *from a0, weft__context *to a1, void (*after)(void *) a2, void *arg a3) */
    .globl weft__switch_raw
    .hidden weft__switch_raw
    .type weft__switch_raw, @function
    .p2align 6
weft__switch_raw:
    .cfi_startproc
    addi sp, sp, -WEFT__FRAME_SIZE
    .cfi_def_cfa_offset WEFT__FRAME_SIZE
    sd ra, WEFT__FRAME_PC(sp)
    .cfi_rel_offset ra, WEFT__FRAME_PC
    sd s0, WEFT__FRAME_FP(sp)
    .cfi_rel_offset s0, WEFT__FRAME_FP
    frrm t0
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd s\n, WEFT__FRAME_S1 + 8 * (\n - 1)(sp)
    .cfi_rel_offset s\n, WEFT__FRAME_S1 + 8 * (\n - 1)
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    fsd fs\n, WEFT__FRAME_FS0 + 8 * \n(sp)
    .cfi_rel_offset fs\n, WEFT__FRAME_FS0 + 8 * \n
    .endr
    sd t0, WEFT__FRAME_CONTROL(sp)
    sd sp, 0(a0)
    ld sp, 0(a1)

/* A debugger that sets sp to a parked context's sp and pc to this label sees that context's stack. */
    .globl weft__switch_resume
    .hidden weft__switch_resume
weft__switch_resume:
    ld t1, WEFT__FRAME_CONTROL(sp)
    bne t0, t1, .Lfrm
.Lfrm_done:
    bnez a2, .Lafter
.Lafter_done:
    .cfi_remember_state
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    fld fs\n, WEFT__FRAME_FS0 + 8 * \n(sp)
    .cfi_restore fs\n
    .endr
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld s\n, WEFT__FRAME_S1 + 8 * (\n - 1)(sp)
    .cfi_restore s\n
    .endr
    ld s0, WEFT__FRAME_FP(sp)
    .cfi_restore s0
    ld ra, WEFT__FRAME_PC(sp)
    .cfi_restore ra
    addi sp, sp, WEFT__FRAME_SIZE
    .cfi_def_cfa_offset 0
    mv t2, ra
    li a0, 0
    jr t2

    .cfi_restore_state
.Lfrm:
    fsrm t1
    j .Lfrm_done
.Lafter:
    addi s0, sp, WEFT__FRAME_SIZE /* a walk along frame pointers from within after must see this context */
    mv a0, a3
    jalr a2
    j .Lafter_done
    .cfi_endproc
    .size weft__switch_raw, . - weft__switch_raw

/* The outermost frame of every fresh context: no return address, so unwinders and debuggers end here. */
    .type weft__context_start, @function
    .p2align 4
    .cfi_startproc
    .cfi_undefined ra
    nop /* unwinders look up the address before a return address, and this one is ours, too */
    .globl weft__context_start
    .hidden weft__context_start
weft__context_start:
    mv a0, s2
    li ra, 0
    jalr s1
    .globl weft__context_started
    .hidden weft__context_started
weft__context_started: /* the return address at the bottom of every context */
    ebreak
    .cfi_endproc
    .size weft__context_start, . - weft__context_start

/* void weft__unwind_as(const void *sp a0, void (*fn)(void *) a1, void *arg a2):
 * its CFI says that its caller is *sp's. */
    .globl weft__unwind_as
    .hidden weft__unwind_as
    .type weft__unwind_as, @function
    .p2align 4
weft__unwind_as:
    .cfi_startproc
    addi sp, sp, -16
    .cfi_def_cfa_offset 16
    sd ra, 8(sp)
    .cfi_rel_offset ra, 8
    sd s1, 0(sp)
    .cfi_rel_offset s1, 0
    mv s1, a0
    .cfi_remember_state
    .cfi_def_cfa s1, WEFT__FRAME_SIZE
    .cfi_offset ra, WEFT__FRAME_PC - WEFT__FRAME_SIZE
    .cfi_offset s0, WEFT__FRAME_FP - WEFT__FRAME_SIZE
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    .cfi_offset s\n, WEFT__FRAME_S1 + 8 * (\n - 1) - WEFT__FRAME_SIZE
    .endr
    mv a0, a2
    jalr a1
    nop
    .cfi_restore_state
    ld s1, 0(sp)
    ld ra, 8(sp)
    addi sp, sp, 16
    .cfi_def_cfa_offset 0
    .cfi_restore ra
    .cfi_restore s1
    ret
    .cfi_endproc
    .size weft__unwind_as, . - weft__unwind_as

#endif

    .section .note.GNU-stack, "", @progbits
