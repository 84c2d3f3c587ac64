/* What fibers wait on, under many schedules: mutual exclusion, no lost wake-up, order where it is promised, each item once. Three workers and three
 * lanes, a thread change at many of the named points; a round is one object from its birth to its end, and each run makes a few dozen.
 *
 *     sim-sync OBJECT [rounds]          explores so many rounds (10000); WEFT_SIM_SEED: that one run
 *     sim-sync OBJECT --caught rounds   succeeds if something fails, in a build with that object broken on purpose */
#include <unistd.h>

static void leave(int status);
#define _exit(status) leave(status)
#include <weft/sim.h>

#include "base/atomic.h"
#include "sync/world.h"
#undef _exit

#include <sys/wait.h>

enum { LANES = 3, EACH = 3, PER_RUN = 25 };

static void leave(int status)
{
    if (status != 0 && status != 77)
        weft_sim_failed("a check failed");
    (_exit)(status);
}

static uint32_t inside, torn; /* changed in two steps, with a thread change between them now and then */

static uint64_t any(uint64_t below) { return weft_sim_random(below); }
static uint32_t look(uint32_t *p) { return weft__load_relaxed(p, "test.look"); }
static void set(uint32_t *p, uint32_t v) { weft__store_relaxed(p, v, "test.set"); }
static void add(uint32_t *p, uint32_t v) { weft__add_acq_rel(p, v, "test.add"); }

static void sometimes_yield(void)
{
    if (any(3) == 0)
        CHECK_OK(weft_yield());
}

/* Mostly for ever, now and then for a few microseconds. */
static int64_t some_deadline(void) { return any(4) ? WEFT_NEVER : weft_after((int64_t)any(20) * WEFT_MICROSECOND); }

static void lanes_do(int (*fn)(void *))
{
    weft_id l[LANES];

    for (intptr_t i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&l[i], fn, (void *)i));
    for (int i = 0; i < LANES; i++)
        ended(l[i]);
}

/* ---- mutex ---- */

static weft_mutex m;

/* Alone, or somebody has died in here. */
static void critical(void)
{
    CHECK_EQ(look(&inside), 0);
    set(&inside, 1);
    set(&torn, look(&torn) + 1);
    sometimes_yield();
    set(&inside, 0);
}

static int locks(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH;) {
        int r = weft_mutex_lock(&m, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        if (r == -EOWNERDEAD) {
            set(&inside, 0);
            r = weft_mutex_consistent(&m);
        }
        CHECK_OK(r);
        critical();
        CHECK_OK(weft_mutex_unlock(&m));
        i++;
    }
    return 0;
}

static void with_mutex(void)
{
    weft_id victim = WEFT_NOID;

    CHECK_OK(weft_mutex_init(&m, any(2) ? WEFT_MUTEX_FAIR : 0, NULL));
    inside = torn = 0;
    if (any(3) == 0)
        CHECK_OK(weft_lane_spawn(&victim, locks, NULL));
    if (victim.gen)
        (void)weft__lane_signal(weft_current(), victim, WEFT__SIG_KILL);
    lanes_do(locks);
    if (victim.gen)
        CHECK_OK(weft_lane_join(victim, NULL, WEFT_NEVER));
    CHECK(victim.gen || torn == LANES * EACH);
    const int r = weft_mutex_lock(&m, WEFT_NEVER);
    CHECK(r == 0 || (victim.gen && r == -EOWNERDEAD));
    CHECK_OK(weft_mutex_unlock(&m));
}

/* ---- rwlock ---- */

static weft_rwlock rw;
static uint32_t readers;

static int reads_and_writes(void *arg)
{
    weft_read_hold h = {{0}};

    (void)arg;
    for (int i = 0; i < EACH;) {
        const int read = any(2) == 0;
        const int r = read ? weft_rwlock_read(&rw, &h, some_deadline()) : weft_rwlock_write(&rw, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        CHECK_OK(r);
        if (read) {
            add(&readers, 1);
            CHECK_EQ(look(&inside), 0);
            sometimes_yield();
            CHECK_EQ(look(&inside), 0);
            add(&readers, (uint32_t)-1);
            CHECK_OK(weft_rwlock_unread(&h));
        } else {
            CHECK_EQ(look(&readers), 0);
            critical();
            CHECK_EQ(look(&readers), 0);
            CHECK_OK(weft_rwlock_unwrite(&rw));
        }
        i++;
    }
    return 0;
}

static void with_rwlock(void)
{
    CHECK_OK(weft_rwlock_init(&rw, NULL));
    inside = torn = readers = 0;
    lanes_do(reads_and_writes);
    CHECK_OK(weft_rwlock_try_write(&rw));
    CHECK_OK(weft_rwlock_unwrite(&rw));
}

/* ---- cond ---- */

static weft_cond c;
static int items;

static int consumes(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++) {
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
        while (!items) {
            const int r = weft_cond_wait(&c, &m, some_deadline());
            CHECK(r == 0 || r == -ETIMEDOUT);
        }
        items--;
        CHECK_OK(weft_mutex_unlock(&m));
    }
    return 0;
}

static int produces(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++) {
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
        items++;
        CHECK_OK(weft_mutex_unlock(&m));
        CHECK_OK(weft_cond_signal(&c));
    }
    return 0;
}

static int does_either(void *arg) { return (intptr_t)arg == 0 ? produces(arg) : (intptr_t)arg == 1 ? consumes(arg) : 0; }

static void with_cond(void)
{
    c = (weft_cond){{0}};
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    items = 0;
    lanes_do(does_either);
    CHECK_EQ(items, 0);
}

/* ---- semaphore ---- */

static weft_semaphore s;

static int acquires(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH;) {
        const uint32_t n = 1 + (uint32_t)any(2);
        const int r = weft_semaphore_acquire(&s, n, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        CHECK_OK(r);
        add(&inside, n);
        CHECK(look(&inside) <= 2);
        sometimes_yield();
        add(&inside, (uint32_t)-n);
        CHECK_OK(weft_semaphore_release(&s, n));
        i++;
    }
    return 0;
}

static void with_semaphore(void)
{
    CHECK_OK(weft_semaphore_init(&s, 2));
    inside = 0;
    lanes_do(acquires);
    CHECK_EQ(weft_semaphore_value(&s), 2);
}

/* ---- events, latch, barrier, once, future ---- */

static weft_event ping, pong, gate;

static int plays(void *arg)
{
    const intptr_t me = (intptr_t)arg;

    for (int i = 0; i < EACH && me < 2; i++) {
        if (me == 0)
            CHECK(weft_event_set(&ping) <= 1);
        int r;
        while ((r = weft_event_wait(me ? &ping : &pong, some_deadline())) == -ETIMEDOUT)
            ;
        CHECK_OK(r);
        if (me == 1)
            CHECK(weft_event_set(&pong) <= 1);
    }
    if (me == 0)
        CHECK(weft_event_set(&gate) <= 2);
    return weft_event_wait(&gate, WEFT_NEVER);
}

static void with_event(void)
{
    CHECK_OK(weft_event_init(&ping, WEFT_EVENT_AUTO, 0));
    CHECK_OK(weft_event_init(&pong, WEFT_EVENT_AUTO, 0));
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_MANUAL, 0));
    lanes_do(plays);
    CHECK_EQ(weft_event_is_set(&ping) + weft_event_is_set(&pong), 0);
}

static weft_latch latch;

static int finishes(void *arg)
{
    (void)arg;
    sometimes_yield();
    add(&torn, 1);
    CHECK_OK(weft_latch_done(&latch, 1));
    CHECK_OK(weft_latch_wait(&latch, WEFT_NEVER));
    CHECK_EQ(look(&torn), LANES);
    return 0;
}

static void with_latch(void)
{
    CHECK_OK(weft_latch_init(&latch, LANES));
    torn = 0;
    lanes_do(finishes);
    CHECK_OK(weft_latch_wait(&latch, WEFT_NOW));
}

static weft_barrier b;
static uint32_t at[LANES];

static int meets(void *arg)
{
    const intptr_t me = (intptr_t)arg;

    for (uint32_t i = 1; i <= EACH; i++) {
        set(&at[me], i);
        int r;
        do
            r = weft_barrier_wait(&b, some_deadline());
        while (r == -ETIMEDOUT);
        CHECK_OK(r);
        if (r == 1)
            add(&torn, 1);
        for (int k = 0; k < LANES; k++)
            CHECK(look(&at[k]) >= i && look(&at[k]) <= i + 1);
    }
    return 0;
}

static void with_barrier(void)
{
    CHECK_OK(weft_barrier_init(&b, LANES));
    memset(at, 0, sizeof at);
    torn = 0;
    lanes_do(meets);
    CHECK_EQ(torn, EACH);
}

static weft_once once;

static int counts(void *arg)
{
    (void)arg;
    critical();
    return 0;
}

static int runs_once(void *arg)
{
    CHECK_OK(weft_once_run(&once, counts, arg, WEFT_NEVER));
    CHECK_EQ(look(&torn), 1);
    return 0;
}

static void with_once(void)
{
    once = (weft_once){.done = 0};
    inside = torn = 0;
    lanes_do(runs_once);
}

static weft_future future;

static int keeps_or_waits(void *arg)
{
    void *value = NULL;

    if ((intptr_t)arg == 0)
        CHECK_OK(weft_future_keep(&future, 4, &future));
    int r;
    while ((r = weft_future_wait(&future, &value, some_deadline())) == -ETIMEDOUT)
        ;
    CHECK_EQ(r, 4);
    CHECK(value == &future);
    return 0;
}

static void with_future(void)
{
    future = (weft_future){{0}};
    lanes_do(keeps_or_waits);
}

/* ---- channels: each item once, and in an order that a queue could have had ---- */

enum { ITEMS = 8 };
static weft_channel ch, back;
static int room[2][2];
struct wide { /* of a channel that grows: two to a chunk */
    int x;
    unsigned char rest[6000];
};
static uint32_t now;
static struct item {
    uint32_t send_began, sent, receive_began, received;
} item[ITEMS];
static uint32_t next_item, taken;

static uint32_t tick(void) { return weft__add_acq_rel(&now, 1u, "test.tick") + 1; }

static void sends_some(void)
{
    for (;;) {
        const uint32_t i = weft__add_acq_rel(&next_item, 1u, "test.next");
        if (i >= ITEMS)
            return;
        struct wide w;
        weft_case k[] = {WEFT_SEND(&ch, &w)};
        int r;
        w.x = (int)i;
        do {
            item[i].send_began = tick();
            r = any(2) ? weft_channel_send(&ch, &w, some_deadline()) : weft_select(k, 1, some_deadline());
        } while (r == -ETIMEDOUT);
        CHECK_OK(r);
        item[i].sent = tick();
    }
}

static void receives_some(void)
{
    while (look(&taken) < ITEMS) {
        struct wide w; /* what lies behind x is nothing to anybody */
        w.x = -1;
        const uint32_t began = tick();
        const int r = weft_channel_receive(&ch, &w, any(2) ? some_deadline() : WEFT_NOW);
        const int x = w.x;
        if (r == -EPIPE)
            return;
        if (r == -ETIMEDOUT)
            continue;
        CHECK_OK(r);
        CHECK(x >= 0 && x < ITEMS && item[x].received == 0);
        item[x].receive_began = began;
        item[x].received = tick();
        if (weft__add_acq_rel(&taken, 1u, "test.taken") + 1 == ITEMS)
            CHECK_OK(weft_channel_close(&ch, 0));
    }
}

static int sends_or_receives(void *arg)
{
    const int first = look(&inside) & 1; /* two of one sort, one of the other */

    if ((int)((intptr_t)arg & 1) == first)
        sends_some();
    else
        receives_some();
    return 0;
}

static void deliver_all(int (*how)(void *))
{
    memset(item, 0, sizeof item);
    next_item = taken = 0;
    inside = (uint32_t)any(2);
    lanes_do(how);
    for (int x = 0; x < ITEMS; x++) {
        CHECK(item[x].received > item[x].send_began);
        for (int y = 0; y < ITEMS; y++)
            if (item[x].sent < item[y].send_began)
                CHECK(item[x].receive_began < item[y].received);
    }
}

static void with_channel(void)
{
    const size_t capacity = any(3);

    CHECK_OK(weft_channel_init(&ch, sizeof(int), capacity, capacity ? room[0] : NULL));
    deliver_all(sends_or_receives);
}

static int only_sends(void *arg)
{
    (void)arg;
    sends_some();
    const uint32_t done = weft__add_acq_rel(&torn, 1u, "test.done") + 1;
    if (done == LANES) /* nobody had to wait for a receiver; the last one is that */
        receives_some();
    return 0;
}

static void with_growing(void)
{
    const int roomy = any(2) == 0;

    CHECK_OK(weft_channel_init_growing(&ch, sizeof(struct wide), roomy ? ITEMS : 1 + any(5)));
    torn = 0;
    deliver_all(roomy ? only_sends : sends_or_receives);
    CHECK_OK(weft_channel_end(&ch));
}

/* ---- select: each item once, both ways, beside an event and a lock ---- */

static uint32_t out, in;

static int selects(void *arg)
{
    const int me = (int)((intptr_t)arg & 1);

    if ((intptr_t)arg == 2 && !look(&readers))
        return 0; /* two alone: nobody else comes to their help */
    while (look(&out) < ITEMS) {
        int x = 1 + (int)any(1000), y = 0;
        weft_case k[] = {WEFT_SEND(me ? &ch : &back, &x), WEFT_RECEIVE(me ? &back : &ch, &y), WEFT_PASS(&gate), WEFT_LOCK(&m), WEFT_PASS(&ping)};
        const unsigned n = look(&readers) ? 5 : 3; /* without the last two nothing but the other side wakes it */
        const int r = any(2) ? weft_select(k, n, WEFT_NEVER) : weft_select_ordered(k, n, look(&readers) ? some_deadline() : WEFT_NEVER);
        if (r == -ETIMEDOUT)
            continue;
        CHECK(r >= 0 && r < (int)n && k[r].result == 0);
        if (r == 0) {
            add(&out, 1);
            add(&torn, (uint32_t)x);
        } else if (r == 1) {
            add(&in, 1);
            add(&torn, (uint32_t)-y);
        } else if (r == 2) {
            break;
        } else if (r == 3) {
            CHECK_EQ(look(&inside), 0);
            set(&inside, 1);
            sometimes_yield();
            set(&inside, 0);
            CHECK_OK(weft_mutex_unlock(&m));
        } else {
            CHECK(weft_event_set(&ping) <= 1);
        }
    }
    (void)weft_event_set(&gate);
    return 0;
}

/* The mutex is free only now and then, and so the other cases get their turn. */
static int hogs(void *arg)
{
    (void)arg;
    while (!weft_event_is_set(&gate)) {
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
        CHECK_EQ(look(&inside), 0);
        (void)weft_event_wait(&gate, weft_after((int64_t)any(30) * WEFT_MICROSECOND));
        CHECK_OK(weft_mutex_unlock(&m));
        CHECK_OK(weft_yield());
    }
    return 0;
}

static void with_select(void)
{
    const size_t capacity = any(2);
    weft_id hog;
    int y;

    CHECK_OK(weft_channel_init(&ch, sizeof(int), capacity, capacity ? room[0] : NULL));
    CHECK_OK(weft_channel_init(&back, sizeof(int), capacity, capacity ? room[1] : NULL));
    CHECK_OK(weft_event_init(&ping, WEFT_EVENT_AUTO, 0));
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_MANUAL, 0));
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    inside = torn = out = in = 0;
    readers = (uint32_t)any(2);
    if (readers)
        CHECK_OK(weft_lane_spawn(&hog, hogs, NULL));
    lanes_do(selects);
    if (readers)
        ended(hog);
    while (weft_channel_try_receive(&ch, &y) == 0 || weft_channel_try_receive(&back, &y) == 0) {
        in++;
        torn -= (uint32_t)y;
    }
    CHECK_EQ(in, out);
    CHECK_EQ(torn, 0); /* what came is what was sent */
    CHECK_OK(weft_mutex_try(&m));
    CHECK_OK(weft_mutex_unlock(&m));
}

/* ---- select over I/O, messages and a channel, with a peer that may break off and a lane that may be killed ---- */

static char io_address[WEFT_ADDR_TEXT];
static uint32_t bytes_sent, bytes_got, broken, mail_sent, mail_got;
static weft_id io_lane;
static int io_room[EACH];
static unsigned char junk[64];

static int is_peer(void *arg)
{
    weft_id sock;

    (void)arg;
    CHECK_OK(weft_connect(&sock, io_address, WEFT_NEVER));
    for (int i = 0; i < EACH; i++) {
        const int x = i + 1;
        sometimes_yield();
        switch (any(4)) {
        case 0:
            if (weft_channel_try_send(&ch, &x) == 0)
                add(&out, 1);
            break;
        case 1:
            if (weft_send(io_lane, &x, sizeof x, NULL) == 0)
                add(&mail_sent, 1);
            break;
        case 2:
            CHECK_OK(weft_sleep(weft_after((int64_t)any(20) * WEFT_MICROSECOND)));
            break;
        default:
            break;
        }
        const uint32_t n = 1 + (uint32_t)any(sizeof junk - 1);
        if (weft_write_all(sock, junk, n, NULL, WEFT_NEVER) == 0)
            add(&bytes_sent, n);
        else
            set(&broken, 1);
    }
    if (any(5) == 0) {
        set(&broken, 1); /* what is under way may be lost */
        CHECK_OK(weft_sock_set(sock, WEFT_LINGER_S, 0));
    }
    return weft_close(sock);
}

/* A sibling that takes messages away from under it. */
static int takes_messages(void *arg)
{
    int looks = any(2) ? 20 : 0; /* so often without waiting, and so perhaps while a select that has been told makes an end */
    weft_message *msg;

    (void)arg;
    for (int r; (r = weft_receive(&msg, looks ? WEFT_NOW : some_deadline())) != -ECANCELED;) {
        if (r == 0) {
            CHECK_OK(weft_msg_free(msg));
            add(&mail_got, 1);
        }
        if (looks) {
            looks -= r == 0 || any(2) == 0;
            CHECK_OK(weft_yield());
        } else if (r == 0) {
            sometimes_yield();
        }
    }
    return 0;
}

/* Until the stream has ended and all else that was sent has come. */
static int selects_io(void *arg)
{
    weft_id l = *(weft_id *)arg, sock = WEFT_NOID, peer, sibling;
    weft_case k[5] = {{.kind = WEFT_CASE_ACCEPT, .id = l, .data = &sock}};
    weft_addr addr;
    int over = 0, x;

    CHECK_OK(weft_listen(&l, "127.0.0.1:0", NULL));
    CHECK_OK(weft_local_addr(l, &addr));
    weft_addr_format(&addr, io_address, sizeof io_address);
    CHECK_OK(weft_lane_spawn(&peer, is_peer, NULL));
    CHECK_OK(weft_spawn(&sibling, takes_messages, NULL));
    k[0].id = l;
    CHECK_EQ(weft_select(k, 1, WEFT_NEVER), 0);
    CHECK_OK(k[0].result);
    const int whole = any(2) == 0;
    while (!over) {
        weft_buffer buf = {0};
        weft_message *msg = NULL;
        k[0] = WEFT_RECEIVE(&ch, &x);
        k[1] = whole ? WEFT_BUFFER(sock, &buf) : WEFT_CAN_READ(sock);
        k[2] = WEFT_MESSAGE(&msg);
        k[3] = WEFT_PASS(&ping);
        k[4] = WEFT_JOIN_LANE(peer);
        const int r = any(3) ? weft_select(k, 4, some_deadline()) : weft_select_ordered(k, 4, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        CHECK_OK(r);
        if (r == 0) {
            add(&in, 1);
        } else if (r == 1 && whole) {
            over = k[1].result <= 0;
            CHECK(k[1].result >= 0 || look(&broken));
            if (k[1].result > 0)
                weft_port_release(&buf);
            add(&bytes_got, k[1].result > 0 ? (uint32_t)k[1].result : 0);
        } else if (r == 1) {
            const ssize_t n = weft_read(sock, junk, sizeof junk, WEFT_NEVER); /* never waits: it is readable, and nobody else reads */
            CHECK(n >= 0 || look(&broken));
            over = n <= 0;
            add(&bytes_got, n > 0 ? (uint32_t)n : 0);
        } else if (r == 2) {
            CHECK_OK(k[2].result);
            CHECK_OK(weft_msg_free(msg));
            add(&mail_got, 1);
        }
    }
    CHECK_OK(weft_cancel(sibling));
    joined(sibling);
    CHECK_EQ(weft_select(k + 4, 1, WEFT_NEVER), 0); /* the peer */
    for (weft_message *msg; weft_receive(&msg, WEFT_NOW) == 0; add(&mail_got, 1))
        CHECK_OK(weft_msg_free(msg));
    return 0;
}

static void with_select_io(void)
{
    const int killed_too = any(4) == 0;
    int y, r;

    CHECK_OK(weft_channel_init(&ch, sizeof(int), EACH, io_room));
    CHECK_OK(weft_event_init(&ping, WEFT_EVENT_AUTO, 0));
    out = in = bytes_sent = bytes_got = broken = mail_sent = mail_got = 0;
    CHECK_OK(weft_lane_spawn_with(&io_lane, selects_io, &io_lane, .copy = sizeof io_lane));
    if (killed_too) {
        CHECK_OK(weft_sleep(weft_after((int64_t)any(60) * WEFT_MICROSECOND)));
        set(&broken, 1);
        (void)weft_kill(io_lane);
    }
    if (any(2))
        CHECK(weft_event_set(&ping) <= 1);
    CHECK_OK(weft_lane_join(io_lane, &r, WEFT_NEVER));
    CHECK(r == 0 || (killed_too && r == -ECANCELED));
    while (weft_channel_try_receive(&ch, &y) == 0)
        in++;
    CHECK_EQ(in, out); /* a kill, too, loses none: there is always room for what comes back */
    CHECK(r != 0 || mail_got == mail_sent);
    CHECK(look(&broken) || bytes_got == bytes_sent);
}

/* ---- broadcasts, credits, groups ---- */

static weft_broadcast news;

static int reads_or_sends(void *arg)
{
    weft_reader r = {{0}};
    int x, last = 0, seen = 0;
    uint64_t missed = 0;

    if ((intptr_t)arg == 0) {
        while (look(&readers) < LANES - 1)
            CHECK_OK(weft_yield());
        for (x = 1; x <= ITEMS; x++) {
            int sent;
            while ((sent = weft_broadcast_send(&news, &x, some_deadline())) == -ETIMEDOUT)
                ;
            CHECK_OK(sent);
        }
        return weft_broadcast_close(&news, 0);
    }
    CHECK_OK(weft_broadcast_join(&news, &r));
    add(&readers, 1);
    for (;;) {
        const int got = weft_broadcast_receive(&r, &x, &missed, some_deadline());
        if (got == -ETIMEDOUT)
            continue;
        if (got == -EPIPE)
            break;
        CHECK_OK(got);
        CHECK_EQ(x, last + 1 + (int)missed); /* in order, and what is missing is counted */
        CHECK(missed == 0 || look(&inside));
        last = x;
        seen++;
    }
    CHECK_EQ(last, ITEMS);
    CHECK(seen == ITEMS || look(&inside));
    return weft_broadcast_leave(&r);
}

static void with_broadcast(void)
{
    inside = (uint32_t)any(2);
    readers = 0;
    CHECK_OK(weft_broadcast_init(&news, sizeof(int), 1 + any(2), room[0], inside ? WEFT_BROADCAST_LOSSY : WEFT_BROADCAST_HOLD));
    lanes_do(reads_or_sends);
}

static weft_credit credit;

static int spends_or_grants(void *arg)
{
    if ((intptr_t)arg == 0) {
        for (uint32_t granted = 0; granted < 2 * ITEMS; granted++) {
            while (look(&torn) == granted) /* nothing to deal with */
                CHECK_OK(weft_yield());
            CHECK_OK(weft_credit_grant(&credit, 1));
        }
        return 0;
    }
    for (int i = 0; i < ITEMS;) {
        const int r = weft_credit_spend(&credit, 1, some_deadline());
        if (r == -ETIMEDOUT)
            continue;
        CHECK_OK(r);
        CHECK(weft_credit_used(&credit) <= 3);
        add(&torn, 1);
        i++;
    }
    return 0;
}

static void with_credit(void)
{
    CHECK_OK(weft_credit_init(&credit, 3, any(3)));
    torn = 0;
    lanes_do(spends_or_grants);
    CHECK_EQ(weft_credit_used(&credit), 0);
}

static int is_member(void *arg)
{
    sometimes_yield();
    (void)weft_event_wait(&gate, weft_after((int64_t)any(5) * WEFT_MICROSECOND));
    add(&torn, 1);
    return (int)(intptr_t)arg;
}

static int has_group(void *arg)
{
    weft_group g = WEFT_GROUP;

    (void)arg;
    for (int i = 0; i < EACH; i++) {
        const intptr_t result = any(2) ? 1 : -EIO;
        CHECK_OK(any(2) ? weft_group_run(&g, is_member, (void *)result) : weft_group_lane(&g, is_member, (void *)result));
    }
    const uint64_t how = any(3);
    const int r = how == 0 ? weft_group_all(&g, WEFT_NEVER) : how == 1 ? weft_group_first(&g, WEFT_NEVER) : weft_group_any_failure(&g, WEFT_NEVER);
    CHECK(r == 0 || r == -EIO || (r == 1 && how == 1));
    CHECK(how != 0 || weft_group_count(&g) == 0);
    return weft_group_end(&g);
}

static void with_group(void)
{
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_AUTO, 0));
    torn = 0;
    lanes_do(has_group);
    CHECK_EQ(torn, LANES * EACH); /* none is left behind */
}

/* ---- the explorer ---- */

static const struct object {
    const char *name;
    void (*round)(void);
} objects[] = {
    {"mutex", with_mutex}, {"rwlock", with_rwlock}, {"cond", with_cond}, {"semaphore", with_semaphore}, {"event", with_event},
    {"latch", with_latch}, {"barrier", with_barrier}, {"once", with_once}, {"future", with_future}, {"channel", with_channel}, {"growing", with_growing},
    {"select", with_select}, {"select-io", with_select_io}, {"broadcast", with_broadcast}, {"credit", with_credit}, {"group", with_group},
};

static const struct object *object;

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int i = 0; i < PER_RUN; i++)
        object->round();
    return 0;
}

static int program(void *arg)
{
    static const enum weft_mode modes[] = {WEFT_SHARED, WEFT_PER_CORE, WEFT_SINGLE_IO};

    return weft_main(start, 0, NULL, &(weft_options){.workers = 3, .mode = modes[*(uint64_t *)arg % 3], .blocked_ns = -1});
}

static int explore(uint64_t rounds, int quiet)
{
    const char *given = getenv("WEFT_SIM_SEED");

    for (uint64_t seed = given ? strtoull(given, NULL, 0) : 1, n = 0; test_again(n, given ? 1 : rounds); seed++, n += PER_RUN) {
        const weft_sim_options opt = {.seed = seed, .switch_every = 1 + (unsigned)(seed % 11), .quiet = quiet, .max_steps = 20000000};
        weft_sim_result left;
        const int r = weft_sim_run(&opt, program, &seed, &left);
        if (r != 0)
            return r;
        CHECK_EQ(left.handles_left, 0);
        CHECK_EQ(left.ops_left, 0);
    }
    return 0;
}

/* A process of its own: a check that fails ends it. */
static int is_caught(uint64_t rounds)
{
    int status;

    fflush(NULL);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        (_exit)(explore(rounds, 1) != 0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof objects / sizeof *objects; i++)
        if (strcmp(argv[1], objects[i].name) == 0)
            object = &objects[i];
    CHECK(object != NULL);
    if (argc > 3 && strcmp(argv[2], "--caught") == 0) {
        CHECK(is_caught(strtoull(argv[3], NULL, 0)));
        return 0;
    }
    return explore((uint64_t)test_rounds(argc > 2 ? atoi(argv[2]) : 10000), 0) != 0;
}
