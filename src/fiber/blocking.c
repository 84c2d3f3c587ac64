/* Blocking calls of fibers, and the pools that they are made on (port/pool.c). weft_pool_make_in is for any thread. */
#include <errno.h>
#include <weft/pool.h>

#include "fiber/contain.h"

static int make(weft_runtime *rt, const char *name, const weft_pool_options *opt)
{
    static const weft_pool_options none;
    weft__pool *pool;
    if (!name)
        return -EINVAL;
    if (!rt->pool)
        return -ENOTSUP;
    if (!opt)
        opt = &none;
    weft__pool_options o = {.name = name, .threads = opt->threads ? opt->threads : rt->opt.pool_threads, .line = opt->line, .idle_ns = opt->idle_ns};
    return weft__pool_make(rt->pool, &o, &pool);
}

int weft_pool_make(const char *name, const weft_pool_options *opt)
{
    weft__worker *w = weft__worker_self();
    return w ? make(w->rt, name, opt) : -EPERM;
}

int weft_pool_make_in(weft_runtime *rt, const char *name, const weft_pool_options *opt)
{
    return rt && rt->magic == WEFT__RUNTIME_MAGIC ? make(rt, name, opt) : -EINVAL;
}

int64_t weft_blocking(int64_t (*fn)(void *arg), void *arg, const weft_blocking_options *opt)
{
    static const weft_blocking_options none;
    weft_op op;
    weft__probe_self();
    if (!opt)
        opt = &none;
    if (!weft__fiber_self())
        return -EPERM;
    if (!fn)
        return -EINVAL;
    weft_op_call(&op, fn, arg, opt->pool);
    if (opt->disturb)
        op.flags |= WEFT_OP_DISTURB;
    return weft__await_op(&op, opt->deadline ? opt->deadline : WEFT_NEVER);
}
