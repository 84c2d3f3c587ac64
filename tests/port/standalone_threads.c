/* A port of one's own: any thread submits, any thread reaps, no more of them run at once than it allows, and all that
 * in somebody else's loop, too. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/select.h>

#include "base/atomic.h"
#include "port/alone.h"

static int64_t eleven(void *arg)
{
    (void)arg;
    return 11;
}
/* N submitters, M reapers, some cancels: each op is reaped exactly once. */
enum { SUBMITTERS = 4, REAPERS = 4, EACH = 3000 };
typedef struct storm {
    weft_port *port;
    uint32_t reaped, running, most, limit; /* atomic */
    uint32_t submitters, stopped;
    weft_op *ops, stop;
    uint32_t *seen; /* by op */
    char *bytes;
    weft_desc *quiet; /* never readable: what is received from it ends by cancel */
} storm;

static void *submit_many(void *arg)
{
    storm *s = arg;
    uint32_t me = weft__add_acq_rel(&s->submitters, 1u, "test");
    for (uint32_t i = me * EACH; i < (me + 1) * EACH; i++) {
        int wait = i % 4 == 0;
        if (wait)
            weft_op_recv(&s->ops[i], s->quiet, &s->bytes[i], 1);
        else if (i % 64 == 1)
            weft_op_call(&s->ops[i], eleven, NULL, NULL);
        else
            weft_op_post(&s->ops[i], i);
        s->ops[i].key = i;
        CHECK_OK(weft_port_submit(s->port, &s->ops[i]));
        if (wait)
            CHECK_OK(weft_port_cancel(s->port, &s->ops[i])); /* our own op: nobody reaps it before */
    }
    return NULL;
}

static void *reap_many(void *arg)
{
    storm *s = arg;
    weft_completion c[8];
    for (int stop = 0; !stop;) {
        int n = weft_port_reap(s->port, c, 8, 1, alone_soon());
        CHECK(n > 0);
        uint32_t running = weft__add_acq_rel(&s->running, 1u, "test") + 1;
        CHECK(s->limit == 0 || running <= s->limit);
        for (int i = 0; i < n; i++) {
            if (c[i].op == &s->stop) {
                stop = 1;
                continue;
            }
            uint32_t k = (uint32_t)(c[i].op - s->ops);
            CHECK(k < SUBMITTERS * EACH);
            CHECK_EQ(weft__add_acq_rel(&s->seen[k], 1u, "test"), 0);
            CHECK_EQ(c[i].result, k % 4 == 0 ? -ECANCELED : k % 64 == 1 ? 11 : (int64_t)k);
            weft__add_acq_rel(&s->reaped, 1u, "test");
        }
        weft__sub_acq_rel(&s->running, 1u, "test");
    }
    if (weft__add_acq_rel(&s->stopped, 1u, "test") + 1 < REAPERS)
        CHECK_OK(weft_port_submit(s->port, &s->stop)); /* the next one, please */
    weft_port_leave(s->port);
    return NULL;
}

static void many_threads(unsigned limit, unsigned completions)
{
    enum { TOTAL = SUBMITTERS * EACH };
    pthread_t sub[SUBMITTERS], reap[REAPERS];
    storm s = {.limit = limit};
    s.port = alone_open(&(weft_port_options){.concurrency = limit, .completions = completions});
    s.ops = calloc(TOTAL, sizeof *s.ops);
    s.seen = calloc(TOTAL, sizeof *s.seen);
    s.bytes = calloc(TOTAL, 1);
    CHECK(s.ops && s.seen && s.bytes);
    const int peer = alone_pair(s.port, 0, &s.quiet);
    for (int i = 0; i < REAPERS; i++)
        CHECK(pthread_create(&reap[i], NULL, reap_many, &s) == 0);
    for (int i = 0; i < SUBMITTERS; i++)
        CHECK(pthread_create(&sub[i], NULL, submit_many, &s) == 0);
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(sub[i], NULL);
    int64_t until = alone_soon();
    while (weft__load_acquire(&s.reaped, "test") < TOTAL) {
        if (alone_now() > until)
            TEST_FAIL("%u of %d came", s.reaped, TOTAL);
        sched_yield();
    }
    weft_op_post(&s.stop, 0);
    CHECK_OK(weft_port_submit(s.port, &s.stop));
    for (int i = 0; i < REAPERS; i++)
        pthread_join(reap[i], NULL);
    CHECK_OK(weft_port_detach(s.port, s.quiet));
    alone_close(s.port);
    free(s.ops);
    free(s.seen);
    free(s.bytes);
    close(peer);
}

static void many_threads_no_limit(void) { many_threads(0, 0); }
static void many_threads_one_at_a_time(void) { many_threads(1, 64); }
static void many_threads_two_at_a_time(void) { many_threads(2, 2); }

/* With a limit of one, a second thread gets nothing while the first works, and something as soon as it is back or
 * leaves. */
typedef struct turn {
    weft_port *port;
    uint32_t got; /* atomic */
} turn;

static void *reap_one(void *arg)
{
    turn *t = arg;
    weft_completion c;
    CHECK_EQ(weft_port_reap(t->port, &c, 1, 1, alone_soon()), 1);
    weft__store_release(&t->got, 1u, "test");
    weft_port_leave(t->port);
    return NULL;
}

static void limit_of_one(void)
{
    for (int how = 0; how < 2; how++) {
        weft_op op[2];
        weft_completion c;
        pthread_t thread;
        turn t = {.port = alone_open(&(weft_port_options){.concurrency = 1})};
        for (int i = 0; i < 2; i++) {
            weft_op_post(&op[i], i);
            CHECK_OK(weft_port_submit(t.port, &op[i]));
        }
        CHECK_EQ(weft_port_reap(t.port, &c, 1, 1, alone_soon()), 1); /* we run now */
        CHECK(pthread_create(&thread, NULL, reap_one, &t) == 0);
        int64_t until = alone_now() + 20 * WEFT_MILLISECOND; /* time enough to do the wrong thing */
        while (alone_now() < until)
            CHECK_EQ(weft__load_acquire(&t.got, "test"), 0);
        if (how == 0)
            weft_port_leave(t.port);
        else
            CHECK_EQ(weft_port_reap(t.port, &c, 1, 0, WEFT_NOW) >= 0, 1); /* either of us takes it */
        if (how == 1 && c.op == &op[1]) { /* we did: the other gets another */
            CHECK_OK(weft_port_submit(t.port, &op[0]));
            weft_port_leave(t.port);
        }
        pthread_join(thread, NULL);
        weft_port_leave(t.port);
        alone_close(t.port);
    }
}

/* A thread that ran on one port frees its place there when it reaps on another. */
static void place_freed_from_another_port(void)
{
    weft_op op[3];
    weft_completion c;
    pthread_t thread;
    turn t = {.port = alone_open(&(weft_port_options){.concurrency = 1})};
    weft_port *other = alone_open(NULL);
    for (int i = 0; i < 3; i++)
        weft_op_post(&op[i], i);
    CHECK_OK(weft_port_submit(t.port, &op[0]));
    CHECK_OK(weft_port_submit(t.port, &op[1]));
    CHECK_OK(weft_port_submit(other, &op[2]));
    CHECK_EQ(weft_port_reap(t.port, &c, 1, 1, alone_soon()), 1);
    CHECK(pthread_create(&thread, NULL, reap_one, &t) == 0);
    CHECK_EQ(weft_port_reap(other, &c, 1, 1, alone_soon()), 1);
    pthread_join(thread, NULL);
    /* And of a port that has ended meanwhile, nothing is touched. */
    CHECK_OK(weft_port_submit(t.port, &op[0]));
    CHECK_EQ(weft_port_reap(t.port, &c, 1, 1, alone_soon()), 1);
    alone_close(t.port);
    CHECK_OK(weft_port_submit(other, &op[2]));
    CHECK_EQ(weft_port_reap(other, &c, 1, 1, alone_soon()), 1);
    alone_close(other);
}
/* In somebody else's loop: poll the descriptor, then reap without waiting until nothing comes. */
static void *submit_later(void *arg)
{
    weft_port **p = arg;
    static weft_op op;
    weft_op_post(&op, 99);
    CHECK_OK(weft_port_submit(*p, &op));
    return NULL;
}

static void in_a_foreign_loop(void)
{
    weft_handle h;
    weft_completion c;
    weft_port *p = alone_open(NULL);
    if (weft_port_pollable(p, &h) == -ENOTSUP) {
        alone_close(p);
        return;
    }
    for (int round = 0; round < 50; round++) {
        pthread_t t;
        CHECK_EQ(weft_port_reap(p, &c, 1, 0, WEFT_NOW), 0);
        CHECK(pthread_create(&t, NULL, submit_later, &p) == 0);
        fd_set set;
        FD_ZERO(&set);
        FD_SET((int)h, &set);
        CHECK_EQ(select((int)h + 1, &set, NULL, NULL, &(struct timeval){30, 0}), 1);
        while (weft_port_reap(p, &c, 1, 0, WEFT_NOW) == 0)
            ;
        CHECK_EQ(c.result, 99);
        pthread_join(t, NULL);
    }
    alone_close(p);
}

static const alone_case cases[] = {
    CASE(limit_of_one),
    CASE(place_freed_from_another_port),
    CASE(in_a_foreign_loop),
    CASE(many_threads_no_limit),
    CASE(many_threads_one_at_a_time),
    CASE(many_threads_two_at_a_time),
};

ALONE_MAIN(cases)
