/* The explorer's order of coming, where it is promised: of two that exclude each other, one that stood in line before
 * the other called goes first. Who has called but perhaps not queued yet may be passed. */
#include "sim/sync/explore.h"

enum { FAIR_MUTEX, SEMAPHORE, RWLOCK, KINDS };

static int kind;
static weft_mutex m;
static weft_semaphore s;
static weft_rwlock rw;
static uint32_t now;
static weft__fiber *fiber[LANES];
static struct place {
    uint32_t began, queued, got; /* ticks; queued 0: it was not seen to stand in line before the lock was let go */
    int shares;                  /* with others that do: a reader, or one unit of two */
} place[LANES];

static uint32_t tick(void) { return weft__add_acq_rel(&now, 1u, "test.tick") + 1; }

static int takes(int shares, weft_read_hold *h, int64_t deadline)
{
    if (kind == FAIR_MUTEX)
        return weft_mutex_lock(&m, deadline);
    if (kind == SEMAPHORE)
        return weft_semaphore_acquire(&s, shares ? 1 : 2, deadline);
    return shares ? weft_rwlock_read(&rw, h, deadline) : weft_rwlock_write(&rw, deadline);
}

static int gives(int shares, weft_read_hold *h)
{
    if (kind == FAIR_MUTEX)
        return weft_mutex_unlock(&m);
    if (kind == SEMAPHORE)
        return weft_semaphore_release(&s, shares ? 1 : 2);
    return shares ? weft_rwlock_unread(h) : weft_rwlock_unwrite(&rw);
}

static int comes(void *arg)
{
    const intptr_t me = (intptr_t)arg;
    weft_read_hold h = {{0}};

    place[me].began = tick();
    fiber[me] = weft__fiber_self();
    CHECK_OK(takes(place[me].shares, &h, WEFT_NEVER));
    place[me].got = tick();
    sometimes_yield();
    return gives(place[me].shares, &h);
}

/* Stands in line for a while and leaves it. */
static int is_impatient(void *arg)
{
    const int shares = any(2) == 0;
    weft_read_hold h = {{0}};
    const int r = takes(shares, &h, weft_after((int64_t)any(30) * WEFT_MICROSECOND));

    (void)arg;
    CHECK(r == 0 || r == -ETIMEDOUT);
    return r == 0 ? gives(shares, &h) : 0;
}

static void await_queued(int i)
{
    while (!fiber[i] || fiber[i]->waiting != WEFT__WAIT_OBJECT)
        CHECK_OK(weft_yield());
    place[i].queued = tick();
}

static void let_go(void)
{
    weft_read_hold none;

    if (kind != SEMAPHORE) {
        CHECK_OK(gives(0, &none));
        return;
    }
    for (int i = 0; i < 2; i++) { /* one unit is not enough for all */
        CHECK_OK(weft_semaphore_release(&s, 1));
        sometimes_yield();
    }
}

void with_order(void)
{
    const int sure = 1 + (int)any(LANES);
    weft_id l[LANES], passer = WEFT_NOID;
    weft_read_hold none;

    kind = (int)any(KINDS);
    now = 0;
    memset(place, 0, sizeof place);
    memset(fiber, 0, sizeof fiber);
    CHECK_OK(weft_mutex_init(&m, WEFT_MUTEX_FAIR, NULL));
    CHECK_OK(weft_semaphore_init(&s, 2));
    CHECK_OK(weft_rwlock_init(&rw, NULL));
    CHECK_OK(takes(0, &none, WEFT_NEVER));
    if (any(2))
        CHECK_OK(weft_lane_spawn(&passer, is_impatient, NULL));
    for (intptr_t i = 0; i < LANES; i++) {
        place[i].shares = kind != FAIR_MUTEX && any(2);
        CHECK_OK(weft_lane_spawn(&l[i], comes, (void *)i));
        if (i < sure)
            await_queued((int)i);
    }
    let_go();
    for (int i = 0; i < LANES; i++)
        ended(l[i]);
    if (passer.gen)
        ended(passer);
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            if (place[i].queued && place[i].queued < place[j].began && !(place[i].shares && place[j].shares))
                CHECK(place[i].got < place[j].got);
}

/* ---- a condition wakes the one that waits longest ---- */

static weft_cond c;
static uint32_t asleep, signals;

static int sleeps(void *arg)
{
    (void)arg;
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    const uint32_t mine = ++asleep; /* in line, for all who have the mutex after us */
    CHECK_OK(weft_cond_wait(&c, &m, WEFT_NEVER));
    CHECK(mine <= signals);
    return weft_mutex_unlock(&m);
}

static int wakes(void *arg)
{
    (void)arg;
    while (signals < LANES) {
        CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
        if (asleep > signals && any(3)) {
            signals++;
            CHECK_EQ(weft_cond_signal(&c), 1);
        }
        CHECK_OK(weft_mutex_unlock(&m));
        CHECK_OK(weft_yield());
    }
    return 0;
}

void with_cond_order(void)
{
    weft_id waker;

    c = (weft_cond){{0}};
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    asleep = signals = 0;
    CHECK_OK(weft_lane_spawn(&waker, wakes, NULL));
    lanes_do(sleeps);
    ended(waker);
}
