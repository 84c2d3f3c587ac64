/* Lanes that come and go on several workers, and threads beside them, use whatever ids they have seen: their own,
 * others', stale ones, given ones, made-up ones. Each answer is one that DESIGN rule 6 allows, an id never resolves to
 * another object than its own, and nothing is left. */
#include "lane/lives.h"
#include "lane/world.h"

enum { BOARD = 128, LANES = 6, STEPS = 250, OWN = 24, THREADS = 2 };

static weft_runtime *rt;
static uint64_t board[BOARD]; /* ids that were seen */
static uint64_t next_tag;
static int stop_threads;

static weft_id of_bits(uint64_t bits)
{
    weft_id id;
    memcpy(&id, &bits, sizeof id);
    return id;
}

static void show(weft_id id, uint64_t *state)
{
    uint64_t bits;
    memcpy(&bits, &id, sizeof bits);
    __atomic_store_n(&board[next_random(state) % BOARD], bits, __ATOMIC_RELEASE);
}

static weft_id pick(uint64_t *state) { return of_bits(__atomic_load_n(&board[next_random(state) % BOARD], __ATOMIC_ACQUIRE)); }

/* One that was seen, or one like it, or no id at all. */
static weft_id pick_any(uint64_t *state)
{
    weft_id id = pick(state);

    switch (next_random(state) % 8) {
    case 0:
        id.key ^= 1u << next_random(state) % 32;
        return id;
    case 1:
        id.ns ^= (uint16_t)(1u << next_random(state) % 16);
        return id;
    case 2:
        id.gen ^= (uint16_t)(1u << next_random(state) % 16);
        return id;
    case 3:
        return (weft_id){next_random(state), (uint16_t)next_random(state), (uint16_t)next_random(state)};
    default:
        return id;
    }
}

/* 0, or an error that an id alone may be the cause of. */
static int allowed(int r, const char *call)
{
    if (r < 0 && r != -EBADF && r != -EPERM && r != -ESRCH && r != -EINVAL && r != -ECANCELED && r != -EBUSY && r != -EDEADLK &&
        r != -EAGAIN && r != -ETIMEDOUT && r != -ESHUTDOWN)
        TEST_FAIL("%s: %s (%d)", call, weft_strerror(r), r);
    return r;
}

#define ALLOWED(call) allowed((call), #call)

/* ---- a lane ---- */

/* A resource that this lane opened. A timer is known by the time that it is set to, a listener by its port. */
typedef struct thing {
    weft_id id;
    int64_t tag;
    int listener;
} thing;

typedef struct lane {
    uint64_t state;
    thing own[OWN];
    unsigned count;
} lane;

static thing *own_of(lane *l, weft_id id)
{
    for (unsigned i = 0; i < l->count; i++)
        if (weft_id_equal(l->own[i].id, id))
            return &l->own[i];
    return NULL;
}

static void forget(lane *l, thing *t) { *t = l->own[--l->count]; }

static void is_what_it_was(const thing *t)
{
    weft_id_info i;

    CHECK_OK(weft_id_inspect(t->id, &i));
    CHECK(weft_id_equal(i.owner, weft_lane_self()));
    CHECK_EQ(t->listener ? i.local.port : i.next_ns, t->tag);
}

static void open_one(lane *l)
{
    thing *t = &l->own[l->count];
    weft_addr a;

    if (l->count == OWN)
        return;
    t->listener = next_random(&l->state) % 8 == 0;
    if (t->listener) {
        CHECK_OK(weft_listen(&t->id, test_address(), NULL));
        CHECK_OK(weft_local_addr(t->id, &a));
        t->tag = a.port;
    } else {
        CHECK_OK(weft_timer_open(&t->id));
        t->tag = (int64_t)(__atomic_add_fetch(&next_tag, 1, __ATOMIC_RELAXED) + ((uint64_t)1 << 61));
        CHECK_OK(weft_timer_set(t->id, t->tag, 0));
    }
    l->count++;
    show(t->id, &l->state);
}

/* Closing whatever it is ends nothing but what is this lane's: its own, or a gift. */
static void close_any(lane *l)
{
    const weft_id id = pick_any(&l->state);
    weft_id_info i;
    const int ours = weft_id_inspect(id, &i) == 0 && i.kind >= WEFT_ID_SOCKET && i.kind <= WEFT_ID_TIMER;
    thing *t = own_of(l, id);
    const int r = ALLOWED(weft_close(id));

    CHECK_EQ(r == 0, ours);
    CHECK(!t || r == 0);
    if (t)
        forget(l, t);
    CHECK(ALLOWED(weft_close(id)) < 0); /* never twice */
}

static void give_any(lane *l)
{
    const weft_id id = pick_any(&l->state), to = pick(&l->state);
    weft_id there = WEFT_NOID;
    thing *t = own_of(l, id);
    const int r = ALLOWED(weft_give(id, to, &there, WEFT_NOW));

    if (r < 0) {
        CHECK(weft_id_equal(there, WEFT_NOID));
        if (t)
            is_what_it_was(t);
        return;
    }
    CHECK(there.gen && !weft_id_equal(there, id));
    CHECK_EQ(weft_close(id), -EBADF);
    if (t)
        forget(l, t);
    show(there, &l->state);
}

static void dup_any(lane *l)
{
    const weft_id id = pick_any(&l->state);
    thing *t = own_of(l, id);
    weft_id more;
    const int r = ALLOWED(weft_dup(id, &more));

    CHECK(!t || r == (t->listener ? 0 : -EINVAL));
    if (r < 0)
        return;
    if (t) {
        const thing twin = {more, t->tag, 1};
        is_what_it_was(&twin);
    }
    CHECK_OK(weft_close(more));
    if (t)
        is_what_it_was(t);
}

static int parks_a_little(void *arg)
{
    (void)arg;
    ALLOWED(weft_park(weft_after(WEFT_MILLISECOND / 4)));
    return 0;
}

static void spawn_one(lane *l)
{
    weft_id f;

    if (weft_spawn(&f, parks_a_little, NULL) < 0)
        return; /* cancelled */
    show(f, &l->state);
    if (next_random(&l->state) % 2)
        ALLOWED(weft_join(f, NULL, WEFT_NEVER));
    else
        ALLOWED(weft_detach(f));
}

static void ask_any(lane *l)
{
    const weft_id id = pick_any(&l->state);
    char text[200];
    weft_id alias;

    switch (next_random(&l->state) % 10) {
    case 0:
        ALLOWED(weft_unpark(id));
        break;
    case 1:
        ALLOWED(weft_join(id, NULL, WEFT_NOW));
        break;
    case 2:
        ALLOWED(weft_lane_join(id, NULL, WEFT_NOW));
        break;
    case 3:
        ALLOWED(weft_send(id, "x", 1, NULL));
        break;
    case 4:
        ALLOWED(weft_id_describe(id, text, sizeof text));
        break;
    case 5:
        ALLOWED(weft_alias_close(id));
        break;
    case 6:
        ALLOWED(weft_demonitor(id, 1));
        break;
    case 7:
        if (next_random(&l->state) % 8 == 0) /* its own, perhaps */
            ALLOWED(next_random(&l->state) % 2 ? weft_kill(id) : weft_cancel(id));
        break;
    case 8:
        if (weft_alias_open(&alias, 0) == 0)
            show(alias, &l->state);
        break;
    default:
        if (weft_monitor(pick(&l->state), &alias) == 0)
            show(alias, &l->state);
    }
}

/* What has come in: the ends that it watched, and what others sent. */
static void empty_mailbox(void)
{
    weft_message *m;

    while (weft_receive(&m, WEFT_NOW) == 0)
        CHECK_OK(weft_msg_free(m));
}

static int comes_and_goes(void *arg)
{
    lane l = {.state = *(uint64_t *)arg};
    weft_id ids[OWN];

    show(weft_lane_self(), &l.state);
    show(weft_self(), &l.state);
    for (int i = 0; i < STEPS && weft_canceled() == 0; i++) {
        switch (next_random(&l.state) % 8) {
        case 0:
        case 1:
            open_one(&l);
            break;
        case 2:
            close_any(&l);
            break;
        case 3:
            give_any(&l);
            break;
        case 4:
            dup_any(&l);
            break;
        case 5:
            spawn_one(&l);
            break;
        default:
            ask_any(&l);
        }
        for (unsigned k = 0; k < l.count; k++)
            is_what_it_was(&l.own[k]);
        if (i % 16 == 0) {
            empty_mailbox();
            CHECK_OK(weft_id_list(ids, OWN));
            CHECK_OK(weft_yield());
        }
    }
    return next_random(&l.state) % 4 ? 0 : -EPROTO; /* and leaves open what is open */
}

/* ---- a thread ---- */

static void *meddler(void *arg)
{
    uint64_t state = (uint64_t)(uintptr_t)arg;

    while (!get(&stop_threads)) {
        const weft_id id = pick(&state);
        const uint32_t what = next_random(&state) % 256;
        if (what == 0)
            ALLOWED(weft_kill_in(rt, id));
        else if (what < 4)
            ALLOWED(weft_cancel_in(rt, id));
        else if (what < 64)
            ALLOWED(weft_send_in(rt, id, "y", 1, NULL));
        else
            ALLOWED(weft_unpark_in(rt, pick_any(&state)));
        CHECK_EQ(weft_close(id), -EPERM); /* fibers' calls */
        if (what % 8 == 0)
            sched_yield();
    }
    return NULL;
}

static int everybody_tries_everything(void *arg)
{
    weft_id lanes[LANES];
    pthread_t t[THREADS];

    (void)arg;
    rt = weft_current();
    memset(board, 0, sizeof board);
    put(&stop_threads, 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        t[i] = thread_of(meddler, (void *)(i + 1)); /* NOLINT */
    uint64_t seed = 1;
    for (int round = 0; round < test_rounds(16); round++) {
        for (int i = 0; i < LANES; i++, seed++)
            CHECK_OK(weft_lane_spawn_with(&lanes[i], comes_and_goes, &seed, .copy = sizeof seed));
        for (int i = 0; i < LANES; i++)
            CHECK_OK(weft_lane_join(lanes[i], NULL, SOON));
        for (int i = 0; i < LANES; i++)
            CHECK_EQ(weft_send(lanes[i], "", 1, NULL), -ESRCH);
    }
    put(&stop_threads, 1);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(t[i], NULL), 0);
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {CASE(everybody_tries_everything)};

    return RUN_IN_FEW_LIVES_TOO(cases, argc, argv);
}
