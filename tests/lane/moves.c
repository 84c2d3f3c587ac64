/* A mobile lane moves while its fibers wait for each sort of thing; what they wait for comes where it is by then, or its deadline, a cancel or a
 * kill does. In per-core mode no lane is mobile, and says so.
 *
 *     moves [CASE]      all but this one */
#include "lane/lane.h"
#include "lane/world.h"

enum { WORKERS = 3, OFTEN = 4 };

static int begun;      /* fibers that are about to wait */
static unsigned first; /* worker that takes lanes */
static int movable;
static const char *left_out;

static unsigned here(void) { return weft__worker_self()->index; }

/* An id that is being closed keeps it back. */
static void go(unsigned to)
{
    int r;

    while ((r = weft_lane_move(to)) == -EBUSY)
        CHECK_OK(weft_yield());
    CHECK_OK(r);
}

/* Once to each worker, and on to the next one. */
static void tour(void)
{
    const unsigned from = here();

    for (unsigned i = 1; i <= WORKERS + 1; i++) {
        const unsigned to = first + (from - first + i) % WORKERS;
        go(to);
        CHECK_EQ(here(), to);
    }
    CHECK(here() != from);
}

/* A sibling that has come to its wait as this returns: it runs on this worker, and gives it back by waiting. */
static weft_id sibling(int (*fn)(void *), void *arg)
{
    const int before = get(&begun);
    weft_id f;

    CHECK_OK(weft_spawn(&f, fn, arg));
    while (get(&begun) == before)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_yield()); /* what it has begun was not over at once */
    return f;
}

static int result_of(weft_id f)
{
    int result;

    CHECK_OK(weft_join(f, &result, soon()));
    return result;
}

/* ---- time ---- */

static int sleeps(void *arg)
{
    const int64_t until = *(int64_t *)arg;

    bump(&begun);
    CHECK_OK(weft_sleep(until));
    CHECK(weft_now() >= until);
    return 0;
}

static int while_sleeping(void *arg)
{
    int64_t early = weft_after(20 * WEFT_MILLISECOND), late = weft_after(40 * WEFT_MILLISECOND);
    weft_id a = sibling(sleeps, &early), b = sibling(sleeps, &late);

    (void)arg;
    tour();
    CHECK_EQ(result_of(a), 0);
    tour();
    CHECK_EQ(result_of(b), 0);
    return 0;
}

static int waits_for_timer(void *arg)
{
    bump(&begun);
    return weft_timer_wait(*(weft_id *)arg, NULL, soon());
}

static int while_waiting_for_a_timer(void *arg)
{
    weft_id t;

    (void)arg;
    CHECK_OK(weft_timer_open(&t));
    CHECK_OK(weft_timer_set(t, weft_after(20 * WEFT_MILLISECOND), 0));
    const weft_id f = sibling(waits_for_timer, &t);
    tour();
    CHECK_EQ(result_of(f), 0);
    const weft_id g = sibling(waits_for_timer, &t);
    tour();
    CHECK_OK(weft_timer_set(t, WEFT_NOW, 0));
    CHECK_EQ(result_of(g), 0);
    return 0;
}

static int within_scopes(void *arg)
{
    weft_scope outer, inner, shield;

    (void)arg;
    CHECK_OK(weft_scope_enter(&outer, weft_after(60 * WEFT_SECOND)));
    CHECK_OK(weft_scope_enter(&inner, weft_after(10 * WEFT_MILLISECOND)));
    tour();
    CHECK_EQ(weft_sleep(soon()), -ECANCELED);
    CHECK_OK(weft_shield_enter(&shield, 10 * WEFT_MILLISECOND));
    tour();
    CHECK_EQ(weft_sleep(soon()), -ECANCELED); /* the grace ends where it is now */
    CHECK_OK(weft_shield_leave(&shield));
    tour();
    CHECK_EQ(weft_scope_leave(&inner), -ETIMEDOUT);
    CHECK_OK(weft_scope_leave(&outer));
    CHECK_OK(weft_canceled());
    return 0;
}

static int until_its_deadline(void *arg)
{
    (void)arg;
    tour();
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    tour(); /* cancelled or not */
    return -ECANCELED;
}

/* ---- fibers of the lane ---- */

static int parks(void *arg)
{
    (void)arg;
    bump(&begun);
    CHECK_OK(weft_park(soon()));
    return (int)here();
}

static int unparks(void *arg)
{
    bump(&begun);
    return weft_unpark(*(weft_id *)arg);
}

static int grandchild(void *arg)
{
    (void)arg;
    bump(&begun);
    CHECK_OK(weft_park(soon()));
    return 9;
}

static int joins_lane(void *arg)
{
    int result;

    bump(&begun);
    CHECK_OK(weft_lane_join(*(weft_id *)arg, &result, soon()));
    return result;
}

static int while_joining(void *arg)
{
    weft_id a = sibling(parks, NULL), child, fibers[4];

    (void)arg;
    tour();
    CHECK_OK(weft_unpark(a));
    CHECK_EQ(result_of(a), (int)here());

    const int before = get(&begun);
    CHECK_OK(weft_lane_spawn(&child, grandchild, NULL));
    while (get(&begun) == before)
        CHECK_OK(weft_yield());
    weft_id j = sibling(joins_lane, &child);
    tour();
    CHECK_OK(weft_kill(child));
    CHECK_EQ(result_of(j), -ECANCELED);

    for (int i = 0; i < 4; i++) /* newborns have no stack yet */
        CHECK_OK(weft_spawn(&fibers[i], parks, NULL));
    tour();
    for (int i = 0; i < 4; i++) {
        weft_id u;
        CHECK_OK(weft_spawn(&u, unparks, &fibers[i]));
        CHECK_OK(weft_lane_move(first + (unsigned)i % WORKERS));
        CHECK_EQ(result_of(u), 0);
        CHECK_EQ(result_of(fibers[i]), (int)here());
    }
    return 0;
}

/* Results that nobody has asked for yet go along as well. */
static int returns(void *arg)
{
    bump(&begun);
    return *(int *)arg;
}

static int with_results_unasked(void *arg)
{
    int n = 5;
    weft_id f = sibling(returns, &n), g;

    (void)arg;
    tour();
    CHECK_EQ(result_of(f), 5);
    CHECK_OK(weft_spawn(&g, returns, &n));
    tour();
    CHECK_OK(weft_detach(g));
    return 0;
}

/* ---- locks, channels, select ---- */

static weft_mutex mutex;
static weft_channel channel;

static int locks(void *arg)
{
    (void)arg;
    bump(&begun);
    CHECK_OK(weft_mutex_lock(&mutex, soon()));
    tour(); /* what it holds goes along */
    CHECK_OK(weft_mutex_unlock(&mutex));
    return (int)here();
}

static int came_too_late;

static int locks_until(void *arg)
{
    (void)arg;
    bump(&begun);
    came_too_late = weft_mutex_lock(&mutex, weft_after(20 * WEFT_MILLISECOND));
    return 0;
}

static int receives_item(void *arg)
{
    int item = 0;

    (void)arg;
    bump(&begun);
    CHECK_OK(weft_channel_receive(&channel, &item, soon()));
    return item;
}

static int while_locking(void *arg)
{
    (void)arg;
    CHECK_OK(weft_mutex_lock(&mutex, soon()));
    const weft_id late = sibling(locks_until, NULL), f = sibling(locks, NULL);
    tour();
    while (!came_too_late) /* to join it with the mutex in hand would be a deadlock, and told */
        CHECK_OK(weft_yield());
    CHECK_EQ(came_too_late, -ETIMEDOUT);
    CHECK_OK(weft_mutex_unlock(&mutex));
    CHECK_EQ(result_of(late), 0);
    CHECK_EQ(result_of(f), (int)here());
    return 0;
}

/* Another lane, which stays, has something for it. */
static int serves(void *arg)
{
    const int item = *(int *)arg;

    return weft_channel_send(&channel, &item, soon());
}

static int while_receiving(void *arg)
{
    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        const int item = 40 + n;
        const weft_id f = sibling(receives_item, NULL);
        weft_id l;
        tour();
        CHECK_OK(weft_lane_spawn_with(&l, serves, (void *)&item, .copy = sizeof item));
        if (n % 2)
            tour(); /* it may come at the same time */
        CHECK_EQ(result_of(f), item);
        CHECK_OK(weft_lane_join(l, NULL, soon()));
    }
    return 0;
}

static int selects_item(void *arg)
{
    int item = 0;
    weft_case c[] = {WEFT_RECEIVE(&channel, &item), WEFT_JOIN(*(weft_id *)arg), WEFT_AT(soon())};

    bump(&begun);
    const int i = weft_select(c, 3, WEFT_NEVER);
    return i == 0 ? 100 + item : i;
}

static int while_selecting(void *arg)
{
    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        weft_id l, never = sibling(parks, NULL), f = sibling(selects_item, &never);
        int item = n;
        tour();
        if (n % 2) {
            CHECK_OK(weft_lane_spawn_with(&l, serves, &item, .copy = sizeof item));
            tour();
            CHECK_EQ(result_of(f), 100 + n);
            CHECK_OK(weft_lane_join(l, NULL, soon()));
            CHECK_OK(weft_unpark(never));
            (void)result_of(never);
        } else {
            CHECK_OK(weft_unpark(never));
            CHECK_EQ(result_of(f), 1);
        }
    }
    return 0;
}

/* ---- messages ---- */

static int receives(void *arg)
{
    weft_message *m;

    (void)arg;
    bump(&begun);
    CHECK_OK(weft_receive(&m, soon()));
    const int tag = (int)m->tag;
    CHECK_OK(weft_msg_free(m));
    return tag;
}

/* Sends to, calls or fills the mailbox of the lane that asks it to by a message. */
enum { SEND = 1, ANSWER, TAKE, STOP };

static int partner(void *arg)
{
    weft_message *m;

    (void)arg;
    for (;;) {
        CHECK_OK(weft_receive(&m, soon()));
        const uint32_t what = m->tag;
        if (what == SEND)
            CHECK_OK(weft_send_with(m->from, NULL, 0, .tag = 77));
        if (m->reply.gen)
            CHECK_OK(weft_reply(m, "yes", 3));
        CHECK_OK(weft_msg_free(m));
        if (what == STOP)
            return 0;
    }
}

static int calls(void *arg)
{
    weft_message *answer;

    bump(&begun);
    CHECK_OK(weft_call(*(weft_id *)arg, "?", 1, &answer, soon()));
    const int size = (int)answer->size;
    CHECK_OK(weft_msg_free(answer));
    return size;
}

static int while_receiving_messages(void *arg)
{
    weft_id p;

    (void)arg;
    CHECK_OK(weft_lane_spawn(&p, partner, NULL));
    for (int n = 0; n < OFTEN; n++) {
        weft_id f = sibling(receives, NULL);
        tour();
        CHECK_OK(weft_send_with(p, NULL, 0, .tag = SEND));
        tour();
        CHECK_EQ(result_of(f), 77);
        f = sibling(calls, &p);
        tour();
        CHECK_EQ(result_of(f), 3);
    }
    CHECK_OK(weft_send_with(p, NULL, 0, .tag = STOP));
    CHECK_OK(weft_lane_join(p, NULL, soon()));
    return 0;
}

/* Takes nothing before it is told to. */
static int reluctant(void *arg)
{
    weft_message *m;

    (void)arg;
    CHECK_OK(weft_park(soon()));
    for (int n = 0; n < 3; n++) {
        CHECK_OK(weft_receive(&m, soon()));
        CHECK_OK(weft_msg_free(m));
    }
    return 0;
}

static int reluctant_self(void *arg)
{
    *(weft_id *)arg = weft_self();
    bump(&begun);
    return reluctant(NULL);
}

static int sends(void *arg)
{
    bump(&begun);
    return weft_send_with(*(weft_id *)arg, "x", 1, .deadline = soon());
}

static int sends_in_vain(void *arg)
{
    bump(&begun);
    return weft_send_with(*(weft_id *)arg, "x", 1, .deadline = weft_after(20 * WEFT_MILLISECOND));
}

static int while_waiting_for_room(void *arg)
{
    static weft_id fiber;
    weft_id l;
    const weft_limits small = {.messages = 1};
    const int before = get(&begun);

    (void)arg;
    CHECK_OK(weft_lane_spawn_with(&l, reluctant_self, &fiber, .limits = &small));
    while (get(&begun) == before)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_send(l, "x", 1, NULL));
    const weft_id late = sibling(sends_in_vain, &l), a = sibling(sends, &l), b = sibling(sends, &l);
    tour();
    CHECK_EQ(result_of(late), -ETIMEDOUT);
    CHECK_OK(weft_unpark(fiber));
    tour();
    CHECK_EQ(result_of(a), 0);
    CHECK_EQ(result_of(b), 0);
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    return 0;
}

/* ---- operations ---- */

typedef struct ends {
    weft_id a, b;
} ends;

static ends connected(void)
{
    ends e;
    weft_id l;
    weft_addr addr;
    char text[WEFT_ADDR_TEXT];

    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_local_addr(l, &addr));
    weft_addr_format(&addr, text, sizeof text);
    CHECK_OK(weft_connect(&e.a, text, soon()));
    CHECK_OK(weft_accept(l, &e.b, NULL, soon()));
    CHECK_OK(weft_close(l));
    return e;
}

static int reads(void *arg)
{
    char buf[16];

    bump(&begun);
    return (int)weft_read(*(weft_id *)arg, buf, sizeof buf, soon());
}

static int reads_until(void *arg)
{
    char buf[16];

    bump(&begun);
    return (int)weft_read(*(weft_id *)arg, buf, sizeof buf, weft_after(20 * WEFT_MILLISECOND));
}

static int accepts(void *arg)
{
    weft_id conn;

    bump(&begun);
    CHECK_OK(weft_accept(*(weft_id *)arg, &conn, NULL, soon()));
    CHECK_OK(weft_close(conn));
    return 0;
}

static int while_reading(void *arg)
{
    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        const ends e = connected();
        weft_id f = sibling(reads, (void *)&e.b);
        tour();
        CHECK_EQ(weft_write(e.a, "hello", 5, soon()), 5);
        tour();
        CHECK_EQ(result_of(f), 5);
        f = sibling(reads_until, (void *)&e.b); /* its descriptor has stayed behind */
        tour();
        CHECK_EQ(result_of(f), -ETIMEDOUT);
        f = sibling(reads, (void *)&e.b);
        tour();
        CHECK_OK(weft_cancel(f));
        tour();
        CHECK_EQ(result_of(f), -ECANCELED);
        f = sibling(reads, (void *)&e.b);
        tour();
        CHECK_OK(weft_close(e.b));
        CHECK_EQ(result_of(f), -ECANCELED);
        CHECK_OK(weft_close(e.a));
    }
    return 0;
}

/* Between two operations nothing stays behind: the descriptor comes along. */
static int between_operations(void *arg)
{
    const ends e = connected();
    char buf[8];

    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        CHECK_EQ(weft_write(e.a, "ab", 2, soon()), 2);
        tour();
        CHECK_EQ(weft_read(e.b, buf, sizeof buf, soon()), 2);
        tour();
    }
    CHECK_OK(weft_close(e.a));
    CHECK_EQ(weft_read(e.b, buf, sizeof buf, soon()), 0);
    return 0;
}

static int while_accepting(void *arg)
{
    weft_id l, conn;
    weft_addr addr;
    char text[WEFT_ADDR_TEXT];

    (void)arg;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_local_addr(l, &addr));
    weft_addr_format(&addr, text, sizeof text);
    for (int n = 0; n < OFTEN; n++) {
        const weft_id f = sibling(accepts, &l);
        tour();
        CHECK_OK(weft_connect(&conn, text, soon()));
        CHECK_EQ(result_of(f), 0);
        CHECK_OK(weft_close(conn));
    }
    return 0;
}

/* ---- lent buffers ---- */

static int streams(void *arg)
{
    const weft_id sock = *(weft_id *)arg;
    weft_buffer b;
    int sum = 0;

    bump(&begun);
    for (;;) {
        const ssize_t n = weft_read_buffer(sock, &b, soon());
        CHECK_OK(n);
        if (n == 0)
            return sum;
        sum += (int)n;
        CHECK_OK(weft_yield()); /* with the buffer in its hands */
        weft_port_release(&b);
    }
}

static int while_streaming(void *arg)
{
    (void)arg;
    for (int n = 0; n < OFTEN; n++) {
        const ends e = connected();
        const weft_id f = sibling(streams, (void *)&e.b);
        int sum = 0;
        for (int i = 0; i < 6; i++) {
            sum += (int)weft_write(e.a, "streaming", 9, soon());
            tour();
        }
        CHECK_EQ(sum, 54);
        CHECK_OK(weft_close(e.a));
        CHECK_EQ(result_of(f), 54);
        CHECK_OK(weft_close(e.b));
    }
    const ends e = connected(); /* and one that is closed while it is armed, far from its port */
    weft_buffer b;
    CHECK_EQ(weft_read_buffer(e.b, &b, WEFT_NOW), -ETIMEDOUT);
    tour();
    CHECK_EQ(weft_write(e.a, "x", 1, soon()), 1);
    CHECK_OK(weft_close(e.b));
    return 0;
}

/* ---- files, memory, clean-ups ---- */

static int sends_file(weft_id sock, weft_id file)
{
    size_t done = 0;
    const int r = weft_sendfile(sock, file, 0, 100, &done, soon());

    return r < 0 ? r : (int)done;
}

static int with_files(void *arg)
{
    const ends e = connected();
    weft_id file;
    char buf[100];
    size_t done;

    (void)arg;
    CHECK_OK(weft_open(&file, "/proc/self/exe", WEFT_OPEN_READ, 0, soon()));
    CHECK_EQ(weft_pread(file, buf, sizeof buf, 0, soon()), (long long)sizeof buf);
    const weft_id f = sibling(reads, (void *)&e.a); /* keeps one of the two where it is */
    tour();
    CHECK_EQ(weft_pread(file, buf, sizeof buf, 0, soon()), (long long)sizeof buf);
    CHECK_EQ(sends_file(e.a, file), 100);
    tour();
    CHECK_EQ(sends_file(e.a, file), 100);
    CHECK_OK(weft_read_all(e.b, buf, sizeof buf, &done, soon()));
    CHECK_EQ(memcmp(buf, "\177ELF", 4), 0);
    CHECK_EQ(weft_write(e.b, "x", 1, soon()), 1);
    CHECK_EQ(result_of(f), 1);
    return 0;
}

static int cleaned;

static void cleans(void *arg)
{
    CHECK_OK(weft_yield());
    tour(); /* its lane lives on */
    cleaned = *(int *)arg;
}

static int defers(void *arg)
{
    static int n = 3;

    (void)arg;
    CHECK_OK(weft_defer(cleans, &n));
    bump(&begun);
    tour();
    return 0;
}

static int with_memory_and_clean_ups(void *arg)
{
    char *blocks[64];

    (void)arg;
    for (int i = 0; i < 64; i++) {
        blocks[i] = weft_alloc((size_t)1 << i % 17);
        CHECK(blocks[i] != NULL);
        blocks[i][0] = (char)i;
        CHECK_OK(weft_lane_move(first + (unsigned)i % WORKERS));
    }
    for (int i = 0; i < 64; i += 2) {
        CHECK_EQ(blocks[i][0], (char)i);
        weft_free(blocks[i]);
        CHECK_OK(weft_lane_move(first + (unsigned)i % WORKERS));
    }
    weft_id f;
    CHECK_OK(weft_spawn(&f, defers, NULL));
    CHECK_EQ(result_of(f), 0);
    CHECK_EQ(cleaned, 3);
    return 0;
}

/* ---- limits ---- */

static int occupies(void *arg)
{
    (void)arg;
    bump(&begun);
    return weft_park(soon());
}

static int more_fibers(void *arg)
{
    int zero = 0;
    weft_id f;

    (void)arg;
    bump(&begun);
    CHECK_OK(weft_spawn_with(&f, returns, &zero, .wait = soon()));
    return result_of(f);
}

static int at_a_limit(void *arg)
{
    (void)arg;
    const weft_id a = sibling(occupies, NULL), b = sibling(more_fibers, NULL); /* three, the limit */
    tour();
    CHECK_OK(weft_unpark(a));
    CHECK_EQ(result_of(a), 0);
    tour();
    CHECK_EQ(result_of(b), 0);
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 1, soon()));
    tour(); /* what was reserved is given back */
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 2, WEFT_NOW));
    return 0;
}

/* ---- errors, and what is said ---- */

static int serves_nobody(void *conn)
{
    (void)conn;
    return 0;
}

static int in_accept_loop(void *arg)
{
    bump(&begun);
    return weft_accept_each(*(weft_id *)arg, serves_nobody, NULL);
}

static int refusals(void *arg)
{
    weft_id l;

    (void)arg;
    CHECK_EQ(weft_lane_move(WORKERS + first), -EINVAL);
    if (first)
        CHECK_EQ(weft_lane_move(0), -EINVAL); /* it does the I/O */
    CHECK_OK(weft_lane_move(here()));
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    const weft_id f = sibling(in_accept_loop, &l);
    const unsigned other = first + (here() - first + 1) % WORKERS;
    CHECK_EQ(weft_lane_move(other), -EBUSY);
    CHECK_OK(weft_cancel(f));
    CHECK_EQ(result_of(f), 0);
    CHECK_OK(weft_close(l));
    go(other);
    tour();
    return 0;
}

static int tells(void *arg)
{
    weft_id_info i;
    char text[256];

    (void)arg;
    tour();
    CHECK_OK(weft_id_inspect(weft_lane_self(), &i));
    CHECK_EQ(i.worker, here());
    CHECK_EQ(i.moves, WORKERS + 1);
    CHECK(weft_id_describe(weft_lane_self(), text, sizeof text) < (int)sizeof text);
    CHECK(strstr(text, "after 4 moves"));
    bump(&begun);
    CHECK_OK(weft_park(soon()));
    return 0;
}

static int not_mobile(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_lane_move(first), -EPERM);
    return 0;
}

/* ---- running them ---- */

typedef struct test_case {
    const char *name;
    int (*fn)(void *);
    int64_t deadline; /* in ns from its start */
    weft_limits limits;
    int result;
} test_case;

#define CASE(fn, ...) {#fn, fn, __VA_ARGS__}

static const test_case cases[] = {
    CASE(while_sleeping, 0), CASE(while_waiting_for_a_timer, 0), CASE(within_scopes, 0), CASE(while_joining, 0), CASE(with_results_unasked, 0),
    CASE(until_its_deadline, 20 * WEFT_MILLISECOND, .result = -ECANCELED), CASE(while_locking, 0), CASE(while_receiving, 0),
    CASE(while_selecting, 0), CASE(while_receiving_messages, 0), CASE(while_waiting_for_room, 0), CASE(while_reading, 0),
    CASE(between_operations, 0), CASE(while_accepting, 0), CASE(while_streaming, 0), CASE(with_files, 0), CASE(with_memory_and_clean_ups, 0),
    CASE(at_a_limit, 0, {.fibers = 3}), CASE(refusals, 0),
};

static void run_case(const test_case *c)
{
    weft_id l;
    weft_exit e;

    fprintf(stderr, "%s\n", c->name);
    CHECK_OK(weft_lane_spawn_with(&l, c->fn, NULL, .name = c->name, .mobile = 1, .deadline = c->deadline ? weft_after(c->deadline) : 0,
                                  .limits = &c->limits));
    CHECK_OK(weft_lane_join_exit(l, &e, soon()));
    CHECK_EQ(e.result, c->result);
    CHECK_EQ(e.kind, c->deadline ? WEFT_EXIT_DEADLINE : WEFT_EXIT_NORMAL);
}

static void a_child_is_seen(void)
{
    weft_id l;
    weft_id_info i;
    const int before = get(&begun);

    CHECK_OK(weft_lane_spawn_with(&l, tells, NULL, .mobile = 1));
    while (get(&begun) == before)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_id_inspect(l, &i));
    CHECK_EQ(i.moves, WORKERS + 1);
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
}

/* What came and what went are the same, and as many as all moves. */
static void figures_agree(void)
{
    weft_runtime *rt = weft_current();
    weft_stats all;
    weft_worker_stats w;
    uint64_t in = 0, out = 0, born = 0;

    CHECK_OK(weft_runtime_stats(rt, &all));
    for (unsigned i = 0; weft_runtime_worker(rt, i, &w) == 0; i++) {
        in += w.lanes_in;
        out += w.lanes_out;
        born += w.lanes_born;
        CHECK(w.lanes_stolen + w.lanes_placed <= w.lanes_born);
    }
    CHECK_EQ(in, out);
    CHECK_EQ(in, all.lanes_moved);
    CHECK_EQ(born, all.lanes_spawned);
    CHECK(all.lanes_moved > 100);
    CHECK_EQ(weft_runtime_worker(rt, 99, &w), -ENOENT);
    CHECK_EQ(weft_runtime_worker(rt, 0, NULL), -EINVAL);
    CHECK_EQ(weft_runtime_worker(NULL, 0, &w), -EINVAL);
}

static int program(int argc, char **argv)
{
    const weft_runtime *rt = weft_current();
    weft_id l;

    (void)argc, (void)argv;
    first = rt->first_cpu_worker;
    movable = rt->mode != WEFT_PER_CORE;
    CHECK_OK(weft_mutex_init(&mutex, 0, NULL));
    CHECK_OK(weft_channel_init(&channel, sizeof(int), 0, NULL));
    CHECK_EQ(not_mobile(NULL), 0);
    CHECK_OK(weft_lane_spawn(&l, not_mobile, NULL));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    if (!movable) {
        CHECK_OK(weft_lane_spawn_with(&l, not_mobile, NULL, .mobile = 1));
        CHECK_OK(weft_lane_join(l, NULL, soon()));
        return 0;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!left_out || strcmp(left_out, cases[i].name) != 0)
            run_case(&cases[i]);
    a_child_is_seen();
    figures_agree();
    return 0;
}

int main(int argc, char **argv)
{
    left_out = argc > 1 ? argv[1] : NULL;
    CHECK_EQ(weft_lane_move(0), -EPERM);
    run_clean(program, WORKERS);
    return 0;
}
