/*
 * uint64_t fill_and_switch(const uint64_t *in, uint64_t *out, void (*fn)(void *), void *arg)
 * Loads every callee-saved register from in, calls fn(arg), stores them all to out and returns how many there are.
 * The order is the one of the ABI's list, the stack and frame pointer excepted: a compiler's own frame needs those.
 */
    .text
    .globl fill_and_switch

#if defined(__x86_64__)

    .type fill_and_switch, @function
fill_and_switch:
    endbr64
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rsi
    movq 0(%rdi), %rbx
    movq 8(%rdi), %r12
    movq 16(%rdi), %r13
    movq 24(%rdi), %r14
    movq 32(%rdi), %r15
    movq 40(%rdi), %rbp
    movq %rcx, %rdi
    call *%rdx
    popq %rsi
    movq %rbx, 0(%rsi)
    movq %r12, 8(%rsi)
    movq %r13, 16(%rsi)
    movq %r14, 24(%rsi)
    movq %r15, 32(%rsi)
    movq %rbp, 40(%rsi)
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    movl $6, %eax
    ret

    .section .note.GNU-stack, "", @progbits

#elif defined(__aarch64__)

    .type fill_and_switch, %function
fill_and_switch:
    hint #34
    stp x29, x30, [sp, #-192]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    str x1, [sp, #160]
    ldp x19, x20, [x0, #0]
    ldp x21, x22, [x0, #16]
    ldp x23, x24, [x0, #32]
    ldp x25, x26, [x0, #48]
    ldp x27, x28, [x0, #64]
    ldp d8, d9, [x0, #80]
    ldp d10, d11, [x0, #96]
    ldp d12, d13, [x0, #112]
    ldp d14, d15, [x0, #128]
    ldr x29, [x0, #144]
    mov x0, x3
    blr x2
    ldr x1, [sp, #160]
    stp x19, x20, [x1, #0]
    stp x21, x22, [x1, #16]
    stp x23, x24, [x1, #32]
    stp x25, x26, [x1, #48]
    stp x27, x28, [x1, #64]
    stp d8, d9, [x1, #80]
    stp d10, d11, [x1, #96]
    stp d12, d13, [x1, #112]
    stp d14, d15, [x1, #128]
    str x29, [x1, #144]
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x29, x30, [sp], #192
    mov x0, #19
    ret

    .section .note.GNU-stack, "", %progbits

#elif defined(__riscv) && __riscv_xlen == 64

    .type fill_and_switch, @function
fill_and_switch:
    addi sp, sp, -224
    sd ra, 216(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd s\n, 8 * \n(sp)
    fsd fs\n, 96 + 8 * \n(sp)
    .endr
    sd a1, 192(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld s\n, 8 * \n(a0)
    fld fs\n, 96 + 8 * \n(a0)
    .endr
    mv a0, a3
    jalr a2
    ld a1, 192(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    sd s\n, 8 * \n(a1)
    fsd fs\n, 96 + 8 * \n(a1)
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    ld s\n, 8 * \n(sp)
    fld fs\n, 96 + 8 * \n(sp)
    .endr
    ld ra, 216(sp)
    addi sp, sp, 224
    li a0, 24
    ret

    .section .note.GNU-stack, "", @progbits

#else

/* No list of registers for this CPU: 0 says so, and the test is skipped. Data, as no instruction is known. */
    .data
fill_and_switch:
    .byte 0

#endif
