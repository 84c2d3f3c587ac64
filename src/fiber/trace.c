/* Backtraces of fibers: addresses with who, of which lane, spawned where. No allocation. */
#include <errno.h>
#include <string.h>

#include "arch/unwind.h"
#include "fiber/fiber.h"
#include "sched/text.h"

enum { OWN_STACK_WINDOW = 2048 }; /* bytes */

static void name(weft_trace *out, weft__fiber *f)
{
    out->fiber = weft__fiber_id(f);
    out->lane = f->crew->id;
    f->crew->seen = 1;
    out->name = f->name;
    out->site = f->site;
    out->lane_name = f->crew->name;
    out->lane_site = f->crew->site;
}

int weft_trace_here(weft_trace *out)
{
    if (!out)
        return -EINVAL;
    memset(out, 0, sizeof *out);
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return 0;
    name(out, f);
    out->depth = (unsigned)(f->stack ? weft__backtrace_in(f->stack->lo, f->stack->size, out->pc, WEFT_TRACE_MAX)
                                     : weft__backtrace(out->pc, WEFT_TRACE_MAX));
    return 0;
}

void weft__trace_interrupted(weft__fiber *f, const void *machine, weft_trace *out)
{
    memset(out, 0, sizeof *out);
    if (f)
        name(out, f);
    uintptr_t pc, frame, sp;
    if (weft__interrupted(machine, &pc, &frame, &sp) < 0)
        return;
    /* A thread's own stack has no bounds here: what lies a little above the stack pointer is certainly its. */
    const void *lo = f && f->stack ? f->stack->lo : (const void *)sp;
    size_t size = f && f->stack ? f->stack->size : OWN_STACK_WINDOW;
    out->depth = (unsigned)weft__backtrace_from(pc, frame, lo, size, out->pc, WEFT_TRACE_MAX);
}

int weft_trace_of(weft_id id, weft_trace *out)
{
    weft__fiber *self = weft__fiber_self(), *f;
    if (!self)
        return -EPERM;
    if (!out)
        return -EINVAL;
    int r = weft__fiber_find(self->home, id, &f);
    if (r < 0)
        return r;
    if (f->crew != self->crew)
        return -EPERM;
    if (f == self)
        return weft_trace_here(out);
    memset(out, 0, sizeof *out);
    name(out, f);
    if (f->state == WEFT__WAITING || f->state == WEFT__READY)
        out->depth = (unsigned)(f->stack ? weft__backtrace_parked(&f->context, f->stack->lo, f->stack->size, out->pc, WEFT_TRACE_MAX)
                                         : 0);
    return 0;
}

/* Adds to a text that may be longer than its buffer. */
#define ADD(...) n += weft__format(buf + (n < size ? n : size), n < size ? size - n : 0, __VA_ARGS__)

size_t weft_trace_format(const weft_trace *t, char *buf, size_t size)
{
    size_t n = 0;
    if (t->fiber.gen == 0)
        ADD("no fiber, the worker itself");
    else
        ADD("fiber \"%s\" (spawned at %s) of lane \"%s\" (spawned at %s)", t->name, t->site, t->lane_name, t->lane_site);
    weft__worker *w = weft__worker_self();
    const weft_env *env = w ? w->rt->env : NULL;
    for (unsigned i = 0; i < t->depth; i++) {
        char symbol[160];
        /* All but the first are return addresses: the call is the byte before. */
        size_t known = env && env->symbol ? env->symbol(env->self, t->pc[i] - (i > 0), symbol, sizeof symbol) : 0;
        ADD("\n  #%u %p %s", i, (const void *)t->pc[i], known ? symbol : "?");
    }
    return n;
}
