/*
 * Backtraces. Owns nothing; any thread may call it, the functions that walk frame pointers from signal handlers, too.
 * Invariant: a walk by frame pointers reads nothing outside the bounds that it was given and moves outwards at every
 * step, so it ends whatever the memory holds.
 */
#include "arch/unwind.h"

#include <errno.h>
#include <unwind.h>

#if defined(__linux__)
#include <ucontext.h>
#endif

#if !WEFT_SWITCH_PORTABLE
void weft__context_started(void); /* the return address of a context's entry */
#define BOTTOM ((uintptr_t)weft__context_started)
#else
#define BOTTOM ((uintptr_t)0)
#endif

/* Where a frame keeps its caller's frame pointer and its return address, from its own frame pointer. */
#if defined(__riscv)
#define SAVED_FRAME (-2)
#define SAVED_PC (-1)
#else
#define SAVED_FRAME 0
#define SAVED_PC 1
#endif

#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) || defined(__riscv)
#define HAVE_FRAMES 1
#else
#define HAVE_FRAMES 0
#endif

#if defined(__clang__)
#define UNSEEN __attribute__((no_sanitize("address", "thread", "undefined")))
#else
#define UNSEEN __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif

/* Not instrumented: the words between the frames' variables are what it reads. */
UNSEEN static size_t walk(uintptr_t frame, const void *lo, size_t size, uintptr_t *pc, size_t n, size_t max)
{
    const uintptr_t low = (uintptr_t)lo, word = sizeof(uintptr_t);

    if (!HAVE_FRAMES || size < 4 * word)
        return n;
    while (n < max && frame % word == 0 && frame >= low + 2 * word && frame <= low + size - 2 * word) {
        const uintptr_t *at = (const uintptr_t *)frame;
        if (at[SAVED_PC] == 0 || at[SAVED_PC] == BOTTOM)
            break;
        pc[n++] = at[SAVED_PC];
        if (at[SAVED_FRAME] <= frame)
            break;
        frame = at[SAVED_FRAME];
    }
    return n;
}

/* Of the function that uses it: not by walking its own frame, which is gone when walk() is called last. */
#define CALLER_PC ((uintptr_t)__builtin_return_address(0))
#define CALLER_FRAME (((const uintptr_t *)__builtin_frame_address(0))[SAVED_FRAME])

__attribute__((noinline)) size_t weft__backtrace_quick(const void *lo, size_t size, uintptr_t *pc, size_t max)
{
    return weft__backtrace_from(CALLER_PC, CALLER_FRAME, lo, size, pc, max);
}

UNSEEN static uintptr_t saved(const weft__context *ctx, size_t offset)
{
    return *(const uintptr_t *)(const void *)((const char *)ctx->sp + offset);
}

static int is_fresh(const weft__context *ctx)
{
    return saved(ctx, WEFT__FRAME_PC) == (uintptr_t)weft__context_start;
}

size_t weft__backtrace_parked_quick(const weft__context *ctx, const void *lo, size_t size, uintptr_t *pc, size_t max)
{
    if (max == 0 || ctx->sp == NULL || is_fresh(ctx))
        return 0;
    pc[0] = saved(ctx, WEFT__FRAME_PC);
    return walk(saved(ctx, WEFT__FRAME_FP), lo, size, pc, 1, max);
}

size_t weft__backtrace_from(uintptr_t at, uintptr_t frame, const void *lo, size_t size, uintptr_t *pc, size_t max)
{
    if (max == 0)
        return 0;
    pc[0] = at;
    return walk(frame, lo, size, pc, 1, max);
}

typedef struct collector {
    uintptr_t *pc;
    size_t n;
    size_t max;
    uintptr_t from; /* nothing before this address is wanted; 0: begin at once */
} collector;

static _Unwind_Reason_Code collect(struct _Unwind_Context *frame, void *arg)
{
    collector *c = arg;
    uintptr_t pc = _Unwind_GetIP(frame);

    if (pc == 0 || pc == BOTTOM || c->n == c->max)
        return _URC_END_OF_STACK;
    if (c->from != 0 && pc != c->from)
        return _URC_NO_REASON;
    c->from = 0;
    c->pc[c->n++] = pc;
    return _URC_NO_REASON;
}

/* One frame means that the unwinder found a return address and nothing that tells how to go on from there. */
#define TOO_FEW 2

/* Our own frame comes first, and its return address is where the caller's begins. */
static size_t by_tables(uintptr_t from, uintptr_t *pc, size_t max)
{
    collector c = {.pc = pc, .max = max, .from = from};

    (void)_Unwind_Backtrace(collect, &c);
    return c.n;
}

__attribute__((noinline)) size_t weft__backtrace(uintptr_t *pc, size_t max)
{
    return by_tables(CALLER_PC, pc, max);
}

__attribute__((noinline)) size_t weft__backtrace_in(const void *lo, size_t size, uintptr_t *pc, size_t max)
{
    size_t n = by_tables(CALLER_PC, pc, max);

    return n >= TOO_FEW ? n : weft__backtrace_from(CALLER_PC, CALLER_FRAME, lo, size, pc, max);
}

#if !WEFT_SWITCH_PORTABLE
static void collect_all(void *arg)
{
    (void)_Unwind_Backtrace(collect, arg);
}
#endif

size_t weft__backtrace_parked(const weft__context *ctx, const void *lo, size_t size, uintptr_t *pc, size_t max)
{
    if (ctx->sp == NULL || is_fresh(ctx))
        return 0;
#if !WEFT_SWITCH_PORTABLE
    collector c = {.pc = pc, .max = max, .from = saved(ctx, WEFT__FRAME_PC)};
    weft__unwind_as(ctx->sp, collect_all, &c);
    if (c.n >= TOO_FEW)
        return c.n;
#endif
    return weft__backtrace_parked_quick(ctx, lo, size, pc, max);
}

/* ---- are all frames known? ---- */

typedef struct knower {
    int (*known)(void *ctx, uintptr_t address);
    void *ctx;
    uintptr_t at, probe, last;
    unsigned seen;  /* frames from `at` on */
    unsigned pass;  /* how many more are passed over */
    int reached;
} knower;

static _Unwind_Reason_Code look_at_frame(struct _Unwind_Context *frame, void *arg)
{
    knower *k = arg;
    int before = 0; /* the address is that of an interrupted instruction, not of what follows a call */
    uintptr_t pc = _Unwind_GetIPInfo(frame, &before), function = (uintptr_t)_Unwind_GetRegionStart(frame);

    if (!k->seen && pc != k->at)
        return _URC_NO_REASON; /* the handler's own */
    if (!k->seen++ && k->probe && function == k->probe)
        k->pass = 2;
    if (k->pass > 0) {
        k->pass--;
        return _URC_NO_REASON;
    }
    if (function == k->last)
        k->reached = 1;
    else if (pc != 0 && k->known(k->ctx, before ? pc : pc - 1))
        return _URC_NO_REASON;
    return _URC_END_OF_STACK;
}

int weft__unwind_known(uintptr_t at, uintptr_t probe, uintptr_t last, int (*known)(void *ctx, uintptr_t address), void *ctx)
{
    knower k = {.known = known, .ctx = ctx, .at = at, .probe = probe, .last = last};

    (void)_Unwind_Backtrace(look_at_frame, &k);
    return k.reached;
}

/* ---- elsewhere ---- */

int weft__divert(void *machine, void (*fn)(void), void *sp)
{
    uintptr_t top = (uintptr_t)sp & ~(uintptr_t)15;
#if defined(__linux__) && defined(__x86_64__) && !WEFT_SWITCH_PORTABLE
    enum { DIRECTION = 0x400 };
    ucontext_t *u = machine;
    if (u == NULL)
        return 0;
    top -= sizeof(uintptr_t); /* as after a call */
    *(uintptr_t *)top = 0;
    u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)fn;
    u->uc_mcontext.gregs[REG_RSP] = (greg_t)top;
    u->uc_mcontext.gregs[REG_RBP] = 0;
    u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)DIRECTION;
    return 0;
#elif defined(__linux__) && defined(__aarch64__) && !WEFT_SWITCH_PORTABLE
    ucontext_t *u = machine;
    if (u == NULL)
        return 0;
    u->uc_mcontext.pc = (uintptr_t)fn;
    u->uc_mcontext.sp = top;
    u->uc_mcontext.regs[29] = u->uc_mcontext.regs[30] = 0;
    return 0;
#elif defined(__linux__) && defined(__riscv) && !WEFT_SWITCH_PORTABLE
    ucontext_t *u = machine;
    if (u == NULL)
        return 0;
    u->uc_mcontext.__gregs[REG_PC] = (uintptr_t)fn;
    u->uc_mcontext.__gregs[REG_SP] = top;
    u->uc_mcontext.__gregs[REG_RA] = u->uc_mcontext.__gregs[REG_S0] = 0;
    return 0;
#else
    (void)machine;
    (void)fn;
    (void)top;
    return -ENOTSUP;
#endif
}

int weft__interrupted(const void *machine, uintptr_t *pc, uintptr_t *frame, uintptr_t *sp)
{
#if defined(__linux__) && defined(__x86_64__)
    const ucontext_t *u = machine;
    *pc = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
    *frame = (uintptr_t)u->uc_mcontext.gregs[REG_RBP];
    *sp = (uintptr_t)u->uc_mcontext.gregs[REG_RSP];
    return 0;
#elif defined(__linux__) && defined(__aarch64__)
    const ucontext_t *u = machine;
    *pc = (uintptr_t)u->uc_mcontext.pc;
    *frame = (uintptr_t)u->uc_mcontext.regs[29];
    *sp = (uintptr_t)u->uc_mcontext.sp;
    return 0;
#elif defined(__linux__) && defined(__riscv)
    const ucontext_t *u = machine;
    *pc = (uintptr_t)u->uc_mcontext.__gregs[REG_PC];
    *frame = (uintptr_t)u->uc_mcontext.__gregs[REG_S0];
    *sp = (uintptr_t)u->uc_mcontext.__gregs[REG_SP];
    return 0;
#else
    (void)machine;
    (void)pc;
    (void)frame;
    (void)sp;
    return -ENOTSUP;
#endif
}
