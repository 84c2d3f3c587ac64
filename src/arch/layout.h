#ifndef WEFT_ARCH_LAYOUT_H
#define WEFT_ARCH_LAYOUT_H

/*
 * Where weft__switch_raw keeps what it saves, as byte offsets from a parked context's `sp`. Shared by the assembly, by
 * weft__context_make (which builds such a frame by hand) and by the unwinder (which reads pc and frame pointer out of
 * it). Only preprocessor directives here: the assembler includes this file too.
 */

/* The compilers' spellings of "this build is instrumented", under one name each. */
#if defined(__SANITIZE_ADDRESS__)
#define WEFT__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT__ASAN 1
#endif
#endif
#ifndef WEFT__ASAN
#define WEFT__ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define WEFT__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT__TSAN 1
#endif
#endif
#ifndef WEFT__TSAN
#define WEFT__TSAN 0
#endif

/* A test shows what the tools say when nobody tells them anything. */
#if defined(WEFT_TEST_UNTOLD)
#undef WEFT__ASAN
#undef WEFT__TSAN
#undef WEFT_HAVE_VALGRIND
#define WEFT__ASAN 0
#define WEFT__TSAN 0
#endif

/* Needs valgrind/memcheck.h; costs a nanosecond or two a spawn and nothing a switch, so it is on wherever it can be. */
#if defined(WEFT_HAVE_VALGRIND) && !defined(__ASSEMBLER__)
#define WEFT__VALGRIND 1
#else
#define WEFT__VALGRIND 0
#endif

/* -DWEFT_SWITCH_PORTABLE=1 takes the switch without assembly on any CPU; CPUs not named below have no other. */
#ifndef WEFT_SWITCH_PORTABLE
#if (defined(__x86_64__) && !defined(__ILP32__) && defined(__ELF__)) || (defined(__aarch64__) && defined(__ELF__)) || \
    (defined(__riscv) && __riscv_xlen == 64 && defined(__riscv_float_abi_double) && defined(__ELF__))
#define WEFT_SWITCH_PORTABLE 0
#else
#define WEFT_SWITCH_PORTABLE 1
#endif
#endif

#if WEFT_SWITCH_PORTABLE

/* A parked context is a record of portable.c that begins with these two words. */
#define WEFT__FRAME_PC 0
#define WEFT__FRAME_FP __SIZEOF_POINTER__

#elif defined(__x86_64__)

#define WEFT__FRAME_WAYS 1 /* an entry may return a weft__way */
#define WEFT__FRAME_SIZE 64
#define WEFT__FRAME_CONTROL 0 /* MXCSR in 4 bytes, then the x87 control word in 2 */
#define WEFT__FRAME_R15 8
#define WEFT__FRAME_R14 16
#define WEFT__FRAME_R13 24
#define WEFT__FRAME_R12 32
#define WEFT__FRAME_RBX 40
#define WEFT__FRAME_FP 48
#define WEFT__FRAME_PC 56
#define WEFT__FRAME_ENTRY WEFT__FRAME_R12
#define WEFT__FRAME_ARG WEFT__FRAME_R13
/* The ABI's state at program start: all exceptions masked, round to nearest, 64-bit x87 mantissa. */
#define WEFT__CONTROL_DEFAULT 0x0000037f00001f80

#elif defined(__aarch64__)

#define WEFT__FRAME_SIZE 176
#define WEFT__FRAME_FP 0
#define WEFT__FRAME_PC 8
#define WEFT__FRAME_X19 16
#define WEFT__FRAME_D8 96
#define WEFT__FRAME_CONTROL 160 /* FPCR */
#define WEFT__FRAME_ENTRY WEFT__FRAME_X19
#define WEFT__FRAME_ARG (WEFT__FRAME_X19 + 8)
#define WEFT__CONTROL_DEFAULT 0

#elif defined(__riscv)

#define WEFT__FRAME_SIZE 208
#define WEFT__FRAME_CONTROL 0 /* the rounding mode field, frm */
#define WEFT__FRAME_FS0 8
#define WEFT__FRAME_S1 104
#define WEFT__FRAME_FP 192
#define WEFT__FRAME_PC 200
#define WEFT__FRAME_ENTRY WEFT__FRAME_S1
#define WEFT__FRAME_ARG (WEFT__FRAME_S1 + 8)
#define WEFT__CONTROL_DEFAULT 0

#endif

#endif
