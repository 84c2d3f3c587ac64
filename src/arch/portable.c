/*
 * The switch for CPUs that have no assembly file: _setjmp and _longjmp between stacks, makecontext to stand on a fresh
 * one for the first time. Owns nothing; whoever may switch may call it. It is an order slower than assembly at a first
 * resumption (makecontext's relatives enter the kernel for the signal mask) and some ten times slower at others.
 *
 * Invariant: the `sp` of a parked context points to its record. A context that has run keeps the record in the frame
 * of the weft__switch_raw call that parked it; a fresh one has it at the top of its stack.
 *
 * _longjmp must not be the checked one of _FORTIFY_SOURCE, which takes a jump to another stack for a mistake; nor the
 * one that AddressSanitizer intercepts, which cleans up the stack it believes to be on. There setcontext stands in.
 */
#undef _FORTIFY_SOURCE
#include "arch/switch.h"

#if WEFT_SWITCH_PORTABLE

#include <fenv.h>
#include <setjmp.h>
#include <ucontext.h>

#if WEFT__ASAN
typedef ucontext_t saved;
#define SAVE(r) ((r)->resumed = 0, (void)getcontext(&(r)->state), (r)->resumed)
#define RESUME(r) ((r)->resumed = 1, (void)setcontext(&(r)->state))
#define UNSEEN __attribute__((no_sanitize_address))
#else
typedef jmp_buf saved;
#define SAVE(r) (_setjmp((r)->state))
#define RESUME(r) (_longjmp((r)->state, 1))
#define UNSEEN
#endif

typedef struct record {
    void *pc; /* for the unwinder, at the offsets that arch/layout.h names; setjmp's own copies may be encrypted */
    void *fp;
    saved state;
#if WEFT__ASAN
    volatile int resumed;
#endif
    fenv_t control; /* rounding and masks; the status flags travel along, which nobody may rely on */
    void (*after)(void *);
    void *after_arg;
    int fresh;
    void *lo; /* from here on: of fresh contexts only */
    size_t size;
    void (*entry)(void *);
    void *arg;
} record;

_Static_assert(offsetof(record, pc) == WEFT__FRAME_PC, "the unwinder finds pc there");
_Static_assert(offsetof(record, fp) == WEFT__FRAME_FP, "the unwinder finds fp there");

static void arrive(const record *r)
{
    if (r->after != NULL)
        r->after(r->after_arg);
}

/* makecontext passes integers only. */
static void first(unsigned high, unsigned low)
{
    const record *r = (const record *)(((uintptr_t)high << 16 << 16) | low);
    void (*entry)(void *) = r->entry;
    void *arg = r->arg;

    (void)fesetenv(FE_DFL_ENV);
    arrive(r);
    entry(arg);
    __builtin_trap();
}

UNSEEN _Noreturn static void begin(record *r)
{
    ucontext_t fresh;
    size_t used = (size_t)((char *)r - (char *)r->lo);
    uintptr_t p = (uintptr_t)r;

    if (getcontext(&fresh) == 0) {
        fresh.uc_link = NULL;
        fresh.uc_stack.ss_sp = r->lo;
        fresh.uc_stack.ss_size = used;
        makecontext(&fresh, (void (*)(void))first, 2, (unsigned)(p >> 16 >> 16), (unsigned)p);
        (void)setcontext(&fresh);
    }
    __builtin_trap();
}

__attribute__((noinline)) UNSEEN int weft__switch_raw(weft__context *from, weft__context *to, void (*after)(void *),
                                                      void *arg)
{
    record mine = {.pc = (void *)(uintptr_t)weft__switch_raw, .fp = __builtin_frame_address(0)};
    record *theirs = to->sp;

    (void)fegetenv(&mine.control);
    from->sp = &mine;
    theirs->after = after;
    theirs->after_arg = arg;
    if (SAVE(&mine) == 0) {
        if (theirs->fresh)
            begin(theirs);
        RESUME(theirs);
    }
    (void)fesetenv(&mine.control);
    arrive(&mine);
    return 0;
}

void weft__context_start(void)
{
    __builtin_trap(); /* the other switches put this address at the end of a stack */
}

void weft__context_make_raw(weft__context *ctx, void *lo, size_t size, void (*entry)(void *), void *arg)
{
    uintptr_t top = ((uintptr_t)lo + size - sizeof(record)) & ~(uintptr_t)63;
    record *r = (record *)top;

#if WEFT__VALGRIND
    /* What a former user popped is off limits until the stack pointer passes it again; we write before that. */
    (void)VALGRIND_MAKE_MEM_UNDEFINED(r, sizeof *r);
#endif
    r->pc = (void *)(uintptr_t)weft__context_start;
    r->fp = NULL;
    r->fresh = 1;
    r->lo = lo;
    r->size = size;
    r->entry = entry;
    r->arg = arg;
    ctx->sp = r;
}

#endif
