/*
 * The switch for x86-64, System V ABI: rbx, rbp, r12-r15, MXCSR's control bits and the x87 control word.
 *
 * It ends in ret, so that what the processor remembers of calls keeps the depth of the stack that runs on:
 * the returns that follow are then predicted rightly wherever both contexts came the same way. A fresh context has not
 * called anything, and is jumped to: where it begins, and where its entry comes back to, nothing of the remembered
 * calls is used up. Shadow stacks are not switched, so this object must never be marked as supporting them (the
 * note at the end names IBT alone).
 */
#include "arch/layout.h"

#if !WEFT_SWITCH_PORTABLE

    .text

/* int weft__switch_raw(weft__context *from rdi, weft__context *to rsi, void (*after)(void *) rdx, void *arg rcx) */
    .globl weft__switch_raw
    .hidden weft__switch_raw
    .type weft__switch_raw, @function
    .p2align 6
weft__switch_raw:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movl (%rsp), %eax
    movzwl 4(%rsp), %r8d
    movq %rsp, (%rdi)
    movq (%rsi), %rsp

/* A debugger that sets rsp to a parked context's sp and rip to this label sees that context's stack. */
    .globl weft__switch_resume
    .hidden weft__switch_resume
weft__switch_resume:
    movl (%rsp), %r9d
    xorl %eax, %r9d
    testl $0xffc0, %r9d
    jne .Lmxcsr
.Lmxcsr_done:
    cmpw 4(%rsp), %r8w
    jne .Lx87
.Lx87_done:
    testq %rdx, %rdx
    jne .Lafter
.Lafter_done:
    .cfi_remember_state
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    leaq weft__context_start(%rip), %rcx
    xorl %eax, %eax
    cmpq %rcx, (%rsp)
    je .Lfresh
    ret
.Lfresh:
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    jmp *%rcx

    .cfi_restore_state
.Lmxcsr:
    /* Ours are the control bits; the status bits stay as they are, for a change of those makes ldmxcsr slow. */
    andl $0xffc0, %r9d
    xorl %eax, %r9d
    movl %r9d, -4(%rsp)
    ldmxcsr -4(%rsp)
    jmp .Lmxcsr_done
.Lx87:
    fldcw 4(%rsp)
    jmp .Lx87_done
.Lafter:
    /* A walk along frame pointers from within after must see this context, not the one just left. */
    leaq WEFT__FRAME_FP(%rsp), %rbp
    movq %rcx, %rdi
    call *%rdx
    jmp .Lafter_done
    .cfi_endproc
    .size weft__switch_raw, . - weft__switch_raw

/* The outermost frame of every fresh context: no return address, so unwinders and debuggers end here. */
    .type weft__context_start, @function
    .p2align 4
    .cfi_startproc
    .cfi_def_cfa %rsp, 0
    .cfi_undefined %rip
    nop /* unwinders look up the address before a return address, and this one is ours, too */
    .globl weft__context_start
    .hidden weft__context_start
weft__context_start:
    endbr64
    movq %r13, %rdi
    call *%r12
    .globl weft__context_started
    .hidden weft__context_started
weft__context_started: /* the return address at the bottom of every context */
    movq %rax, %rsi /* a weft__way: where to; rdx: what to do there, */
    movq %r13, %rcx /* with the entry's argument */
    leaq weft__context_started(%rip), %rax
    pushq %rax /* room for a saved sp that nobody resumes, */
    movq %rsp, %rdi
    pushq %rax /* and the return address of a call from here */
    .cfi_adjust_cfa_offset 16
    jmp weft__switch_raw
    .cfi_endproc
    .size weft__context_start, . - weft__context_start

/* void weft__unwind_as(const void *sp rdi, void (*fn)(void *) rsi, void *arg rdx):
 * its CFI says that its caller is *sp's. */
    .globl weft__unwind_as
    .hidden weft__unwind_as
    .type weft__unwind_as, @function
    .p2align 4
weft__unwind_as:
    .cfi_startproc
    endbr64
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    movq %rdi, %rbx
    .cfi_remember_state
    .cfi_def_cfa %rbx, WEFT__FRAME_SIZE
    .cfi_offset %rip, WEFT__FRAME_PC - WEFT__FRAME_SIZE
    .cfi_offset %rbp, WEFT__FRAME_FP - WEFT__FRAME_SIZE
    .cfi_offset %rbx, WEFT__FRAME_RBX - WEFT__FRAME_SIZE
    .cfi_offset %r12, WEFT__FRAME_R12 - WEFT__FRAME_SIZE
    .cfi_offset %r13, WEFT__FRAME_R13 - WEFT__FRAME_SIZE
    .cfi_offset %r14, WEFT__FRAME_R14 - WEFT__FRAME_SIZE
    .cfi_offset %r15, WEFT__FRAME_R15 - WEFT__FRAME_SIZE
    movq %rdx, %rdi
    call *%rsi
    nop
    .cfi_restore_state
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    ret
    .cfi_endproc
    .size weft__unwind_as, . - weft__unwind_as

    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4
    .long 16
    .long 5
    .asciz "GNU"
    .long 0xc0000002 /* GNU_PROPERTY_X86_FEATURE_1_AND */
    .long 4
    .long 1 /* IBT; bit 1 would be SHSTK */
    .long 0

#endif

    .section .note.GNU-stack, "", @progbits
