/* A port of one's own: any thread submits, any thread reaps. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "base/atomic.h"
#include "port/port.h"
#include "test.h"

static weft_port *open_port(const weft_port_options *opt)
{
    weft_port *p = NULL;
    if (!weft_driver_named(NULL))
        SKIP("no driver named %s in this build", getenv("WEFT_PORT"));
    int r = weft_port_open(&p, opt);
    if (r == -ENOSYS || r == -EPERM)
        SKIP("the kernel refuses it: %s", strerror(-r));
    CHECK_OK(r);
    return p;
}

static int64_t now(void) { return weft_env_posix()->now(weft_env_posix()->self); }
static int64_t soon(void) { return now() + 30 * WEFT_SECOND; }

static void pair(int fd[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
}

/* Reaps one; fails where none comes. */
static weft_completion one(weft_port *p)
{
    weft_completion c;
    CHECK_EQ(weft_port_reap(p, &c, 1, 1, soon()), 1);
    return c;
}

/* What has been asked for comes; then the port closes. */
static void close_port(weft_port *p)
{
    int64_t limit = soon();
    int r;
    while ((r = weft_port_close(p)) == -EBUSY)
        CHECK(now() < limit);
    CHECK_OK(r);
}

static void life(void)
{
    int fd[2];
    char in[8];
    weft_desc *d;
    weft_op op;
    weft_port *p = open_port(NULL);
    CHECK(strcmp(weft_port_name(p), weft_driver_named(NULL)->name) == 0);
    pair(fd);
    CHECK_OK(weft_port_attach(p, fd[0], WEFT_DESC_STREAM, 77, &d));
    weft_op_recv(&op, d, in, sizeof in);
    op.key = 5;
    CHECK_OK(weft_port_submit(p, &op));
    CHECK_EQ(weft_port_submit(p, &op), -EBUSY);
    weft_completion c;
    CHECK_EQ(weft_port_reap(p, &c, 1, 0, WEFT_NOW), 0);
    CHECK_EQ(weft_port_reap(p, &c, 1, 1, now() + WEFT_MILLISECOND), 0); /* the deadline */
    CHECK_EQ(weft_port_close(p), -EBUSY);
    CHECK_EQ(send(fd[1], "data", 4, 0), 4);
    c = one(p);
    CHECK(c.op == &op && c.key == 77 && c.result == 4 && !c.more && !c.buffer.data);
    weft_op_post(&op, -7);
    op.key = 9;
    CHECK_OK(weft_port_submit(p, &op));
    CHECK_EQ(weft_port_close(p), -EBUSY); /* nobody has reaped it */
    c = one(p);
    CHECK(c.key == 9 && c.result == -7);
    CHECK_OK(weft_port_detach(p, d));
    CHECK_EQ(weft_port_reap(p, &c, 1, 0, WEFT_NOW), 0);
    CHECK_EQ(recv(fd[1], in, 1, 0), 0); /* closed */
    close(fd[1]);
    close_port(p);
}

static void bad_calls(void)
{
    weft_completion c;
    weft_port *p = open_port(NULL);
    CHECK_EQ(weft_port_reap(p, &c, 0, 0, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_port_reap(p, &c, 1, 2, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_port_reap(p, NULL, 1, 1, WEFT_NOW), -EINVAL);
    weft_desc *d;
    CHECK_EQ(weft_port_attach(p, WEFT_NOHANDLE, WEFT_DESC_STREAM, 0, &d), -EBADF);
    int fd[2];
    pair(fd);
    CHECK_OK(weft_port_attach(p, fd[0], WEFT_DESC_STREAM, 0, &d));
    CHECK_OK(weft_port_detach(p, d));
    CHECK_EQ(weft_port_detach(p, d), -EBADF);
    close(fd[1]);
    close_port(p);
    weft_port_driver holes = *weft_driver_epoll();
    holes.enter = NULL;
    CHECK_EQ(weft_port_open(&p, &(weft_port_options){.driver = &holes}), -EINVAL);
    CHECK(strcmp(weft_driver_missing(&holes, NULL), "enter") == 0);
    CHECK(!weft_driver_missing(&holes, "enter"));
}

static void descriptors_left_attached_are_closed(void)
{
    int fd[2];
    char c;
    weft_desc *d;
    weft_port *p = open_port(NULL);
    pair(fd);
    CHECK_OK(weft_port_attach(p, fd[0], WEFT_DESC_STREAM, 0, &d));
    close_port(p);
    CHECK_EQ(recv(fd[1], &c, 1, 0), 0);
    close(fd[1]);
}

static void detach_ends_ops(void)
{
    int fd[2];
    char in[2];
    weft_desc *d;
    weft_op op[2];
    weft_port *p = open_port(NULL);
    pair(fd);
    CHECK_OK(weft_port_attach(p, fd[0], WEFT_DESC_STREAM, 3, &d));
    for (int i = 0; i < 2; i++) {
        weft_op_recv(&op[i], d, &in[i], 1);
        CHECK_OK(weft_port_submit(p, &op[i]));
    }
    CHECK_OK(weft_port_detach(p, d));
    for (int i = 0; i < 2; i++) {
        weft_completion c = one(p);
        CHECK(c.key == 3 && c.result == -ECANCELED);
    }
    close(fd[1]);
    close_port(p);
}

/* Cancelled before it began, while it waits, and twice; the request lies in the op, so the op is told of only after
 * it was seen. */
static void cancels(void)
{
    enum { N = 500 };
    static weft_op op[N];
    static char in[N];
    int fd[2];
    weft_desc *d;
    weft_port *p = open_port(NULL);
    pair(fd);
    CHECK_OK(weft_port_attach(p, fd[0], WEFT_DESC_STREAM, 0, &d));
    for (int i = 0; i < N; i++) {
        weft_op_recv(&op[i], d, &in[i], 1);
        CHECK_OK(weft_port_submit(p, &op[i]));
        if (i % 7 == 0)
            CHECK_EQ(weft_port_reap(p, &(weft_completion){0}, 1, 0, WEFT_NOW), 0);
    }
    for (int i = 0; i < N; i++) {
        CHECK_OK(weft_port_cancel(p, &op[i]));
        if (i % 3 == 0)
            CHECK_OK(weft_port_cancel(p, &op[i]));
    }
    unsigned got = 0;
    static weft_completion c[N];
    int64_t limit = soon();
    while (got < N) {
        int n = weft_port_reap(p, c + got, N - got, 1, limit);
        CHECK(n > 0);
        got += (unsigned)n;
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(c[i].result, -ECANCELED);
    weft_op_post(&op[0], 0);
    CHECK_OK(weft_port_submit(p, &op[0]));
    CHECK_EQ(weft_port_reap(p, c, 1, 0, WEFT_NOW), 1);
    CHECK_EQ(weft_port_cancel(p, &op[0]), -EALREADY);
    CHECK_OK(weft_port_detach(p, d));
    close(fd[1]);
    close_port(p);
}

/* A batch: at least min, at most max. */
static void batches(void)
{
    weft_op op[10];
    weft_completion c[10];
    weft_port *p = open_port(NULL);
    for (int i = 0; i < 10; i++) {
        weft_op_post(&op[i], i);
        CHECK_OK(weft_port_submit(p, &op[i]));
    }
    CHECK_EQ(weft_port_reap(p, c, 4, 1, soon()), 4);
    CHECK_EQ(weft_port_reap(p, c, 4, 4, soon()), 4);
    CHECK_EQ(weft_port_reap(p, c, 4, 3, now() + WEFT_MILLISECOND), 2); /* what there is at the deadline */
    CHECK(c[0].result == 8 && c[1].result == 9); /* in the order they ended */
    close_port(p);
}

/* A chain's ops each complete. */
static void chains(void)
{
    weft_op op[3];
    weft_completion c[3];
    weft_port *p = open_port(NULL);
    for (int i = 0; i < 3; i++)
        weft_op_post(&op[i], i == 1 ? -EIO : 0);
    weft_op_then(&op[0], &op[1], 0);
    weft_op_then(&op[1], &op[2], 0);
    CHECK_OK(weft_port_submit(p, &op[0]));
    CHECK_EQ(weft_port_reap(p, c, 3, 3, soon()), 3);
    CHECK(c[0].op == &op[0] && c[0].result == 0);
    CHECK(c[1].op == &op[1] && c[1].result == -EIO);
    CHECK(c[2].op == &op[2] && c[2].result == -ECANCELED);
    close_port(p);
}

static int64_t slow_answer(void *arg)
{
    (void)arg;
    return 11;
}

static void blocking_work(void)
{
    weft_op op;
    weft_stat st;
    const char *why;
    weft_port *p = open_port(&(weft_port_options){.pool_threads = 2});
    weft_op_call(&op, slow_answer, NULL, NULL);
    CHECK_OK(weft_port_submit(p, &op));
    CHECK_EQ(one(p).result, 11);
    weft_op_stat(&op, NULL, "/", &st, 0);
    CHECK_OK(weft_port_submit(p, &op));
    CHECK_EQ(one(p).result, 0);
    CHECK((st.mode & 0170000) == 0040000);
    CHECK_EQ(weft_port_path(p, WEFT_OP_CALL, &why), WEFT_PATH_POOL);
    CHECK(weft_port_path(p, WEFT_OP_RECV, &why) != WEFT_PATH_NONE && why);
    CHECK_EQ(weft_port_path(p, WEFT_OP_COUNT, NULL), WEFT_PATH_NONE);
    close_port(p);
}

/* The queue holds 4 results, 100 connections are there before anybody reaps: the rest waits in the kernel, none is
 * lost. */
static void full_queue_stops_the_reaping(void)
{
    enum { N = 100 };
    weft_op op;
    weft_addr addr = {.family = WEFT_ADDR_UNIX};
    weft_port *p = open_port(&(weft_port_options){.completions = 4, .config = {.entries = 64}});
    const weft_port_driver *driver = weft_driver_named(NULL);
    weft_handle h;
    weft_desc *l;
    int client[N];
    addr.path_len = (uint16_t)(1 + snprintf(addr.path + 1, 100, "weft-queue-%d", (int)getpid()));
    CHECK_OK(driver->listen(p, &h, &addr, NULL));
    CHECK_OK(weft_port_attach(p, h, WEFT_DESC_LISTENER, 1, &l));
    for (int i = 0; i < N; i++) {
        struct sockaddr_storage ss;
        unsigned len;
        CHECK_OK(weft__addr_to_sockaddr(&addr, &ss, &len));
        client[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(client[i] >= 0 && connect(client[i], (struct sockaddr *)&ss, len) == 0);
    }
    weft_op_accept_multi(&op, l, NULL);
    CHECK_OK(weft_port_submit(p, &op));
    for (int accepted = 0; accepted < N;) {
        weft_completion c[3];
        int n = weft_port_reap(p, c, 3, 1, soon());
        CHECK(n > 0);
        for (int i = 0; i < n; i++, accepted++) {
            CHECK(c[i].more && c[i].result >= 0 && c[i].key == 1 && c[i].op == &op);
            close((int)c[i].result);
        }
    }
    CHECK_OK(weft_port_cancel(p, &op));
    weft_completion c = one(p);
    CHECK(!c.more && c.result == -ECANCELED);
    for (int i = 0; i < N; i++)
        close(client[i]);
    CHECK_OK(weft_port_detach(p, l));
    close_port(p);
}

/* Streaming with a queue of 4 and 8 senders: all bytes of each arrive in order. */
static void streaming_through_a_short_queue(void)
{
    enum { N = 8, BYTES = 3000 };
    int fd[N][2];
    weft_op op[N];
    weft_desc *d[N];
    unsigned next[N] = {0}, sent[N] = {0}, done = 0;
    weft_port *p = open_port(&(weft_port_options){.completions = 4, .config = {.buffer_count = 4, .buffer_size = 64}});
    for (int i = 0; i < N; i++) {
        pair(fd[i]);
        CHECK_OK(weft_port_attach(p, fd[i][0], WEFT_DESC_STREAM, (uint64_t)i, &d[i]));
        weft_op_recv_multi(&op[i], d[i], NULL);
        CHECK_OK(weft_port_submit(p, &op[i]));
    }
    int64_t limit = soon();
    while (done < N) {
        CHECK(now() < limit);
        for (int i = 0; i < N; i++) {
            unsigned char piece[100];
            unsigned n = BYTES - sent[i] < sizeof piece ? BYTES - sent[i] : (unsigned)sizeof piece;
            for (unsigned k = 0; k < n; k++)
                piece[k] = (unsigned char)((sent[i] + k) * 13 + (unsigned)i);
            ssize_t w = n ? send(fd[i][1], piece, n, MSG_DONTWAIT) : 0;
            sent[i] += w > 0 ? (unsigned)w : 0;
            if (w > 0 && sent[i] == BYTES)
                shutdown(fd[i][1], SHUT_WR);
        }
        weft_completion c[3];
        int n = weft_port_reap(p, c, 3, 0, WEFT_NOW);
        CHECK(n >= 0);
        for (int j = 0; j < n; j++) {
            unsigned i = (unsigned)c[j].key;
            if (!c[j].more) {
                CHECK_EQ(c[j].result, 0);
                CHECK_EQ(next[i], BYTES);
                done++;
                continue;
            }
            const unsigned char *data = c[j].buffer.data;
            CHECK_EQ(c[j].result, c[j].buffer.len);
            for (unsigned k = 0; k < c[j].buffer.len; k++, next[i]++)
                CHECK_EQ(data[k], (unsigned char)(next[i] * 13 + i));
            CHECK_EQ(weft_port_close(p), -EBUSY);
            weft_port_release(&c[j].buffer);
        }
    }
    for (int i = 0; i < N; i++) {
        CHECK_OK(weft_port_detach(p, d[i]));
        close(fd[i][1]);
    }
    close_port(p);
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
            weft_op_call(&s->ops[i], slow_answer, NULL, NULL);
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
        int n = weft_port_reap(s->port, c, 8, 1, soon());
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
    int fd[2];
    storm s = {.limit = limit};
    s.port = open_port(&(weft_port_options){.concurrency = limit, .completions = completions});
    s.ops = calloc(TOTAL, sizeof *s.ops);
    s.seen = calloc(TOTAL, sizeof *s.seen);
    s.bytes = calloc(TOTAL, 1);
    CHECK(s.ops && s.seen && s.bytes);
    pair(fd);
    CHECK_OK(weft_port_attach(s.port, fd[0], WEFT_DESC_STREAM, 0, &s.quiet));
    for (int i = 0; i < REAPERS; i++)
        CHECK(pthread_create(&reap[i], NULL, reap_many, &s) == 0);
    for (int i = 0; i < SUBMITTERS; i++)
        CHECK(pthread_create(&sub[i], NULL, submit_many, &s) == 0);
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(sub[i], NULL);
    int64_t until = soon();
    while (weft__load_acquire(&s.reaped, "test") < TOTAL) {
        if (now() > until)
            TEST_FAIL("%u of %d came", s.reaped, TOTAL);
        sched_yield();
    }
    weft_op_post(&s.stop, 0);
    CHECK_OK(weft_port_submit(s.port, &s.stop));
    for (int i = 0; i < REAPERS; i++)
        pthread_join(reap[i], NULL);
    CHECK_OK(weft_port_detach(s.port, s.quiet));
    close_port(s.port);
    free(s.ops);
    free(s.seen);
    free(s.bytes);
    close(fd[1]);
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
    CHECK_EQ(weft_port_reap(t->port, &c, 1, 1, soon()), 1);
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
        turn t = {.port = open_port(&(weft_port_options){.concurrency = 1})};
        for (int i = 0; i < 2; i++) {
            weft_op_post(&op[i], i);
            CHECK_OK(weft_port_submit(t.port, &op[i]));
        }
        CHECK_EQ(weft_port_reap(t.port, &c, 1, 1, soon()), 1); /* we run now */
        CHECK(pthread_create(&thread, NULL, reap_one, &t) == 0);
        int64_t until = now() + 20 * WEFT_MILLISECOND; /* time enough to do the wrong thing */
        while (now() < until)
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
        close_port(t.port);
    }
}

/* A thread that ran on one port frees its place there when it reaps on another. */
static void place_freed_from_another_port(void)
{
    weft_op op[3];
    weft_completion c;
    pthread_t thread;
    turn t = {.port = open_port(&(weft_port_options){.concurrency = 1})};
    weft_port *other = open_port(NULL);
    for (int i = 0; i < 3; i++)
        weft_op_post(&op[i], i);
    CHECK_OK(weft_port_submit(t.port, &op[0]));
    CHECK_OK(weft_port_submit(t.port, &op[1]));
    CHECK_OK(weft_port_submit(other, &op[2]));
    CHECK_EQ(weft_port_reap(t.port, &c, 1, 1, soon()), 1);
    CHECK(pthread_create(&thread, NULL, reap_one, &t) == 0);
    CHECK_EQ(weft_port_reap(other, &c, 1, 1, soon()), 1);
    pthread_join(thread, NULL);
    /* And of a port that has ended meanwhile, nothing is touched. */
    CHECK_OK(weft_port_submit(t.port, &op[0]));
    CHECK_EQ(weft_port_reap(t.port, &c, 1, 1, soon()), 1);
    close_port(t.port);
    CHECK_OK(weft_port_submit(other, &op[2]));
    CHECK_EQ(weft_port_reap(other, &c, 1, 1, soon()), 1);
    close_port(other);
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
    weft_port *p = open_port(NULL);
    if (weft_port_pollable(p, &h) == -ENOTSUP) {
        close_port(p);
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
    close_port(p);
}

/* ---- Looks at the kernel ---- */

static weft_port_driver counted; /* the driver, with its enters counted */
static unsigned looks;
static weft_port *cancelled_at;
static weft_op *cancelled_in_look; /* once */

static void counted_enter(weft_port *port, int64_t deadline_ns)
{
    looks++;
    if (cancelled_in_look)
        CHECK_OK(weft_port_cancel(cancelled_at, cancelled_in_look));
    cancelled_in_look = NULL;
    weft_driver_named(NULL)->enter(port, deadline_ns);
}

static weft_port *open_counted(void)
{
    if (!weft_driver_named(NULL))
        SKIP("no driver named %s in this build", getenv("WEFT_PORT"));
    counted = *weft_driver_named(NULL);
    counted.enter = counted_enter;
    return open_port(&(weft_port_options){.driver = &counted});
}

/* Where calls are tried at once, a reply has ended before the kernel is asked again, and a buffer that comes back is no reason not to wait. */
static void a_reply_needs_no_look(void)
{
    int fd[2];
    weft_desc *d;
    weft_op receive, reply;
    char in;
    weft_port *p = open_counted();
    pair(fd);
    CHECK_OK(weft_port_attach(p, fd[0], WEFT_DESC_STREAM, 0, &d));
    weft_op_recv_multi(&receive, d, NULL);
    CHECK_OK(weft_port_submit(p, &receive));
    CHECK_EQ(weft_port_reap(p, &(weft_completion){0}, 1, 0, WEFT_NOW), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(send(fd[1], "x", 1, 0), 1);
        looks = 0;
        weft_completion got = one(p);
        CHECK(got.op == &receive && got.more && got.result == 1);
        weft_op_send(&reply, d, got.buffer.data, 1);
        CHECK_OK(weft_port_submit(p, &reply));
        weft_completion sent = one(p);
        CHECK(sent.op == &reply && sent.result == 1);
        CHECK_EQ(recv(fd[1], &in, 1, 0), 1);
        weft_port_release(&got.buffer);
        if (counted.attempt)
            CHECK_EQ(looks, 1);
    }
    CHECK_OK(weft_port_cancel(p, &receive));
    CHECK_EQ(one(p).result, -ECANCELED);
    CHECK_OK(weft_port_detach(p, d));
    close(fd[1]);
    close_port(p);
}

/* Who always has something of his own to reap hears of others all the same. */
static void own_results_hide_no_others(void)
{
    int fd[2], posts = 0;
    weft_desc *d;
    weft_op receive, post;
    char in;
    weft_port *p = open_counted();
    pair(fd);
    CHECK_OK(weft_port_attach(p, fd[0], WEFT_DESC_STREAM, 0, &d));
    weft_op_recv(&receive, d, &in, 1);
    CHECK_OK(weft_port_submit(p, &receive));
    CHECK_EQ(weft_port_reap(p, &(weft_completion){0}, 1, 0, WEFT_NOW), 0);
    CHECK_EQ(send(fd[1], "x", 1, 0), 1);
    for (int64_t limit = soon();; posts++) {
        weft_op_post(&post, 0);
        CHECK_OK(weft_port_submit(p, &post));
        weft_completion c[2];
        int n = weft_port_reap(p, c, 2, 1, limit);
        CHECK(n > 0);
        if (c[0].op == &receive || (n == 2 && c[1].op == &receive)) {
            if (n == 1)
                one(p); /* the post */
            break;
        }
    }
    if (counted.attempt)
        CHECK(posts <= 2);
    CHECK_OK(weft_port_detach(p, d));
    close(fd[1]);
    close_port(p);
}

/* An op that ends while the request for its end is in the inbox is told of when that is run: nobody waits in the kernel then. */
static void an_end_held_back_ends_the_wait(void)
{
    for (int i = 0; i < 20; i++) {
        int fd[2];
        weft_desc *d;
        weft_op receive;
        char in;
        weft_port *p = open_counted();
        pair(fd);
        CHECK_OK(weft_port_attach(p, fd[0], WEFT_DESC_STREAM, 0, &d));
        weft_op_recv(&receive, d, &in, 1);
        CHECK_OK(weft_port_submit(p, &receive));
        CHECK_EQ(weft_port_reap(p, &(weft_completion){0}, 1, 0, WEFT_NOW), 0);
        CHECK_EQ(send(fd[1], "x", 1, 0), 1);
        cancelled_at = p;
        cancelled_in_look = &receive;
        weft_completion c = one(p);
        CHECK(c.op == &receive && (c.result == 1 || c.result == -ECANCELED));
        CHECK_OK(weft_port_detach(p, d));
        close(fd[1]);
        close_port(p);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
#define CASE(f) {#f, f}
    CASE(life),
    CASE(bad_calls),
    CASE(descriptors_left_attached_are_closed),
    CASE(detach_ends_ops),
    CASE(cancels),
    CASE(batches),
    CASE(chains),
    CASE(blocking_work),
    CASE(full_queue_stops_the_reaping),
    CASE(streaming_through_a_short_queue),
    CASE(limit_of_one),
    CASE(place_freed_from_another_port),
    CASE(in_a_foreign_loop),
    CASE(a_reply_needs_no_look),
    CASE(own_results_hide_no_others),
    CASE(an_end_held_back_ends_the_wait),
    CASE(many_threads_no_limit),
    CASE(many_threads_one_at_a_time),
    CASE(many_threads_two_at_a_time),
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
            continue;
        printf("%s\n", cases[i].name);
        fflush(stdout);
        cases[i].run();
    }
    return 0;
}
