/* Every call that waits: its deadline ends it, a deadline that has passed tries once, a cancel ends it and shows
 * before it begins, and a sibling's close ends it. Each of the four is applied to each verb. */
#include "cases.h"

#include <sys/socket.h>

/* What a waiting call needs; `a` is connected to `b`, nothing has been sent, and a's side is full where the verb
 * writes. */
typedef struct bench {
    weft_id listener, a, b;
    char address[WEFT_ADDR_TEXT];
    char *big;
} bench;

enum { BIG = 8 << 20 };

static int64_t do_accept(bench *t, int64_t deadline)
{
    weft_id out;
    return weft_accept(t->listener, &out, NULL, deadline);
}

static int64_t do_read(bench *t, int64_t deadline)
{
    char buf[8];
    return weft_read(t->a, buf, sizeof buf, deadline);
}

static int64_t do_readv(bench *t, int64_t deadline)
{
    char buf[8];
    struct iovec iov = {buf, sizeof buf};
    return weft_readv(t->a, &iov, 1, deadline);
}

static int64_t do_read_all(bench *t, int64_t deadline)
{
    char buf[8];
    return weft_read_all(t->a, buf, sizeof buf, NULL, deadline);
}

static int64_t do_read_buffer(bench *t, int64_t deadline)
{
    weft_buffer buffer;
    return weft_read_buffer(t->a, &buffer, deadline);
}

/* A pair over a Unix socket: what is full there stays full, while TCP makes room late, when an acknowledgement comes.
 */
static void connect_unix_pair(weft_id *a, weft_id *b)
{
    static int pairs;
    char address[64];
    weft_id l;
    snprintf(address, sizeof address, "unix:@weft-waits-%d-%d", (int)getpid(), pairs++);
    CHECK_OK(weft_listen(&l, address, NULL));
    CHECK_OK(weft_connect(a, address, SOON));
    CHECK_OK(weft_accept(l, b, NULL, SOON));
    CHECK_OK(weft_close(l));
}

/* Fills what the kernel takes without anybody reading. */
static void fill(bench *t)
{
    while (weft_write(t->a, t->big, BIG, WEFT_NOW) > 0)
        ;
}

static int64_t do_write(bench *t, int64_t deadline)
{
    return weft_write(t->a, t->big, BIG, deadline);
}

static int64_t do_write_little(bench *t, int64_t deadline) { return weft_write(t->a, t->big, 8, deadline); }

static int64_t do_writev(bench *t, int64_t deadline)
{
    struct iovec iov = {t->big, BIG};
    return weft_writev(t->a, &iov, 1, deadline);
}

static int64_t do_write_all(bench *t, int64_t deadline)
{
    size_t done = 0;
    int r = weft_write_all(t->a, t->big, BIG, &done, deadline);
    CHECK_EQ(done, 0);
    return r;
}

static int64_t do_writev_all(bench *t, int64_t deadline)
{
    struct iovec iov[2] = {{t->big, BIG / 2}, {t->big, BIG / 2}};
    return weft_writev_all(t->a, iov, 2, NULL, deadline);
}

typedef struct verb {
    const char *name;
    int64_t (*call)(bench *t, int64_t deadline);
    int writes, accepts;
} verb;

static const verb verbs[] = {
    {"accept", do_accept, 0, 1},         {"read", do_read, 0, 0},           {"readv", do_readv, 0, 0},
    {"read_all", do_read_all, 0, 0},     {"read_buffer", do_read_buffer, 0, 0}, {"write", do_write, 1, 0},
    {"write a little", do_write_little, 1, 0},
    {"writev", do_writev, 1, 0},         {"write_all", do_write_all, 1, 0}, {"writev_all", do_writev_all, 1, 0}};

enum { VERBS = sizeof verbs / sizeof *verbs };

static void set_up(bench *t, const verb *v)
{
    fprintf(stderr, "  %s\n", v->name);
    t->big = malloc(BIG);
    CHECK(t->big);
    memset(t->big, 'x', BIG);
    t->listener = listen_here(t->address);
    if (!v->writes) {
        connect_pair(&t->a, &t->b);
        return;
    }
    connect_unix_pair(&t->a, &t->b);
    fill(t);
}

/* Ids that the case has closed already are stale: that is an answer, too. */
static void tear_down(bench *t)
{
    weft_close(t->listener);
    weft_close(t->a);
    weft_close(t->b);
    free(t->big);
}

static int a_deadline_ends_it(void *arg)
{
    (void)arg;
    for (int i = 0; i < VERBS; i++) {
        bench t;
        set_up(&t, &verbs[i]);
        int64_t begin = weft_now();
        CHECK_ERR(verbs[i].call(&t, begin + 20 * WEFT_MILLISECOND), -ETIMEDOUT);
        CHECK(weft_now() - begin >= 20 * WEFT_MILLISECOND);
        tear_down(&t);
    }
    return 0;
}

static int a_past_deadline_tries_once(void *arg)
{
    (void)arg;
    for (int i = 0; i < VERBS; i++) {
        bench t;
        set_up(&t, &verbs[i]);
        CHECK_ERR(verbs[i].call(&t, WEFT_NOW), -ETIMEDOUT);
        CHECK_ERR(verbs[i].call(&t, weft_now() - 1), -ETIMEDOUT);
        tear_down(&t);
    }
    return 0;
}

/* And takes what is there. */
static int a_past_deadline_is_enough_for_what_is_there(void *arg)
{
    (void)arg;
    weft_id a, b, c, out;
    char text[WEFT_ADDR_TEXT], buf[8];
    struct iovec iov = {buf, sizeof buf};
    weft_buffer buffer;
    connect_pair(&a, &b);
    CHECK_EQ(weft_write(a, "1", 1, WEFT_NOW), 1);
    CHECK_EQ(weft_read(b, buf, sizeof buf, WEFT_NOW), 1);
    CHECK_EQ(weft_writev(a, &(struct iovec){"22", 2}, 1, WEFT_NOW), 2);
    CHECK_EQ(weft_readv(b, &iov, 1, WEFT_NOW), 2);
    CHECK_OK(weft_write_all(a, "333", 3, NULL, WEFT_NOW));
    CHECK_OK(weft_read_all(b, buf, 3, NULL, WEFT_NOW));
    CHECK_OK(weft_write_all(a, "4444", 4, NULL, WEFT_NOW));
    CHECK_EQ(weft_read_buffer(b, &buffer, WEFT_NOW), 4);
    CHECK(memcmp(buffer.data, "4444", 4) == 0);
    weft_port_release(&buffer);
    weft_id l = listen_here(text);
    CHECK_OK(weft_connect(&c, text, SOON));
    CHECK_OK(weft_accept(l, &out, NULL, WEFT_NOW));
    return 0;
}

/* ---- cancelling and closing ---- */

/* One that has ended already needs no cancel. */
static void cancel_if_there(weft_id fiber)
{
    int r = weft_cancel(fiber);
    CHECK(r == 0 || r == -ESRCH);
}

typedef struct waiting {
    bench t;
    const verb *v;
    int64_t result, again;
} waiting;

static int wait_in_verb(void *arg)
{
    waiting *w = arg;
    w->result = w->v->call(&w->t, WEFT_NEVER);
    w->again = w->v->call(&w->t, WEFT_NEVER);
    return 0;
}

/* Lets the fiber get as far as its wait; on both sides of it is right, so this is no synchronisation. */
static void let_it_wait(int i)
{
    for (int k = 0; k < i; k++)
        CHECK_OK(weft_yield());
    if (i > 2)
        CHECK_OK(weft_sleep(weft_after(2 * WEFT_MILLISECOND)));
}

static int a_cancel_ends_it_and_shows_again(void *arg)
{
    (void)arg;
    for (int i = 0; i < VERBS; i++)
        for (int late = 0; late < 4; late++) {
            waiting w = {.v = &verbs[i]};
            weft_id fiber;
            set_up(&w.t, w.v);
            CHECK_OK(weft_spawn(&fiber, wait_in_verb, &w));
            let_it_wait(late);
            CHECK_OK(weft_cancel(fiber));
            CHECK_OK(weft_join(fiber, NULL, SOON));
            CHECK_EQ(w.result, -ECANCELED);
            CHECK_EQ(w.again, -ECANCELED); /* level-triggered, and checked at entry */
            tear_down(&w.t);
        }
    return 0;
}

static int a_siblings_close_ends_it(void *arg)
{
    (void)arg;
    for (int i = 0; i < VERBS; i++)
        for (int late = 1; late < 4; late++) {
            waiting w = {.v = &verbs[i]};
            weft_id fiber;
            set_up(&w.t, w.v);
            CHECK_OK(weft_spawn(&fiber, wait_in_verb, &w));
            let_it_wait(late);
            CHECK_OK(weft_close(w.v->accepts ? w.t.listener : w.t.a));
            CHECK_OK(weft_join(fiber, NULL, SOON));
            CHECK_EQ(w.result, -ECANCELED);
            CHECK_EQ(w.again, -EBADF);
            tear_down(&w.t);
        }
    return 0;
}

static int a_scopes_deadline_ends_it(void *arg)
{
    (void)arg;
    for (int i = 0; i < VERBS; i++) {
        bench t;
        weft_scope scope;
        set_up(&t, &verbs[i]);
        CHECK_OK(weft_scope_enter(&scope, weft_after(5 * WEFT_MILLISECOND)));
        CHECK_ERR(verbs[i].call(&t, WEFT_NEVER), -ECANCELED);
        CHECK_ERR(verbs[i].call(&t, WEFT_NEVER), -ECANCELED);
        CHECK_ERR(weft_scope_leave(&scope), -ETIMEDOUT);
        CHECK_ERR(verbs[i].call(&t, WEFT_NOW), -ETIMEDOUT); /* as if nothing had been */
        tear_down(&t);
    }
    return 0;
}

/* ---- connecting, which needs a listener that does not accept ---- */

/* A listener whose queue is full: further connects wait. Returns how many it took. */
static int fill_backlog(weft_id *l, char *text, weft_id *socks, int most)
{
    weft_addr a;
    weft_listen_options opt = {.backlog = 1};
    CHECK_OK(weft_listen(l, test_address(), &opt));
    CHECK_OK(weft_local_addr(*l, &a));
    weft_addr_format(&a, text, WEFT_ADDR_TEXT);
    for (int n = 0; n < most; n++) {
        int r = weft_connect(&socks[n], text, weft_after(50 * WEFT_MILLISECOND));
        if (r == -ETIMEDOUT)
            return n;
        CHECK_OK(r);
    }
    return most;
}

typedef struct connecting {
    char text[WEFT_ADDR_TEXT];
    int result;
} connecting;

static int connect_for_ever(void *arg)
{
    connecting *c = arg;
    weft_id out;
    c->result = weft_connect(&out, c->text, WEFT_NEVER);
    return 0;
}

static int a_connect_times_out_and_can_be_cancelled(void *arg)
{
    (void)arg;
    weft_id l, socks[16], fiber, out;
    connecting c;
    if (fill_backlog(&l, c.text, socks, 16) == 16)
        return 0; /* a system that never lets connects wait */
    CHECK_ERR(weft_connect(&out, c.text, WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_spawn(&fiber, connect_for_ever, &c));
    CHECK_OK(weft_sleep(weft_after(5 * WEFT_MILLISECOND)));
    CHECK_OK(weft_cancel(fiber));
    CHECK_OK(weft_join(fiber, NULL, SOON));
    CHECK_EQ(c.result, -ECANCELED);
    return 0;
}

/* ---- results that come although the caller was cancelled ---- */

typedef struct late {
    weft_id listener, got;
    int result;
} late;

static int accept_once(void *arg)
{
    late *l = arg;
    l->result = weft_accept(l->listener, &l->got, NULL, WEFT_NEVER);
    return 0;
}

/* The connection is there before the cancel: whichever of both the port sees first, none is lost. */
static int a_cancelled_accept_loses_no_connection(void *arg)
{
    (void)arg;
    char text[WEFT_ADDR_TEXT], c;
    weft_id l = listen_here(text);
    for (int i = 0; i < 200; i++) {
        weft_id fiber, sock, other;
        late a = {.listener = l};
        CHECK_OK(weft_spawn(&fiber, accept_once, &a));
        CHECK_OK(weft_yield());
        CHECK_OK(weft_connect(&sock, text, SOON));
        cancel_if_there(fiber);
        CHECK_OK(weft_join(fiber, NULL, SOON));
        if (a.result == 0)
            other = a.got;
        else {
            CHECK_EQ(a.result, -ECANCELED);
            CHECK_OK(weft_accept(l, &other, NULL, SOON)); /* it still waits at the listener */
        }
        CHECK_EQ(weft_write(sock, "x", 1, SOON), 1);
        CHECK_EQ(weft_read(other, &c, 1, SOON), 1);
        CHECK_OK(weft_close(sock));
        CHECK_OK(weft_close(other));
    }
    return 0;
}

typedef struct counted {
    weft_id sock;
    size_t done;
    int result;
    char *data;
} counted;

static int write_much(void *arg)
{
    counted *c = arg;
    c->result = weft_write_all(c->sock, c->data, BIG, &c->done, WEFT_NEVER);
    return 0;
}

/* What write_all says it has written is what arrives, to the byte. */
static int a_cancelled_write_tells_what_it_wrote(void *arg)
{
    (void)arg;
    weft_id a, b, fiber;
    size_t got = 0;
    ssize_t n;
    connect_pair(&a, &b);
    /* Less than is to be sent, so that it cannot be done before the cancel. */
    CHECK_OK(weft_sock_set(a, WEFT_SNDBUF, 65536));
    CHECK_OK(weft_sock_set(b, WEFT_RCVBUF, 65536));
    counted c = {.sock = a, .data = calloc(1, BIG)};
    char *buf = malloc(65536);
    CHECK(c.data && buf);
    CHECK_OK(weft_spawn(&fiber, write_much, &c));
    while (got < 1 << 20) {
        n = weft_read(b, buf, 65536, SOON);
        CHECK(n > 0);
        got += (size_t)n;
    }
    CHECK_OK(weft_cancel(fiber));
    CHECK_OK(weft_join(fiber, NULL, SOON));
    CHECK_EQ(c.result, -ECANCELED);
    CHECK(c.done < BIG);
    CHECK_OK(weft_close(a));
    while ((n = weft_read(b, buf, 65536, SOON)) > 0)
        got += (size_t)n;
    CHECK_EQ(n, 0);
    CHECK_EQ(got, c.done);
    free(buf);
    free(c.data);
    return 0;
}

/* A read that is cancelled when bytes may have come: they are in its result or still to be read. */
static int a_cancelled_read_loses_no_byte(void *arg)
{
    (void)arg;
    weft_id a, b;
    connect_pair(&a, &b);
    for (int i = 0; i < 300; i++) {
        waiting w = {.v = &verbs[1], .t = {.a = b}};
        weft_id fiber;
        char c;
        CHECK_OK(weft_spawn(&fiber, wait_in_verb, &w));
        CHECK_OK(weft_yield());
        CHECK_EQ(weft_write(a, "x", 1, SOON), 1);
        cancel_if_there(fiber);
        CHECK_OK(weft_join(fiber, NULL, SOON));
        CHECK(w.again == -ECANCELED);
        if (w.result != 1) {
            CHECK_EQ(w.result, -ECANCELED);
            CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
        }
    }
    return 0;
}

static const test_case cases[] = {
    CASE(a_deadline_ends_it), CASE(a_past_deadline_tries_once), CASE(a_past_deadline_is_enough_for_what_is_there),
    CASE(a_cancel_ends_it_and_shows_again), CASE(a_siblings_close_ends_it), CASE(a_scopes_deadline_ends_it),
    CASE(a_connect_times_out_and_can_be_cancelled), CASE(a_cancelled_accept_loses_no_connection),
    CASE(a_cancelled_write_tells_what_it_wrote), CASE(a_cancelled_read_loses_no_byte)};

int main(int argc, char **argv) { return RUN(cases, argc, argv); }
