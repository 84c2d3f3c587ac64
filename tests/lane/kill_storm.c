/* A storm of kills. Lanes do whatever lanes do (accept, connect, read with and without lent buffers, read files, sleep,
 * set timers, send, call, allocate, share, lock, use channels, give birth, register names, defer) and are killed at
 * moments drawn from a seed: by their parent, by each other, by themselves, and by a foreign thread. What must hold:
 * every monitor is told, and only after what the lane had was given back; and at the end there are no descriptors,
 * operations, buffers, stacks and bytes but those of before.
 *
 *     kill_storm [KILLS [SEED]]      so many kills, and in a soak rounds of so many until its time is over */
#include "descriptors.h"
#include "lane/world.h"

enum { VICTIMS = 12, PER_ROUND = 60, HOPS = 12 };

/* A place for one lane at a time. What it counts belongs to the lane that lives there. */
typedef struct place {
    int mapped;   /* pages of its vat */
    int deferred; /* clean-ups that have not run */
    int children; /* and theirs */
    weft_vat_kind vat;
    weft_id lane, monitor;
    int taken, kills; /* main's */
} place;

static place places[VICTIMS];
static uint64_t ids[VICTIMS];  /* of the lanes there, for whoever wants to kill one (atomic) */
static uint64_t hunted;        /* whom the hunter is to kill (atomic) */
static int hunt_over;
static char door[WEFT_ADDR_TEXT];
static weft_runtime *rt;
static uint64_t seed;
static long killed, heard_of;
static int accepted, exchanged, born, locked, cleaned; /* how often what is worth killing had its way */

static weft_mutex mutexes[3];
static weft_channel channel;
static int channel_items[4];

static weft_id anybody(uint64_t *random)
{
    return word_to_id(__atomic_load_n(&ids[next_random(random) % VICTIMS], __ATOMIC_ACQUIRE));
}

static int64_t briefly(uint64_t *random) { return weft_after((int64_t)(next_random(random) % 300) * WEFT_MICROSECOND); }

/* ---- what a victim counts ---- */

static void *map(void *self, size_t bytes, size_t align)
{
    place *p = self;
    void *memory = aligned_alloc(align, bytes);

    if (!memory)
        return NULL;
    bump(&p->mapped);
    return memset(memory, 0, bytes);
}

static void unmap(void *self, void *memory, size_t bytes)
{
    place *p = self;

    (void)bytes;
    __atomic_sub_fetch(&p->mapped, 1, __ATOMIC_ACQ_REL);
    free(memory);
}

/* A block of malloc's, which only the clean-up knows of. */
typedef struct wish {
    place *p;
    void *block;
} wish;

static void clean(void *arg)
{
    wish *w = arg;

    bump(&cleaned);
    CHECK_OK(weft_canceled());
    __atomic_sub_fetch(&w->p->deferred, 1, __ATOMIC_ACQ_REL);
    if (((uintptr_t)w->block & 0x70) == 0)
        weft_yield();
    free(w->block);
    free(w);
}

static void defer(place *p)
{
    wish *w = malloc(sizeof *w);

    CHECK(w != NULL);
    *w = (wish){p, malloc(200)};
    bump(&p->deferred);
    CHECK_OK(weft_defer(clean, w));
}

static void child_gone(void *arg) { __atomic_sub_fetch(&((place *)arg)->children, 1, __ATOMIC_ACQ_REL); }

/* ---- what a victim does ---- */

typedef struct life {
    place *p;
    uint64_t random;
    unsigned depth;
} life;

static int victim(void *arg);

static void uses_a_connection(weft_id sock, uint64_t *random)
{
    char buf[256];
    weft_buffer b;

    for (unsigned n = next_random(random) % 4; n > 0; n--) {
        memset(buf, (int)n, sizeof buf);
        if (weft_write(sock, buf, 1 + next_random(random) % sizeof buf, soon()) < 0)
            return;
        if (next_random(random) % 2) {
            if (weft_read_buffer(sock, &b, soon()) <= 0)
                return;
            if (next_random(random) % 4) /* else it keeps it */
                weft_port_release(&b);
        } else if (weft_read(sock, buf, sizeof buf, soon()) <= 0) {
            return;
        }
        bump(&exchanged);
    }
}

static void connects(life *me)
{
    weft_id sock, other;

    if (weft_connect(&sock, door, soon()) < 0)
        return;
    uses_a_connection(sock, &me->random);
    if (next_random(&me->random) % 4 == 0 && weft_dup(sock, &other) == 0 && next_random(&me->random) % 2)
        weft_close(sock);
    if (next_random(&me->random) % 2)
        weft_close(sock);
}

static int knocks(void *arg)
{
    weft_id sock;
    const int r = weft_connect(&sock, arg, soon());

    return r == 0 ? (int)weft_write(sock, "hello", 5, soon()) * 0 : 0;
}

static void accepts(life *me)
{
    weft_id listener, sock, fiber;
    weft_addr addr;
    char text[WEFT_ADDR_TEXT], buf[16];

    if (weft_listen(&listener, test_address(), NULL) < 0)
        return;
    CHECK_OK(weft_local_addr(listener, &addr));
    weft_addr_format(&addr, text, sizeof text);
    /* A copy: a cancelled join does not wait, and then this frame is gone before who knocks has run. */
    if (weft_spawn_with(&fiber, knocks, text, .copy = strlen(text) + 1) < 0)
        return;
    for (unsigned n = next_random(&me->random) % 4; n > 0; n--)
        weft_yield(); /* the kill may come while the connection is on its way, or just there */
    if (weft_accept(listener, &sock, NULL, soon()) == 0 && weft_read(sock, buf, sizeof buf, soon()) > 0)
        bump(&accepted);
    weft_join(fiber, NULL, WEFT_NEVER);
    weft_close(listener);
}

static void reads_files(life *me)
{
    weft_id file;
    char buf[512];
    weft_stat st;

    if (weft_open(&file, "/dev/null", WEFT_OPEN_READ, 0, soon()) < 0)
        return;
    for (unsigned n = next_random(&me->random) % 4; n > 0; n--)
        (void)weft_pread(file, buf, sizeof buf, 0, soon());
    (void)weft_stat_id(file, &st, soon());
    if (next_random(&me->random) % 2)
        weft_close(file);
}

static void uses_timers(life *me)
{
    weft_id timer;
    weft_scope scope;

    if (weft_timer_open(&timer) == 0) {
        CHECK_OK(weft_timer_set(timer, briefly(&me->random), WEFT_MILLISECOND));
        (void)weft_timer_wait(timer, NULL, soon());
        if (next_random(&me->random) % 2)
            weft_close(timer);
    }
    CHECK_OK(weft_scope_enter(&scope, briefly(&me->random)));
    (void)weft_sleep(briefly(&me->random));
    (void)weft_scope_leave(&scope);
}

static void talks(life *me)
{
    weft_message *m;
    char text[300];

    memset(text, 'x', sizeof text);
    (void)weft_send_with(anybody(&me->random), text, next_random(&me->random) % sizeof text, .full = WEFT_FULL_PARK, .deadline = briefly(&me->random));
    if (next_random(&me->random) % 3 == 0 && weft_call(anybody(&me->random), text, 20, &m, briefly(&me->random)) == 0)
        weft_msg_free(m);
    while (weft_receive(&m, next_random(&me->random) % 2 ? WEFT_NOW : briefly(&me->random)) == 0) {
        if (m->kind == WEFT_MSG_DATA && next_random(&me->random) % 2)
            (void)weft_reply(m, text, 30);
        if (next_random(&me->random) % 8)
            weft_msg_free(m);
    }
}

static void allocates(life *me)
{
    void *kept[8] = {0};
    weft_slice slice, part;

    for (int i = 0; i < 8; i++) {
        kept[i] = weft_alloc(1 + next_random(&me->random) % 3000);
        if (kept[i])
            memset(kept[i], i, 1);
    }
    if (weft_slice_copy(&slice, "shared bytes", 12) == 0 && weft_slice_sub(&part, slice, 2, 4) == 0 && next_random(&me->random) % 2)
        weft_slice_drop(slice);
    weft_yield();
    for (int i = 0; i < 8; i++)
        if (next_random(&me->random) % 2)
            weft_free(kept[i]);
}

static void locks(life *me)
{
    weft_mutex *m = &mutexes[next_random(&me->random) % 3];
    const int r = weft_mutex_lock(m, briefly(&me->random));

    if (r == -EOWNERDEAD)
        CHECK_OK(weft_mutex_consistent(m));
    if (r != 0 && r != -EOWNERDEAD)
        return;
    bump(&locked);
    if (next_random(&me->random) % 2)
        weft_yield();
    else
        weft_sleep(briefly(&me->random));
    CHECK_OK(weft_mutex_unlock(m));
}

static void channels(life *me)
{
    int item = 1;

    if (next_random(&me->random) % 2)
        (void)weft_channel_send(&channel, &item, briefly(&me->random));
    else
        (void)weft_channel_receive(&channel, &item, briefly(&me->random));
}

static int small_life(void *arg)
{
    life *me = arg;

    bump(&me->p->children);
    bump(&born);
    CHECK_OK(weft_defer(child_gone, me->p));
    return victim(arg);
}

static void gives_birth(life *me)
{
    life child = {me->p, me->random * 31 + 7, me->depth + 1};
    weft_id l, ref;
    const int odd = (int)(next_random(&me->random) % 2);

    if (me->depth > 1 || weft_lane_spawn_with(&l, small_life, &child, .copy = sizeof child, .monitor = odd ? &ref : NULL, .pinned = odd) < 0)
        return;
    switch (next_random(&me->random) % 4) {
    case 0:
        weft_yield();
        (void)weft_kill(l);
        break;
    case 1:
        (void)weft_lane_join(l, NULL, briefly(&me->random));
        break;
    case 2:
        (void)weft_lane_detach(l);
        break;
    default:
        break;
    }
}

static void registers(life *me)
{
    char name[24];

    snprintf(name, sizeof name, "storm %u", (unsigned)(next_random(&me->random) % 6));
    if (weft_register(name) == 0 && next_random(&me->random) % 2)
        weft_unregister(name);
    (void)weft_monitor(anybody(&me->random), NULL);
    if (next_random(&me->random) % 8 == 0)
        (void)weft_link(anybody(&me->random));
}

static void hop(life *me)
{
    switch (next_random(&me->random) % 14) {
    case 0: accepts(me); break;
    case 1:
    case 2: connects(me); break;
    case 3: reads_files(me); break;
    case 4: uses_timers(me); break;
    case 5: talks(me); break;
    case 6: allocates(me); break;
    case 7: locks(me); break;
    case 8: channels(me); break;
    case 9: gives_birth(me); break;
    case 10: registers(me); break;
    case 11: defer(me->p); break;
    case 12: (void)weft_kill(next_random(&me->random) % 16 ? anybody(&me->random) : weft_lane_self()); break;
    default: weft_yield(); break;
    }
}

static int second_fiber(void *arg)
{
    life me = *(life *)arg;

    for (int i = 0; i < HOPS && weft_canceled() == 0; i++)
        hop(&me);
    return 0;
}

static int victim(void *arg)
{
    life me = *(life *)arg, other = {me.p, me.random ^ 0x5bd1e995, me.depth};

    defer(me.p);
    if (next_random(&me.random) % 2)
        CHECK_EQ(weft_spawn_with(NULL, second_fiber, &other, .copy = sizeof other) & ~-ECANCELED, 0);
    for (int i = 0; i < HOPS && weft_canceled() == 0; i++)
        hop(&me);
    if (me.depth == 0)
        weft_park(WEFT_NEVER); /* until it is killed */
    return 0;
}

/* ---- the server that victims connect to; it is killed as well ---- */

static int session(void *arg)
{
    const weft_conn *conn = arg;
    weft_buffer b;

    while (weft_read_buffer(conn->id, &b, soon()) > 0) {
        const int r = weft_write_all(conn->id, b.data, b.len, NULL, soon());
        weft_port_release(&b);
        if (r < 0)
            return 0;
    }
    return 0;
}

static int serves(void *arg)
{
    weft_id listener;
    weft_addr addr;
    char text[WEFT_ADDR_TEXT];

    CHECK_OK(weft_listen(&listener, test_address(), NULL));
    CHECK_OK(weft_local_addr(listener, &addr));
    weft_addr_format(&addr, text, sizeof text);
    memcpy(door, text, sizeof door);
    CHECK_OK(weft_send(word_to_id(*(uint64_t *)arg), NULL, 0, NULL));
    return weft_accept_each(listener, session, NULL);
}

/* ---- who kills ---- */

static void *hunter(void *arg)
{
    (void)arg;
    while (!get(&hunt_over)) {
        const uint64_t raw = __atomic_exchange_n(&hunted, 0, __ATOMIC_ACQ_REL);
        if (raw) {
            const int r = weft_kill_in(rt, word_to_id(raw));
            CHECK(r == 0 || r == -ESRCH);
        }
        sched_yield();
    }
    return NULL;
}

static void settle(place *p)
{
    weft_exit e;

    CHECK_OK(weft_lane_join_exit(p->lane, &e, soon()));
    CHECK(e.kind == WEFT_EXIT_KILLED || (!p->kills && e.kind != WEFT_EXIT_UNKNOWN) || e.kind == WEFT_EXIT_ERROR);
    killed += e.kind == WEFT_EXIT_KILLED;
    p->taken = 0;
}

/* The next end that main is told of: everything that the lane had is back by now. */
static int hear(int64_t deadline)
{
    weft_message *m;
    const int r = weft_receive(&m, deadline);

    if (r == -ETIMEDOUT)
        return 0;
    CHECK_OK(r);
    const weft_down *d = weft_msg_down(m);
    for (place *p = places; d && p < places + VICTIMS; p++) {
        if (!p->taken || !weft_id_equal(d->ref, p->monitor))
            continue;
        CHECK(weft_id_equal(d->exit.lane, p->lane));
        CHECK_EQ(get(&p->mapped), 0);
        CHECK_EQ(get(&p->deferred), 0);
        CHECK_EQ(get(&p->children), 0);
        CHECK_EQ(weft_kill(p->lane), -ESRCH);
        heard_of++;
        settle(p);
    }
    CHECK_OK(weft_msg_free(m));
    return 1;
}

static void settle_in(place *p, uint64_t *random)
{
    life me = {p, next_random(random) | (uint64_t)next_random(random) << 32, 0};

    p->vat = (weft_vat_kind){.name = "place", .self = p, .map = map, .unmap = unmap};
    p->kills = 0;
    CHECK_OK(weft_lane_spawn_with(&p->lane, victim, &me, .copy = sizeof me, .monitor = &p->monitor,
                                  .vat = next_random(random) % 2 ? &p->vat : NULL, .pinned = next_random(random) % 4 == 0));
    p->taken = 1;
    __atomic_store_n(&ids[p - places], id_to_word(p->lane), __ATOMIC_RELEASE);
    if (next_random(random) % 4 == 0)
        (void)weft_grant(p->lane, anybody(random), WEFT_RIGHT_KILL | WEFT_RIGHT_CANCEL);
}

static void kill_one(place *p, uint64_t *random)
{
    p->kills = 1;
    if (next_random(random) % 4 == 0) {
        __atomic_store_n(&hunted, id_to_word(p->lane), __ATOMIC_RELEASE);
        return;
    }
    const int r = weft_kill(p->lane);
    CHECK(r == 0 || r == -ESRCH);
}

static void pause_a_little(uint64_t *random)
{
    if (next_random(random) % 2)
        CHECK_OK(weft_sleep(briefly(random)));
    for (unsigned n = next_random(random) % 8; n > 0; n--)
        CHECK_OK(weft_yield());
}

/* Until nobody lives any more. */
static void end_all(void)
{
    for (int left = 1; left;) {
        left = 0;
        for (place *p = places; p < places + VICTIMS; p++)
            if (p->taken) {
                left = 1;
                const int r = weft_kill(p->lane);
                CHECK(r == 0 || r == -ESRCH);
            }
        if (left)
            CHECK(hear(soon()));
    }
}

static void nothing_left(int descriptors)
{
    weft_stats stats;

    CHECK_OK(weft_runtime_stats(rt, &stats));
    CHECK_EQ(stats.ops_in_flight, 0);
    CHECK_EQ(stats.stacks_used, 1); /* this fiber's */
    CHECK_EQ(stats.fibers_spawned - stats.fibers_ended, 1);
    CHECK_EQ(stats.lanes_spawned, stats.lanes_ended);
    CHECK_EQ(open_descriptors(), descriptors);
    for (int i = 0; i < 3; i++) { /* nobody holds them */
        const int r = weft_mutex_try(&mutexes[i]);
        CHECK(r == 0 || r == -EOWNERDEAD);
        CHECK_OK(weft_mutex_unlock(&mutexes[i]));
    }
}

static void one_round(uint64_t *random, int kills)
{
    uint64_t self = id_to_word(weft_lane_self());
    weft_id server;
    weft_message *m;
    const long before = killed;

    CHECK_OK(weft_channel_init(&channel, sizeof(int), next_random(random) % 5, channel_items));
    CHECK_OK(weft_lane_spawn_with(&server, serves, &self, .copy = sizeof self));
    CHECK_OK(weft_receive(&m, soon()));
    CHECK_OK(weft_msg_free(m));
    const int kill_server_at = (int)(next_random(random) % (unsigned)(2 * kills));
    int server_lives = 1;
    while (killed - before < kills) {
        place *p = &places[next_random(random) % VICTIMS];
        if (!p->taken)
            settle_in(p, random);
        else
            kill_one(p, random);
        if (next_random(random) % 3 == 0)
            pause_a_little(random);
        while (hear(WEFT_NOW))
            ;
        if (server_lives && killed - before >= kill_server_at) {
            server_lives = 0;
            CHECK_OK(weft_kill(server));
            CHECK_OK(weft_lane_join(server, NULL, soon()));
        }
    }
    end_all();
    if (server_lives) {
        CHECK_OK(weft_kill(server));
        CHECK_OK(weft_lane_join(server, NULL, soon()));
    }
}

static int kills_wanted;

static int storm(int argc, char **argv)
{
    uint64_t random = seed, rounds = 0;

    (void)argc, (void)argv;
    rt = weft_current();
    put(&hunt_over, 0);
    one_round(&random, 1); /* what is made once is made now */
    const int descriptors = open_descriptors();
    pthread_t t = thread_of(hunter, NULL);
    while (test_again(rounds, (uint64_t)(kills_wanted + PER_ROUND - 1) / PER_ROUND)) {
        one_round(&random, PER_ROUND);
        rounds++;
    }
    put(&hunt_over, 1);
    pthread_join(t, NULL);
    nothing_left(descriptors);
    return 0;
}

int main(int argc, char **argv)
{
    static spy s;
    weft_options opt = {.workers = 3, .env = spy_open(&s), .blocked_ns = -1, .stack_size = 64 << 10};

    kills_wanted = argc > 1 ? atoi(argv[1]) : test_rounds(TEST_SANITIZED ? 600 : 3600);
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20240229;
    opt.port_config.buffer_count = 64;
    CHECK_OK(run_main_with(storm, &opt));
    spy_close(&s);
    printf("%ld killed, %ld ends heard of; %d accepted, %d exchanged, %d children, %d locked, %d cleaned up\n", killed, heard_of, accepted,
           exchanged, born, locked, cleaned);
    return 0;
}
