/* The blocking pool: threads that make the calls which have no other way to wait. Shared by any number of ports;
 * jobs are ops and bring their own memory. Submit and revoke come from the home threads of the ops' ports.
 *
 * Invariants, all under the lock: a job is in a queue or a thread runs it, never both; idle threads are on the idle
 * list; a thread leaves the idle list only by a submitter's hand (a token follows) or its own at its time-out. Jobs
 * of the caller's functions never occupy all threads: one is kept for files, as a function may wait for anything,
 * even for a file job. */
#include <errno.h>
#include <string.h>

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
    uint8_t state, idle;
    uint8_t starting; /* somebody is just making it: `handle` is theirs */
} pool_thread;

struct weft__pool {
    const weft_env *env;
    int64_t idle_ns;
    size_t bytes;
    unsigned max;

    weft__spin lock;
    weft__tasks files, calls; /* jobs, by op->task */
    unsigned calls_running, alive;
    int stopping;
    pool_thread *idle; /* the last to go idle is first: its stack is warm, and the others reach their time-out */
    pool_thread threads[];
};

/* The pool is the only one to look at the scratch of an op on this path. */
static uint64_t *job_state(weft_op *op) { return &op->drv[0]; }

static weft_op *op_of(weft_task *t) { return weft__container(t, weft_op, task); }

static unsigned calls_allowed(const weft__pool *pool) { return pool->max > 1 ? pool->max - 1 : 1; }

static weft_op *next_job(weft__pool *pool)
{
    weft_task *t = weft__tasks_pop(&pool->files);
    if (!t && pool->calls_running < calls_allowed(pool)) {
        t = weft__tasks_pop(&pool->calls);
        pool->calls_running += t != NULL;
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

static void run_job(weft__pool *pool, weft_op *op)
{
    int call = op->code == WEFT_OP_CALL;
    op->result = weft__op_run_blocking(op);
    if (call) {
        weft__spin_lock(&pool->lock);
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
    weft__spin_lock(&pool->lock);
    for (;;) {
        weft_op *op = next_job(pool);
        if (op) {
            weft__spin_unlock(&pool->lock);
            run_job(pool, op);
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
    pool->idle_ns = opt && opt->idle_ns > 0 ? opt->idle_ns : IDLE_DEFAULT_S * WEFT_SECOND;
    for (unsigned i = 0; i < max; i++)
        pool->threads[i].pool = pool;
    *out = pool;
    return 0;
}

void weft__pool_close(weft__pool *pool)
{
    const weft_env *env = pool->env;
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

/* A thread could not be started. The others do its job, if there are any; if not, every job ends with the error.
 * Each goes the way of jobs that were done, as it may belong to another port. */
static void start_failed(weft__pool *pool, pool_thread *t, int r)
{
    weft__tasks lost = {0};
    weft__spin_lock(&pool->lock);
    t->state = NONE;
    t->starting = 0;
    if (--pool->alive == 0) {
        weft__tasks_splice(&lost, &pool->files);
        weft__tasks_splice(&lost, &pool->calls);
        for (weft_task *task = lost.head; task; task = task->next)
            *job_state(op_of(task)) = JOB_RUNNING; /* no longer to be revoked */
    }
    weft__spin_unlock(&pool->lock);
    for (weft_task *task; (task = weft__tasks_pop(&lost));) {
        op_of(task)->result = r;
        tell(op_of(task));
    }
}

void weft__pool_submit(weft__pool *pool, weft_op *op)
{
    const weft_env *env = pool->env;
    pool_thread *idle = NULL, *newborn = NULL;
    op->after = op->task.run;
    weft__spin_lock(&pool->lock);
    *job_state(op) = JOB_QUEUED;
    weft__tasks_push(op->code == WEFT_OP_CALL ? &pool->calls : &pool->files, &op->task);
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

int weft__pool_revoke(weft__pool *pool, weft_op *op)
{
    int found = 0;
    weft__spin_lock(&pool->lock);
    if (*job_state(op) == JOB_QUEUED)
        found = unqueue(op->code == WEFT_OP_CALL ? &pool->calls : &pool->files, &op->task);
    weft__spin_unlock(&pool->lock);
    return found;
}
