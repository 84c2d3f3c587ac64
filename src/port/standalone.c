/* A port of one's own: opening and closing, attached descriptors, submission and cancel from any thread.
 * standalone_queue.c has the results and who waits for them. Every public call counts itself in `inside` for as long
 * as it may touch the port. */
#include "port/standalone.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "env/default.h"

enum { CHUNK = 65536, COMPLETIONS_DEFAULT = 1024, COMPLETIONS_MAX = 1 << 20 };

static weft__standalone *enter_call(weft_port *port)
{
    WEFT_ASSERT(port && port->standalone == port);
    weft__standalone *sa = weft__standalone_of(port);
    weft__add_acq_rel(&sa->inside, 1u, "standalone_in");
    return sa;
}

void weft__standalone_outside(weft__standalone *sa)
{
    weft__sub_acq_rel(&sa->inside, 1u, "standalone_out"); /* pairs with the load in weft__registry_remove */
}

/* ---- Registry ---- */

static weft__spin registry_lock;
static weft__standalone *registry;
static uint64_t registry_serial;

void weft__registry_add(weft__standalone *sa)
{
    weft__spin_lock(&registry_lock);
    sa->serial = ++registry_serial;
    sa->all_next = registry;
    registry = sa;
    weft__spin_unlock(&registry_lock);
}

int weft__registry_remove(weft__standalone *sa)
{
    int r = -EBUSY;
    weft__spin_lock(&registry_lock);
    if (weft__load_acquire(&sa->inside, "standalone_inside") == 1) {
        weft__standalone **at = &registry;
        while (*at != sa)
            at = &(*at)->all_next;
        *at = sa->all_next;
        r = 0;
    }
    weft__spin_unlock(&registry_lock);
    return r;
}

weft__standalone *weft__registry_find(uint64_t serial)
{
    weft__spin_lock(&registry_lock);
    weft__standalone *sa = registry;
    while (sa && sa->serial != serial)
        sa = sa->all_next;
    if (sa)
        weft__add_acq_rel(&sa->inside, 1u, "standalone_in");
    weft__spin_unlock(&registry_lock);
    return sa;
}

/* ---- Opening ---- */

void *weft__standalone_cut(weft__standalone *sa, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    weft__chunk *c = sa->chunks;
    if (!c || c->bytes - c->used < bytes) {
        c = sa->env->map(sa->env->self, CHUNK, 0);
        if (!c)
            return NULL;
        c->bytes = CHUNK;
        c->used = (sizeof *c + 15) & ~(size_t)15;
        c->next = sa->chunks;
        sa->chunks = c;
    }
    void *p = (char *)c + c->used;
    c->used += bytes;
    return p;
}

static void say_missing(const weft_env *env, const char *table, const char *slot)
{
    char text[128];
    size_t n = 0;
    const char *parts[] = {"port: slot \"", slot, "\" of the ", table, " table is empty and needed"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (const char *s = parts[i]; *s && n < sizeof text; s++)
            text[n++] = *s;
    if (env->log)
        env->log(env->self, WEFT_LOG_ERROR, text, n);
}

static int tables_complete(const weft_env *env, const weft_port_driver *driver)
{
    int complete = 1;
    for (const char *slot = NULL; (slot = weft_env_missing(env, slot));) {
        say_missing(env, "env", slot);
        complete = 0;
    }
    for (const char *slot = NULL; (slot = weft_driver_missing(driver, slot));) {
        say_missing(env, "driver", slot);
        complete = 0;
    }
    return complete;
}

static void free_memory(weft__standalone *sa)
{
    const weft_env *env = sa->env;
    for (weft__chunk *c = sa->chunks, *next; c; c = next) {
        next = c->next;
        env->unmap(env->self, c, c->bytes);
    }
    env->unmap(env->self, sa, sa->bytes);
}

static weft__standalone *make(const weft_env *env, unsigned completions)
{
    size_t page = env->page_size, bytes = sizeof(weft__standalone) + completions * sizeof(weft__result);
    bytes = (bytes + page - 1) / page * page;
    weft__standalone *sa = env->map(env->self, bytes, 0);
    if (!sa)
        return NULL;
    sa->env = env;
    sa->bytes = bytes;
    sa->completions = completions;
    weft__result *results = (weft__result *)(void *)(sa + 1);
    for (unsigned i = completions; i-- > 0;) {
        results[i].task.next = sa->result_free ? &sa->result_free->task : NULL;
        sa->result_free = &results[i];
    }
    return sa;
}

int weft_port_open(weft_port **out, const weft_port_options *opt)
{
    static const weft_port_options none;
    if (!opt)
        opt = &none;
    const weft_env *env = opt->env ? opt->env : weft__default_env();
    const weft_port_driver *driver = opt->driver ? opt->driver : weft__default_driver();
    if (!driver)
        driver = weft_driver_named(NULL);
    unsigned completions = opt->completions ? opt->completions : COMPLETIONS_DEFAULT;
    if (!driver)
        return -ENOSYS;
    if (completions > COMPLETIONS_MAX || !tables_complete(env, driver))
        return -EINVAL;
    weft__standalone *sa = make(env, completions);
    if (!sa)
        return -ENOMEM;
    sa->limit = opt->concurrency;

    weft__pool *pool = NULL;
    weft_port_config config = opt->config;
    config.shared = 1;
    int r = 0;
    if (env->thread_start) /* else ops that need a thread answer -ENOTSUP */
        r = weft__pool_open(&pool, env, &(weft__pool_options){.threads = opt->pool_threads ? opt->pool_threads : 4});
    if (r < 0)
        goto free_memory;
    weft__port_owner owner = {.deliver = weft__standalone_deliver, .ctx = sa, .more = weft__standalone_more};
    r = weft__port_init(&sa->port, env, driver, &config, &owner, pool);
    if (r < 0)
        goto close_pool;
    sa->port.standalone = sa;
    weft__store_relaxed(&sa->port.home, NULL, "port_home"); /* nobody drives */
    weft__registry_add(sa);
    *out = &sa->port;
    return 0;

close_pool:
    if (pool)
        weft__pool_close(pool);
free_memory:
    free_memory(sa);
    return r;
}

/* Descriptors that were never detached. Nothing is in flight on them. */
static void close_attached(weft__standalone *sa)
{
    for (weft__attached *a = sa->attached, *next; a; a = next) {
        next = a->next_all;
        if (a->used)
            weft__desc_close(&sa->port, &a->desc);
    }
}

int weft_port_close(weft_port *port)
{
    weft__standalone *sa = enter_call(port);
    int r = -EBUSY;
    weft__spin_lock(&sa->lock);
    if (!sa->driving)
        weft__standalone_drive(sa, WEFT_NOW); /* takes in what was sent: detached descriptors, returned buffers */
    int idle = !sa->driving && !port->flying && !sa->queued && !port->lent &&
               !weft__load_acquire(&port->inbox, "port_inbox");
    if (idle)
        r = weft__registry_remove(sa);
    if (r == 0)
        sa->driving = 1; /* nobody else will */
    weft__spin_unlock(&sa->lock);
    if (r < 0) {
        weft__standalone_outside(sa);
        return r;
    }
    close_attached(sa);
    weft__pool *pool = port->pool;
    weft__port_fini(port);
    if (pool)
        weft__pool_close(pool);
    free_memory(sa);
    return 0;
}

/* ---- Descriptors ---- */

static void gone(weft_desc *desc, int result)
{
    weft__attached *a = (weft__attached *)(void *)desc;
    weft__standalone *sa = desc->owner;
    (void)result;
    weft__spin_lock(&sa->lock);
    a->used = 0;
    a->next = sa->attached_free;
    sa->attached_free = a;
    weft__spin_unlock(&sa->lock);
}

int weft_port_attach(weft_port *port, weft_handle h, enum weft_desc_kind kind, uint64_t key, weft_desc **out)
{
    if (h == WEFT_NOHANDLE)
        return -EBADF;
    weft__standalone *sa = enter_call(port);
    weft__spin_lock(&sa->lock);
    weft__attached *a = sa->attached_free;
    if (a)
        sa->attached_free = a->next;
    else if ((a = weft__standalone_cut(sa, sizeof *a))) {
        a->next_all = sa->attached;
        sa->attached = a;
    }
    if (a) {
        weft__desc_init(&a->desc, h, kind);
        a->desc.key = key;
        a->desc.port = port;
        a->desc.closed = gone;
        a->desc.owner = sa;
        a->used = 1;
        a->detached = 0;
        *out = &a->desc;
    }
    weft__spin_unlock(&sa->lock);
    weft__standalone_outside(sa);
    return a ? 0 : -ENOMEM;
}

static void run_detach(weft_task *task)
{
    weft__attached *a = weft__container(task, weft__attached, request);
    weft__desc_close(a->desc.port, &a->desc);
}

int weft_port_detach(weft_port *port, weft_desc *desc)
{
    weft__standalone *sa = enter_call(port);
    weft__attached *a = (weft__attached *)(void *)desc;
    weft__spin_lock(&sa->lock);
    int r = a->used && !a->detached ? 0 : -EBADF;
    a->detached = 1;
    weft__spin_unlock(&sa->lock);
    if (r == 0) {
        a->request.run = run_detach;
        weft__port_send(port, &a->request);
    }
    weft__standalone_outside(sa);
    return r;
}

/* ---- Ops ---- */

static int in_flight(const weft_op *op) { return op->state == WEFT_OP_QUEUED || op->state == WEFT_OP_FLYING; }

int weft_port_submit(weft_port *port, weft_op *op)
{
    for (weft_op *o = op; o; o = o->flags & WEFT_OP_LINK ? o->link : NULL)
        if (in_flight(o))
            return -EBUSY;
    weft__standalone *sa = enter_call(port);
    for (weft_op *o = op; o; o = o->flags & WEFT_OP_LINK ? o->link : NULL) {
        o->done_key = o->desc ? o->desc->key : o->key;
        o->cancel_state = WEFT__CANCEL_NONE;
    }
    weft__port_start_remote(port, op);
    weft__standalone_outside(sa);
    return 0;
}

int weft_port_cancel(weft_port *port, weft_op *op)
{
    weft__standalone *sa = enter_call(port);
    uint32_t state = WEFT__CANCEL_NONE;
    int r = 0;
    if (weft__cas_acq_rel(&op->cancel_state, &state, (uint32_t)WEFT__CANCEL_ASKED, "standalone_cancel")) {
        op->cancel_task.run = weft__standalone_run_cancel;
        weft__port_send(port, &op->cancel_task);
    } else if (state == WEFT__CANCEL_ENDED) {
        r = -EALREADY;
    }
    weft__standalone_outside(sa);
    return r;
}

/* ---- What it is ---- */

int weft_port_pollable(weft_port *port, weft_handle *out)
{
    if (!port->driver->pollable)
        return -ENOTSUP;
    weft__standalone *sa = enter_call(port);
    weft__spin_lock(&sa->lock);
    sa->watched = 1;
    weft__spin_unlock(&sa->lock);
    weft_handle h = port->driver->pollable(port);
    weft__standalone_outside(sa);
    if (h == WEFT_NOHANDLE)
        return -ENOTSUP;
    *out = h;
    return 0;
}

const char *weft_port_name(const weft_port *port) { return port->driver->name; }

enum weft_path weft_port_path(weft_port *port, enum weft_opcode code, const char **why)
{
    const char *text = "";
    enum weft_path path = WEFT_PATH_NONE;
    if ((unsigned)code < WEFT_OP_COUNT) {
        path = code == WEFT_OP_CALL   ? WEFT_PATH_POOL
               : code == WEFT_OP_POST ? WEFT_PATH_CALL
                                      : port->driver->path(port, code);
        if (path == WEFT_PATH_RING && port->refused[code] & 1u << WEFT_PATH_RING) {
            path = weft__fallback_path(code);
            text = "the kernel refused it when asked";
        } else if (port->driver->why) {
            text = port->driver->why(port, code);
        }
        if (path == WEFT_PATH_POOL && !port->pool) {
            path = WEFT_PATH_NONE;
            text = "there is no blocking pool";
        }
    }
    if (why)
        *why = text ? text : "";
    return path;
}
