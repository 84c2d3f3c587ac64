/* The blocking pool: bounded, revocable, never losing a job. */
#include "bed.h"

#include <pthread.h>

typedef struct gate {
    uint32_t inside, most, open, ran; /* atomic */
} gate;

static int64_t pass(void *arg)
{
    gate *g = arg;
    uint32_t now = weft__add_acq_rel(&g->inside, 1u, "test") + 1;
    uint32_t most = weft__load_relaxed(&g->most, "test");
    while (now > most && !weft__cas_acq_rel(&g->most, &most, now, "test"))
        ;
    while (!weft__load_acquire(&g->open, "test"))
        sched_yield();
    weft__sub_acq_rel(&g->inside, 1u, "test");
    return (int64_t)weft__add_acq_rel(&g->ran, 1u, "test");
}

static void calls(bed *b)
{
    gate g = {.open = 1};
    job j = {0};
    for (int i = 0; i < 200; i++) {
        weft_op_call(&j.op, pass, &g, NULL);
        CHECK_EQ(bed_run(b, &j), i);
        CHECK_EQ(j.op.path, WEFT_PATH_POOL);
    }
}

static void await_inside(gate *g, uint32_t n)
{
    int64_t limit = bed_after(BED_LIMIT);
    while (weft__load_acquire(&g->inside, "test") < n) {
        CHECK(bed_now() < limit);
        sched_yield();
    }
}

/* The bed's pool has 3 threads; functions get 2 of them, one is kept for files. */
static void functions_leave_a_thread_to_files(bed *b)
{
    enum { N = 10 };
    gate g = {0};
    job j[N] = {0}, f = {0};
    for (int i = 0; i < N; i++) {
        weft_op_call(&j[i].op, pass, &g, NULL);
        bed_start(b, &j[i]);
    }
    await_inside(&g, 2);
    weft_op_open(&f.op, NULL, "/", WEFT_OPEN_DIRECTORY, 0);
    f.op.flags |= WEFT_OP_OFFLOAD;
    int64_t h = bed_run(b, &f); /* although all functions wait */
    CHECK_OK(h);
    close((int)h);
    CHECK_EQ(weft__load_acquire(&g.inside, "test"), 2);
    weft__store_release(&g.open, 1u, "test");
    for (int i = 0; i < N; i++)
        bed_await(b, &j[i]);
    CHECK_EQ(g.ran, N);
    CHECK_EQ(g.most, 2);
}

/* A job that waits is taken back; one that runs is not, and tells how it went. */
static void revoke_before_start(bed *b)
{
    enum { N = 6 };
    gate g = {0};
    job j[N] = {0};
    for (int i = 0; i < N; i++) {
        weft_op_call(&j[i].op, pass, &g, NULL);
        bed_start(b, &j[i]);
    }
    await_inside(&g, 2);
    for (int i = 0; i < N; i++)
        bed_cancel(b, &j[i]);
    bed_settle(b);
    int revoked = 0;
    for (int i = 0; i < N; i++)
        revoked += j[i].ended && j[i].op.result == -ECANCELED;
    CHECK_EQ(revoked, N - 2);
    weft__store_release(&g.open, 1u, "test");
    for (int i = 0; i < N; i++)
        bed_await(b, &j[i]);
    CHECK_EQ(g.ran, 2);
}

/* Random submission and revocation: each job either ran or was revoked. */
static void none_lost(bed *b)
{
    enum { N = 4000 };
    static job j[N];
    gate g = {.open = 1};
    uint64_t seed = 7;
    uint32_t revoked = 0;
    memset(j, 0, sizeof j);
    for (int i = 0; i < N; i++) {
        weft_op_call(&j[i].op, pass, &g, NULL);
        bed_start(b, &j[i]);
        if (bed_random(&seed) % 3 == 0)
            bed_cancel(b, &j[bed_random(&seed) % (uint32_t)(i + 1)]);
        if (bed_random(&seed) % 50 == 0)
            weft__port_enter(&b->port, WEFT_NOW);
    }
    for (int i = 0; i < N; i++)
        revoked += bed_await(b, &j[i]) == -ECANCELED;
    CHECK_EQ(g.ran + revoked, N);
}

/* Threads that have nothing to do end, and come back when there is something. */
static void idle_threads_end(bed *b)
{
    weft__pool *own, *bed_pool = b->pool;
    gate g = {.open = 1};
    job j = {0};
    CHECK_OK(weft__pool_open(&own, b->env, &(weft__pool_options){.threads = 2, .idle_ns = 100 * WEFT_MICROSECOND}));
    b->port.pool = own;
    for (int i = 0; i < 300; i++) {
        weft_op_call(&j.op, pass, &g, NULL);
        bed_run(b, &j);
        if (i % 3 == 0) { /* about as long as the time-out: a thread ends just as it is called */
            int64_t until = bed_after(100 * WEFT_MICROSECOND);
            while (bed_now() < until)
                ;
        }
    }
    CHECK_EQ(g.ran, 300);
    b->port.pool = bed_pool;
    weft__pool_close(own);
}

/* No thread can be had: the op says so instead of waiting for ever. */
static int no_thread(void *self, weft_thread **out, const weft_thread_options *opt, void (*fn)(void *), void *arg)
{
    (void)self, (void)out, (void)opt, (void)fn, (void)arg;
    return -EAGAIN;
}

static void no_thread_to_be_had(bed *b)
{
    weft_env env = *b->env;
    weft__pool *own, *bed_pool = b->pool;
    job j = {0};
    gate g = {.open = 1};
    env.thread_start = no_thread;
    CHECK_OK(weft__pool_open(&own, &env, NULL));
    b->port.pool = own;
    weft_op_call(&j.op, pass, &g, NULL);
    CHECK_EQ(bed_run(b, &j), -EAGAIN);
    CHECK_EQ(bed_run(b, &j), -EAGAIN);
    b->port.pool = bed_pool;
    weft__pool_close(own);
}

static int started;

static int one_thread(void *self, weft_thread **out, const weft_thread_options *opt, void (*fn)(void *), void *arg)
{
    const weft_env *real = weft_env_posix();
    (void)self;
    return started++ ? -EAGAIN : real->thread_start(real->self, out, opt, fn, arg);
}

/* The only thread there is runs a function, which may wait for a file's job:
 * that is told instead of left to wait for it. A function waits. */
static void no_thread_but_one(bed *b)
{
    weft_env env = *b->env;
    weft__pool *own, *bed_pool = b->pool;
    job j[2] = {0}, f = {0};
    gate g = {0};
    started = 0;
    env.thread_start = one_thread;
    CHECK_OK(weft__pool_open(&own, &env, NULL));
    b->port.pool = own;
    weft_op_call(&j[0].op, pass, &g, NULL);
    bed_start(b, &j[0]);
    await_inside(&g, 1);
    weft_op_call(&j[1].op, pass, &g, NULL);
    bed_start(b, &j[1]);
    weft_op_open(&f.op, NULL, "/", WEFT_OPEN_DIRECTORY, 0);
    f.op.flags |= WEFT_OP_OFFLOAD;
    CHECK_EQ(bed_run(b, &f), -EAGAIN);
    CHECK_EQ(j[1].ended, 0);
    weft__store_release(&g.open, 1u, "test");
    for (int i = 0; i < 2; i++)
        CHECK_EQ(bed_await(b, &j[i]), i);
    int64_t h = bed_run(b, &f); /* and now there is somebody */
    CHECK_OK(h);
    close((int)h);
    b->port.pool = bed_pool;
    weft__pool_close(own);
}

/* One pool, two ports on two threads. */
static void *other_port(void *arg)
{
    bed *shared = arg;
    static bed b;
    gate g = {.open = 1};
    bed_open(&b, NULL);
    weft__pool *own = b.pool;
    b.port.pool = shared->pool;
    for (int i = 0; i < 500; i++) {
        job j[4] = {0};
        for (int k = 0; k < 4; k++) {
            weft_op_call(&j[k].op, pass, &g, NULL);
            bed_start(&b, &j[k]);
        }
        bed_cancel(&b, &j[3]);
        for (int k = 0; k < 4; k++)
            bed_await(&b, &j[k]);
    }
    b.port.pool = own;
    bed_close(&b);
    return NULL;
}

static void shared_by_two_ports(bed *b)
{
    pthread_t t;
    gate g = {.open = 1};
    CHECK(pthread_create(&t, NULL, other_port, b) == 0);
    for (int i = 0; i < 1000; i++) {
        job j = {0};
        weft_op_call(&j.op, pass, &g, NULL);
        CHECK_EQ(bed_run(b, &j), i);
    }
    pthread_join(t, NULL);
}

/* Closing a file while the pool works on it: the job ends first, then the kernel's close. */
static void close_waits_for_a_running_job(bed *b)
{
    weft_desc f;
    static char data[1 << 16];
    FILE *file = tmpfile();
    CHECK(file);
    for (int round = 0; round < 50; round++) {
        job j[4] = {0};
        weft__desc_init(&f, dup(fileno(file)), WEFT_DESC_FILE);
        for (int k = 0; k < 4; k++) {
            weft_op_pwrite(&j[k].op, &f, data, sizeof data, 0);
            j[k].op.flags |= WEFT_OP_OFFLOAD;
            bed_start(b, &j[k]);
        }
        bed_shut(b, &f);
        for (int k = 0; k < 4; k++) {
            CHECK_EQ(j[k].ended, 1);
            CHECK(j[k].op.result == -ECANCELED || j[k].op.result == (int64_t)sizeof data);
        }
    }
    fclose(file);
}

static const bed_case cases[] = {
    CASE(calls),
    CASE(functions_leave_a_thread_to_files),
    CASE(revoke_before_start),
    CASE(none_lost),
    CASE(idle_threads_end),
    CASE(no_thread_to_be_had),
    CASE(no_thread_but_one),
    CASE(shared_by_two_ports),
    CASE(close_waits_for_a_running_job),
};
BED_MAIN(cases)
