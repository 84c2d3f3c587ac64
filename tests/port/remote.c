/* Conformance: other threads and signal handlers reach a port through its inbox and its wake. No sleep here has a
 * cap that would hide a lost wake-up: one shows as a hang, which the bed's limit turns into a failure. */
#include "bed.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

typedef struct request {
    weft_task task;
    uint32_t *ran;
    uint32_t number;
} request;

static uint32_t last_number;

static void run_request(weft_task *task)
{
    request *r = weft__container(task, request, task);
    CHECK_EQ(r->number, last_number + 1); /* in the order they were sent */
    last_number = r->number;
    weft__add_acq_rel(r->ran, 1u, "test");
}

typedef struct sender {
    bed *b;
    request *requests;
    uint32_t n, *ran;
    int paced; /* waits for each to run before the next: the port falls asleep in between */
} sender;

static void *send_all(void *arg)
{
    sender *s = arg;
    for (uint32_t i = 0; i < s->n; i++) {
        s->requests[i] = (request){{NULL, run_request}, s->ran, i + 1};
        weft__port_send(&s->b->port, &s->requests[i].task);
        if (s->paced)
            while (weft__load_acquire(s->ran, "test") <= i)
                sched_yield();
    }
    return NULL;
}

static void requests(bed *b, int paced, uint32_t n)
{
    pthread_t t;
    uint32_t ran = 0;
    sender s = {b, calloc(n, sizeof(request)), n, &ran, paced};
    last_number = 0;
    CHECK(s.requests && pthread_create(&t, NULL, send_all, &s) == 0);
    bed_until(b, &ran, n);
    pthread_join(t, NULL);
    free(s.requests);
}

static void requests_run_in_order(bed *b) { requests(b, 0, 20000); }
static void every_request_wakes_a_sleeper(bed *b) { requests(b, 1, 3000); }

/* Starts and cancels from another thread: a cancel never overtakes its op, and every op is delivered, also those
 * that end at once. */
typedef struct remote {
    bed *b;
    weft_desc *d;
    job *jobs;
    weft__cancel_request *cancels;
    uint32_t n, *cancelled;
    char *bytes;
} remote;

static uint32_t cancelled;
static void cancel_done(weft__cancel_request *req)
{
    (void)req;
    weft__add_acq_rel(&cancelled, 1u, "test");
}

static void *start_and_cancel(void *arg)
{
    remote *r = arg;
    for (uint32_t i = 0; i < r->n; i++) {
        if (i % 5 == 4)
            weft_op_nop(&r->jobs[i].op);
        else
            weft_op_recv(&r->jobs[i].op, r->d, &r->bytes[i], 1);
        weft__port_start_remote(&r->b->port, &r->jobs[i].op);
        r->cancels[i].op = &r->jobs[i].op;
        r->cancels[i].done = cancel_done;
        weft__port_cancel_remote(&r->b->port, &r->cancels[i]);
    }
    return NULL;
}

static void remote_ops_and_cancels(bed *b)
{
    enum { N = 4000 };
    static job jobs[N];
    static weft__cancel_request cancels[N];
    static char bytes[N];
    weft_desc x;
    int raw;
    pthread_t t;
    memset(jobs, 0, sizeof jobs);
    bed_pair(&x, &raw, AF_UNIX);
    cancelled = 0;
    b->started += N;
    remote r = {b, &x, jobs, cancels, N, &cancelled, bytes};
    CHECK(pthread_create(&t, NULL, start_and_cancel, &r) == 0);
    bed_until(b, &cancelled, N);
    bed_until(b, &b->ended, b->started);
    pthread_join(t, NULL);
    for (int i = 0; i < N; i++) {
        CHECK_EQ(jobs[i].ended, 1);
        CHECK(jobs[i].op.result == -ECANCELED || (i % 5 == 4 && jobs[i].op.result == 0));
    }
    close(raw);
    bed_shut(b, &x);
}

/* A task's own run is put back before the op is delivered: the submitter's is what it set. */
static void own_run(weft_task *task) { (void)task; }
static void remote_start_keeps_the_task(bed *b)
{
    job j = {0};
    weft_op_nop(&j.op);
    j.op.task.run = own_run;
    b->started++;
    weft__port_start_remote(&b->port, &j.op);
    bed_await(b, &j);
    CHECK(j.op.task.run == own_run);
    weft_op_call(&j.op, NULL, NULL, NULL);
    weft_op_open(&j.op, NULL, "/", WEFT_OPEN_DIRECTORY, 0);
    j.op.flags |= WEFT_OP_OFFLOAD;
    j.op.task.run = own_run;
    j.ended = 0;
    b->started++;
    weft__port_start_remote(&b->port, &j.op);
    CHECK_OK(bed_await(b, &j));
    CHECK_EQ(j.op.path, WEFT_PATH_POOL);
    CHECK(j.op.task.run == own_run);
    close((int)j.op.result);
}

/* start on the home thread does not deliver what ended at once, unless it has an origin elsewhere. */
static unsigned delivered;
static void count_delivery(void *ctx, weft_op *op)
{
    (void)ctx;
    (void)op;
    delivered++;
}

static void who_is_delivered(bed *b)
{
    weft_port port;
    weft_op op;
    weft_op chain[2];
    const weft__port_owner owner = {.deliver = count_delivery};
    CHECK_OK(weft__port_init(&port, b->env, b->port.driver, &(weft_port_config){.entries = 8}, &owner, NULL));
    delivered = 0;
    weft_op_post(&op, 1);
    weft__port_start(&port, &op);
    CHECK_EQ(op.state, WEFT_OP_DONE);
    CHECK_EQ(delivered, 0);
    weft_op_post(&op, 2);
    op.origin = &port;
    weft__port_start(&port, &op);
    CHECK_EQ(delivered, 1);
    weft_op_post(&op, 3);
    weft__port_start_remote(&port, &op);
    CHECK_EQ(delivered, 1);
    weft__port_enter(&port, WEFT_NOW);
    CHECK_EQ(delivered, 2);
    weft_op_post(&chain[0], 4);
    weft_op_post(&chain[1], 5);
    weft_op_then(&chain[0], &chain[1], 0);
    weft__port_start(&port, &chain[0]);
    CHECK_EQ(delivered, 3); /* the second of the chain was not what start was called for */
    CHECK_EQ(chain[0].state, WEFT_OP_DONE);
    weft_op_call(&op, NULL, NULL, NULL);
    weft__port_start(&port, &op);
    CHECK_EQ(op.result, -ENOTSUP); /* no pool */
    weft__port_fini(&port);
}

/* A wake that comes before the wait is not lost: the next wait does not wait. */
static void wake_before_the_wait(bed *b)
{
    weft__port_wake(&b->port);
    weft__port_wake(&b->port);
    CHECK(weft__port_pending(&b->port));
    weft__port_enter(&b->port, WEFT_NEVER); /* would hang */
    CHECK(!weft__port_pending(&b->port) || is_uring(b));
}

typedef struct waker {
    bed *b;
    uint32_t work, stop, rounds; /* work: set by the waker, taken by home */
} waker;

static void *wake_again_and_again(void *arg)
{
    waker *w = arg;
    for (uint32_t i = 0; i < w->rounds; i++) {
        weft__store_release(&w->work, 1u, "test");
        weft__port_wake(&w->b->port);
        while (weft__load_acquire(&w->work, "test"))
            sched_yield();
    }
    weft__store_release(&w->stop, 1u, "test");
    weft__port_wake(&w->b->port);
    return NULL;
}

/* Work that is announced by a wake alone, not through the inbox: the scheduler's case. Home looks, then waits
 * without a limit. */
static void wake_announces_work(bed *b)
{
    waker w = {.b = b, .rounds = 5000};
    pthread_t t;
    CHECK(pthread_create(&t, NULL, wake_again_and_again, &w) == 0);
    alarm(60); /* the only limit: a lost wake-up hangs */
    while (!weft__load_acquire(&w.stop, "test")) {
        if (weft__load_acquire(&w.work, "test"))
            weft__store_release(&w.work, 0u, "test");
        else
            weft__port_enter(&b->port, WEFT_NEVER);
    }
    alarm(0);
    pthread_join(t, NULL);
}

static weft_port *signalled;
static volatile sig_atomic_t signals;
static void on_signal(int sig)
{
    (void)sig;
    signals++;
    weft__port_wake(signalled);
}

static void wake_from_a_signal_handler(bed *b)
{
    struct sigaction old, act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval every = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
    signalled = &b->port;
    signals = 0;
    CHECK(sigaction(SIGALRM, &act, &old) == 0);
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    for (int i = 0; i < 50; i++)
        weft__port_enter(&b->port, WEFT_NEVER);
    CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
    CHECK(sigaction(SIGALRM, &old, NULL) == 0);
    CHECK(signals >= 1);
    /* Ordinary work goes on. */
    job j = {0};
    weft_op_nop(&j.op);
    CHECK_EQ(bed_run(b, &j), 0);
}

/* The wait ends at its deadline, not before, and not much later. */
static void deadlines(bed *b)
{
    weft_desc x;
    int raw;
    char c;
    job r = {0};
    bed_pair(&x, &raw, AF_UNIX);
    weft_op_recv(&r.op, &x, &c, 1);
    bed_start(b, &r);
    for (int i = 0; i < 20; i++) {
        int64_t at = bed_after(i * 100 * WEFT_MICROSECOND), now;
        int rounds = 0;
        while ((now = bed_now()) < at) {
            weft__port_enter(&b->port, at);
            CHECK(++rounds < 50);
        }
        CHECK(now >= at);
    }
    int64_t before = bed_now();
    for (int i = 0; i < 100; i++)
        weft__port_enter(&b->port, WEFT_NOW);
    CHECK(bed_now() - before < 5 * WEFT_SECOND);
    CHECK_EQ(r.ended, 0);
    bed_cancel(b, &r);
    CHECK_EQ(bed_await(b, &r), -ECANCELED);
    close(raw);
    bed_shut(b, &x);
}

/* A provided buffer given back elsewhere travels through the inbox. */
static weft_buffer lent[4];
static uint32_t lent_count;
static void lend(weft_op *op, int64_t result, weft_buffer *buffer)
{
    (void)op;
    (void)result;
    lent[lent_count % 4] = *buffer;
    weft__add_acq_rel(&lent_count, 1u, "test");
}

static void *give_back(void *arg)
{
    weft_port_release(arg);
    return NULL;
}

static void buffers_come_back_from_other_threads(bed *b)
{
    weft_desc x;
    int raw;
    job r = {0};
    bed_pair(&x, &raw, AF_UNIX);
    lent_count = 0;
    weft_op_recv_multi(&r.op, &x, lend);
    bed_start(b, &r);
    for (uint32_t i = 0; i < 10; i++) { /* of two buffers */
        CHECK_EQ(send(raw, "b", 1, 0), 1);
        bed_until(b, &lent_count, i + 1);
        pthread_t t;
        CHECK(pthread_create(&t, NULL, give_back, &lent[i % 4]) == 0);
        pthread_join(t, NULL);
    }
    bed_settle(b);
    CHECK_EQ(b->port.lent, 0);
    close(raw);
    CHECK_EQ(bed_await(b, &r), 0);
    bed_shut(b, &x);
}

static void doze_and_foreign_loop(bed *b)
{
    const weft_port_driver *d = b->port.driver;
    if (!d->pollable)
        return;
    int fd = (int)d->pollable(&b->port);
    uint32_t ran = 0;
    request q[3];
    last_number = 0;
    bed_settle(b);
    for (uint32_t i = 0; i < 3; i++) {
        while (weft__port_doze(&b->port))
            weft__port_enter(&b->port, WEFT_NOW);
        q[i] = (request){{NULL, run_request}, &ran, i + 1};
        weft__port_send(&b->port, &q[i].task);
        fd_set set;
        FD_ZERO(&set);
        FD_SET(fd, &set);
        CHECK_EQ(select(fd + 1, &set, NULL, NULL, &(struct timeval){20, 0}), 1);
        weft__port_enter(&b->port, WEFT_NOW);
        CHECK_EQ(ran, i + 1);
    }
    bed_settle(b);
}

/* What a port in a foreign loop is opened with: a ring with deferred work wakes nobody who sleeps in a poll. */
static const weft_port_config foreign = {.disable = WEFT_URING_NO_DEFER};
static const weft_port_config two_buffers = {.entries = 64, .buffer_count = 2};
static const bed_case cases[] = {
    CASE(requests_run_in_order),
    CASE(every_request_wakes_a_sleeper),
    CASE(remote_ops_and_cancels),
    CASE(remote_start_keeps_the_task),
    CASE(who_is_delivered),
    CASE(wake_before_the_wait),
    CASE(wake_announces_work),
    CASE(wake_from_a_signal_handler),
    CASE(deadlines),
    CASE_WITH(buffers_come_back_from_other_threads, &two_buffers),
    CASE_WITH(doze_and_foreign_loop, &foreign),
};
BED_MAIN(cases)
