/* The blocking pool: threads that make the calls which have no other way to wait. Shared by any number of ports;
 * jobs are ops and bring their own memory. Submit and revoke come from the home threads of the ops' ports.
 *
 * There is one pool for files and for functions whose caller names no pool, and beside it others by name, each with
 * threads, limits and a lock of its own, so that what waits in one holds up nobody in another. They are listed with
 * the first, are made by their first use or before, and end with it.
 *
 * Invariants, all under the lock: a job is in a queue or a thread runs it, never both; idle threads are on the idle
 * list; a thread leaves the idle list only by a submitter's hand (a token follows) or its own at its time-out. Jobs
 * of the caller's functions never occupy all threads: one is kept for files, as a function may wait for anything,
 * even for a file job. A named pool has no file jobs, and keeps none. */
#include <errno.h>
#include <string.h>
#include <weft/pool.h>

#include "base/atomic.h"
#include "base/check.h"
#include "base/list.h"
#include "base/spin.h"
#include "port/port.h"

enum { THREADS_MAX = 256, IDLE_DEFAULT_S = 10 };
enum { JOB_QUEUED = 1, JOB_RUNNING = 2 };
enum thread_state { NONE, ALIVE, GONE }; /* GONE: its function is over or about to be, the handle waits to be joined */

typedef struct pool_thread {
    weft__pool *pool;
    weft_thread *handle;
    weft_parker parker;
    struct pool_thread *idle_next;
    weft_op *job;     /* that it runs and that may be disturbed; under the lock */
    uintptr_t tag;    /* env's name for the thread */
    uint8_t state, idle;
    uint8_t starting; /* somebody is just making it: `handle` is theirs */
} pool_thread;

struct weft__pool {
    const weft_env *env;
    int64_t idle_ns;
    size_t bytes;
    unsigned max;
    unsigned calls_max;       /* functions that run at once */
    unsigned line;            /* and that wait; 0: no limit */
    char name[WEFT_POOL_NAME_MAX + 1];

    weft__spin naming;        /* of the first: guards the list */
    weft__pool *named;        /* of the first: all others, linked by this */

    weft__spin lock;
    weft__tasks files, calls; /* jobs, by op->task */
    unsigned calls_waiting;
    unsigned calls_running, alive;
    int stopping;
    pool_thread *idle; /* the last to go idle is first: its stack is warm, and the others reach their time-out */
    pool_thread threads[];
};

/* The pool is the only one to look at the scratch of an op on this path. */
static uint64_t *job_state(weft_op *op) { return &op->drv[0]; }
static weft__pool *pool_of(const weft_op *op) { return (weft__pool *)(uintptr_t)op->drv[1]; }

static weft_op *op_of(weft_task *t) { return weft__container(t, weft_op, task); }

static weft_op *next_job(weft__pool *pool)
{
    weft_task *t = weft__tasks_pop(&pool->files);
    if (!t && pool->calls_running < pool->calls_max) {
        t = weft__tasks_pop(&pool->calls);
        pool->calls_running += t != NULL;
        pool->calls_waiting -= t != NULL;
    }
    if (!t)
        return NULL;
    *job_state(op_of(t)) = JOB_RUNNING;
    return op_of(t);
}

static void run_done(weft_task *task)
{
    weft_op *op = op_of(task);
    op->task.run = op->after;
    weft__port_pool_done(op->port, op);
}

/* Tells the op's port. After the push the op, and soon the port, may be gone: `guests` keeps the port until we have
 * left it. */
static void tell(weft_op *op)
{
    weft_port *port = op->port;
    weft__add_acq_rel(&port->guests, 1u, "port_guest_in");
    op->task.run = run_done;
    weft__port_send(port, &op->task);
    weft__sub_acq_rel(&port->guests, 1u, "port_guest_out"); /* pairs with the acquire in weft__port_fini */
}

static void run_job(pool_thread *self, weft_op *op)
{
    weft__pool *pool = self->pool;
    int call = op->code == WEFT_OP_CALL;
    if (call && op->flags & WEFT_OP_DISTURB) {
        weft__spin_lock(&pool->lock);
        self->job = op;
        weft__spin_unlock(&pool->lock);
    }
    op->result = weft__op_run_blocking(op);
    if (call) {
        weft__spin_lock(&pool->lock);
        self->job = NULL; /* whoever disturbs it has the lock */
        pool->calls_running--;
        weft__spin_unlock(&pool->lock);
    }
    tell(op);
}

/* Off the idle list; 0 if somebody took it off before. */
static int leave_idle(weft__pool *pool, pool_thread *self)
{
    if (!self->idle)
        return 0;
    pool_thread **at = &pool->idle;
    while (*at != self)
        at = &(*at)->idle_next;
    *at = self->idle_next;
    self->idle = 0;
    return 1;
}

static void thread_main(void *arg)
{
    pool_thread *self = arg;
    weft__pool *pool = self->pool;
    const weft_env *env = pool->env;
    self->tag = env->worker_tag ? env->worker_tag(env->self) : 0;
    weft__spin_lock(&pool->lock);
    for (;;) {
        weft_op *op = next_job(pool);
        if (op) {
            weft__spin_unlock(&pool->lock);
            run_job(self, op);
            weft__spin_lock(&pool->lock);
            continue;
        }
        if (pool->stopping)
            break;
        self->idle = 1;
        self->idle_next = pool->idle;
        pool->idle = self;
        weft__spin_unlock(&pool->lock);
        int token = env->park(env->self, &self->parker, env->now(env->self) + pool->idle_ns);
        weft__spin_lock(&pool->lock);
        /* Taken off by a submitter while the time ran out: there is a job, and the token stays for the next park,
         * which does no harm. */
        if (leave_idle(pool, self) && !token)
            break;
    }
    self->state = GONE;
    pool->alive--;
    weft__spin_unlock(&pool->lock);
}

int weft__pool_open(weft__pool **out, const weft_env *env, const weft__pool_options *opt)
{
    unsigned max = opt && opt->threads ? opt->threads : 4;
    if (max > THREADS_MAX)
        max = THREADS_MAX;
    if (!env->thread_start || !env->thread_join || !env->map || !env->unmap)
        return -ENOTSUP;
    size_t bytes = sizeof(weft__pool) + max * sizeof(pool_thread), page = env->page_size;
    bytes = (bytes + page - 1) / page * page;
    weft__pool *pool = env->map(env->self, bytes, 0);
    if (!pool)
        return -ENOMEM;
    pool->env = env;
    pool->bytes = bytes;
    pool->max = max;
    pool->calls_max = opt && opt->name ? max : max > 1 ? max - 1 : 1;
    pool->line = opt ? opt->line : 0;
    pool->idle_ns = opt && opt->idle_ns > 0 ? opt->idle_ns : IDLE_DEFAULT_S * WEFT_SECOND;
    for (unsigned i = 0; i < max; i++)
        pool->threads[i].pool = pool;
    if (opt && opt->name)
        memcpy(pool->name, opt->name, strlen(opt->name));
    *out = pool;
    return 0;
}

void weft__pool_close(weft__pool *pool)
{
    const weft_env *env = pool->env;
    for (weft__pool *named; (named = pool->named);) {
        pool->named = named->named;
        named->named = NULL;
        weft__pool_close(named);
    }
    weft__spin_lock(&pool->lock);
    pool->stopping = 1;
    WEFT_ASSERT(weft__tasks_empty(&pool->files) && weft__tasks_empty(&pool->calls));
    weft__spin_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->max; i++) {
        if (!pool->threads[i].handle)
            continue;
        env->unpark(env->self, &pool->threads[i].parker);
        env->thread_join(env->self, pool->threads[i].handle);
    }
    env->unmap(env->self, pool, pool->bytes);
}

/* A free place for a thread, its former one joined. Only the lock's holder hands places out. */
static pool_thread *place(weft__pool *pool)
{
    for (unsigned i = 0; i < pool->max; i++)
        if (pool->threads[i].state != ALIVE && !pool->threads[i].starting)
            return &pool->threads[i];
    return NULL;
}

/* Starts one more thread, outside of the lock: it is counted already. */
static int start_thread(weft__pool *pool, pool_thread *t)
{
    const weft_env *env = pool->env;
    if (t->handle)
        env->thread_join(env->self, t->handle); /* GONE: it has nothing left to do but to return */
    t->handle = NULL;
    /* The parker is left as it is: a late unpark of its former thread may still come, and a spare token does no
     * harm. */
    return env->thread_start(env->self, &t->handle, &(weft_thread_options){.name = "weft-pool"}, thread_main, t);
}

/* Takes one out of the middle of a queue. O(its length): cancels of jobs that wait are rare. */
static int unqueue(weft__tasks *l, weft_task *t)
{
    weft__tasks kept = {0};
    int found = 0;
    for (weft_task *x; (x = weft__tasks_pop(l));) {
        if (x == t)
            found = 1;
        else
            weft__tasks_push(&kept, x);
    }
    *l = kept;
    return found;
}

/* A thread could not be started. The others do its job, if there are any; if not, every job ends with the error. If all
 * of them run functions, files' jobs do, since one of those functions may wait for one of them. Each goes the way of
 * jobs that were done, as it may belong to another port. */
static void start_failed(weft__pool *pool, pool_thread *t, int r)
{
    weft__tasks lost = {0};
    weft__spin_lock(&pool->lock);
    t->state = NONE;
    t->starting = 0;
    if (--pool->alive == pool->calls_running) {
        weft__tasks_splice(&lost, &pool->files);
        if (pool->alive == 0) {
            weft__tasks_splice(&lost, &pool->calls);
            pool->calls_waiting = 0;
        }
        for (weft_task *task = lost.head; task; task = task->next)
            *job_state(op_of(task)) = JOB_RUNNING; /* no longer to be revoked */
    }
    weft__spin_unlock(&pool->lock);
    for (weft_task *task; (task = weft__tasks_pop(&lost));) {
        op_of(task)->result = r;
        tell(op_of(task));
    }
}

/* ---- by name ---- */

static weft__pool *find_named(weft__pool *first, const char *name)
{
    weft__pool *pool = first->named;
    while (pool && strcmp(pool->name, name) != 0)
        pool = pool->named;
    return pool;
}

int weft__pool_make(weft__pool *first, const weft__pool_options *opt, weft__pool **out)
{
    size_t length = strlen(opt->name);
    if (length == 0 || length > WEFT_POOL_NAME_MAX)
        return -EINVAL;
    weft__pool *made, *there;
    int r = weft__pool_open(&made, first->env, opt);
    if (r < 0)
        return r;
    weft__spin_lock(&first->naming);
    there = find_named(first, opt->name);
    if (!there) {
        made->named = first->named;
        first->named = made;
    }
    weft__spin_unlock(&first->naming);
    if (there)
        weft__pool_close(made);
    *out = there ? there : made;
    return there ? -EEXIST : 0;
}

/* The pool that a job is for; NULL: it cannot be made, and why. */
static weft__pool *choose(weft__pool *first, const weft_op *op, int *why)
{
    const char *name = op->code == WEFT_OP_CALL ? op->call.pool : NULL;
    if (!name)
        return first;
    weft__spin_lock(&first->naming);
    weft__pool *pool = find_named(first, name);
    weft__spin_unlock(&first->naming);
    if (pool)
        return pool;
    *why = weft__pool_make(first, &(weft__pool_options){.name = name, .threads = first->max, .idle_ns = first->idle_ns}, &pool);
    return *why == 0 || *why == -EEXIST ? pool : NULL;
}

static void refuse(weft_op *op, int why)
{
    *job_state(op) = JOB_RUNNING; /* not to be revoked */
    op->result = why;
    tell(op);
}

/* ---- jobs ---- */

void weft__pool_submit(weft__pool *first, weft_op *op)
{
    const weft_env *env = first->env;
    pool_thread *idle = NULL, *newborn = NULL;
    int call = op->code == WEFT_OP_CALL, why = -EAGAIN;
    op->after = op->task.run;
    weft__pool *pool = choose(first, op, &why);
    op->drv[1] = (uintptr_t)pool;
    if (!pool) {
        refuse(op, why);
        return;
    }
    weft__spin_lock(&pool->lock);
    if (call && pool->line && pool->calls_waiting + pool->calls_running >= pool->calls_max + pool->line) {
        weft__spin_unlock(&pool->lock);
        refuse(op, -EAGAIN);
        return;
    }
    *job_state(op) = JOB_QUEUED;
    pool->calls_waiting += (unsigned)call;
    weft__tasks_push(call ? &pool->calls : &pool->files, &op->task);
    if (pool->idle) {
        idle = pool->idle;
        pool->idle = idle->idle_next;
        idle->idle = 0;
    } else if (pool->alive < pool->max && (newborn = place(pool))) {
        newborn->state = ALIVE;
        newborn->starting = 1;
        pool->alive++;
    }
    weft__spin_unlock(&pool->lock);
    if (idle)
        env->unpark(env->self, &idle->parker);
    if (!newborn)
        return;
    int r = start_thread(pool, newborn);
    if (r < 0) {
        start_failed(pool, newborn, r);
        return;
    }
    weft__spin_lock(&pool->lock);
    newborn->starting = 0;
    weft__spin_unlock(&pool->lock);
}

int weft__pool_revoke(weft_op *op)
{
    weft__pool *pool = pool_of(op);
    int found = 0, call = op->code == WEFT_OP_CALL;
    if (!pool)
        return 0;
    weft__spin_lock(&pool->lock);
    if (*job_state(op) == JOB_QUEUED) {
        found = unqueue(call ? &pool->calls : &pool->files, &op->task);
        pool->calls_waiting -= (unsigned)(found && call);
    }
    weft__spin_unlock(&pool->lock);
    return found;
}

void weft__pool_disturb(weft_op *op)
{
    weft__pool *pool = pool_of(op);
    if (!pool || !pool->env->disturb)
        return;
    weft__spin_lock(&pool->lock);
    for (unsigned i = 0; i < pool->max; i++)
        if (pool->threads[i].job == op)
            /* It cannot go on to another job while we have the lock. */
            pool->env->disturb(pool->env->self, pool->threads[i].tag);
    weft__spin_unlock(&pool->lock);
}
