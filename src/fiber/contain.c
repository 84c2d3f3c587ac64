/* Containment of stack overflows. weft__contain runs in a signal handler on the thread that faulted: it takes no
 * lock that it would have to wait for, allocates nothing and changes nothing but the registers that the thread goes
 * on with; `escape` then runs as ordinary code of the worker on what was the handler's stack, and `contained` on the
 * worker's own context. Code is registered by any thread.
 *
 * Why that is safe: every frame on the stack is known to be code that holds nothing which its lane's death does not
 * give back. So no lock of the C library or of the runtime is held, and no list is half changed; the fiber is as
 * good as one that is killed where it waits. */
#include "fiber/contain.h"

#include <errno.h>

#include "arch/unwind.h"
#include "base/check.h"
#include "fiber/death.h"

/* ---- which code ---- */

int weft__contain_code(weft_runtime *rt, uintptr_t from, uintptr_t to)
{
    weft__fiber_realm *realm = rt->fibers;
    uintptr_t pc[4];
    int r = -EAGAIN;
    if (!realm->watched || weft__divert(NULL, NULL, NULL) < 0)
        return -ENOTSUP;
    (void)weft__backtrace(pc, 4); /* what the unwinder looks up the first time only is not for a signal handler */
    weft__spin_lock(&realm->code_lock);
    uint32_t n = realm->code_count;
    if (n < WEFT__CODE_RANGES) {
        realm->code[n].from = from;
        realm->code[n].to = to;
        weft__store_release(&realm->code_count, n + 1, "contain.code"); /* pairs with the acquire in known */
        r = 0;
    }
    weft__spin_unlock(&realm->code_lock);
    return r;
}

static int known(void *ctx, uintptr_t address)
{
    weft__fiber_realm *realm = ctx;
    uint32_t n = weft__load_acquire(&realm->code_count, "contain.known");
    for (uint32_t i = 0; i < n; i++)
        if (address >= realm->code[i].from && address < realm->code[i].to)
            return 1;
    return 0;
}

__attribute__((noinline)) void weft__probe_stack(const weft__fiber *f, size_t bytes)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (!f->stack || f->foreign_stack || here - (uintptr_t)f->stack->lo >= bytes)
        return;
    (void)*(const volatile char *)((uintptr_t)f->stack->lo - 1); /* in the guard: the overflow is now */
}

/* ---- the way out ---- */

/* On the worker's own context: nobody stands on the fiber's stack any more, and it ends as one that was killed where
 * it waits. */
static void contained(void *arg)
{
    weft__fiber *f = arg;
    weft_runtime *rt = f->home->rt;
    weft__fiber_realm *realm = rt->fibers;
    weft__say(rt, WEFT_LOG_WARNING, "fiber \"%s\" of lane \"%s\" (spawned at %s) overflowed its stack of %zu bytes: its lane ends, others go on",
              f->name, f->crew->name, f->site, f->stack->size);
    f->state = WEFT__READY;
    f->waiting = WEFT__WAIT_NONE;
    f->await = NULL;
    realm->hooks.overflowed(f->crew);
    weft__fiber_die(f);
}

/* The thread goes on here when the handler returns, on the memory that was the handler's. */
static void escape(void)
{
    weft__worker *w = weft__worker_self();
    weft__fiber *f = w->running;
    w->running = NULL;
    weft__switch(&f->context, &w->context, contained, f);
    __builtin_trap();
}

/* Does the interrupted code stand on this stack? */
static int stands_on(weft__fiber_realm *realm, const weft__stack *stack, uintptr_t sp)
{
    const weft__stack *found;
    return weft__stack_find(&realm->depot, sp, &found) != WEFT__STACK_NOWHERE && found == stack;
}

int weft__contain(weft__fiber_realm *realm, const weft__stack *stack, void *machine)
{
    char room[4096];
    uintptr_t pc, frame, sp;
    const weft__fiber *f = stack->owner;
    if (!f || weft__interrupted(machine, &pc, &frame, &sp) < 0 || !stands_on(realm, stack, sp))
        return 0;
    if (!f->crew->containable || f->foreign_stack || f->state != WEFT__RUNNING || f->cleaning != WEFT__CLEANING_NOT)
        return 0;
    if (!weft__unwind_known(pc, (uintptr_t)weft__probe_stack, (uintptr_t)weft__fiber_body, known, realm))
        return 0;
    return weft__divert(machine, escape, room + sizeof room) == 0;
}
