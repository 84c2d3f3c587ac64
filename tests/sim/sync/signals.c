/* The explorer's condition, event, latch, barrier, once and future: nobody who waits is forgotten,
 * nobody goes on too early. */
#include "sim/sync/explore.h"

/* ---- cond ---- */

static weft_mutex m;
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
        sometimes_yield();
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
        const int within = any(2) == 0;
        if (within)
            CHECK(weft_cond_signal(&c) <= 1);
        sometimes_yield();
        CHECK_OK(weft_mutex_unlock(&m));
        if (!within)
            CHECK(weft_cond_signal(&c) <= 1);
    }
    return 0;
}

static int does_either(void *arg) { return (intptr_t)arg == 0 ? produces(arg) : (intptr_t)arg == 1 ? consumes(arg) : 0; }

/* Passes on what it was told: it was not meant. */
static int waits_for_nothing(void *arg)
{
    (void)arg;
    for (;;) {
        int r = weft_mutex_lock(&m, WEFT_NEVER);
        if (r == -EOWNERDEAD)
            r = weft_mutex_consistent(&m);
        CHECK_OK(r);
        r = weft_cond_wait(&c, &m, some_deadline());
        CHECK(r == 0 || r == -ETIMEDOUT);
        if (r == 0)
            CHECK(weft_cond_signal(&c) <= 1);
        CHECK_OK(weft_mutex_unlock(&m));
        CHECK_OK(weft_yield());
    }
}

void with_cond(void)
{
    c = (weft_cond){{0}};
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    items = 0;
    lanes_do_beside(does_either, waits_for_nothing);
    CHECK_EQ(items, 0);
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

/* Passes on what it was let through for. */
static int listens(void *arg)
{
    (void)arg;
    for (;;) {
        const int r = weft_event_wait(&ping, some_deadline());
        CHECK(r == 0 || r == -ETIMEDOUT);
        if (r == 0)
            CHECK(weft_event_set(&ping) <= 1);
        CHECK_OK(weft_yield());
    }
}

void with_event(void)
{
    CHECK_OK(weft_event_init(&ping, WEFT_EVENT_AUTO, 0));
    CHECK_OK(weft_event_init(&pong, WEFT_EVENT_AUTO, 0));
    CHECK_OK(weft_event_init(&gate, WEFT_EVENT_MANUAL, 0));
    lanes_do_beside(plays, listens);
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

void with_latch(void)
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

void with_barrier(void)
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

void with_once(void)
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

static int waits_too(void *arg)
{
    (void)arg;
    for (;;) {
        const int r = weft_future_wait(&future, NULL, some_deadline());
        CHECK(r == 4 || r == -ETIMEDOUT);
        CHECK_OK(weft_yield());
    }
}

void with_future(void)
{
    future = (weft_future){{0}};
    lanes_do_beside(keeps_or_waits, waits_too);
}

/* ---- alarms ---- */

static weft_event bells[EACH][LANES];
static weft_alarm alarms[EACH][LANES];

static int64_t in_a_while(void) { return weft_after((int64_t)any(60) * WEFT_MICROSECOND); }

/* Each rings for the next lane, and waits for what the one before rings for it. */
static int rings_for_the_next(void *arg)
{
    const intptr_t me = (intptr_t)arg, next = (me + 1) % LANES;

    for (int i = 0; i < EACH; i++) {
        weft_alarm *a = &alarms[i][me];
        if (any(2))
            CHECK_OK(weft_alarm_set(a, &bells[i][me], weft_after(WEFT_SECOND)));
        if (any(3) == 0)
            CHECK_OK(weft_alarm_stop(a));
        CHECK_OK(weft_alarm_set(a, &bells[i][next], in_a_while()));
        sometimes_yield();
        if (any(3) == 0 && weft_alarm_when(a) != WEFT_NEVER)
            CHECK_OK(weft_alarm_set(a, &bells[i][next], in_a_while()));
        CHECK_OK(weft_event_wait(&bells[i][me], WEFT_NEVER));
    }
    for (int i = 0; i < EACH; i++) /* its end would silence them */
        CHECK_OK(weft_event_wait(&bells[i][next], WEFT_NEVER));
    return 0;
}

static int rings_and_dies(void *arg)
{
    enum { FEW = 4 };
    weft_alarm *a = weft_calloc(FEW, sizeof *a);
    weft_event *e = weft_calloc(FEW, sizeof *e);

    (void)arg;
    CHECK(a && e);
    for (unsigned n = 0;; n++) {
        CHECK_OK(weft_event_reset(&e[n % FEW]));
        CHECK_OK(weft_alarm_set(&a[n % FEW], &e[n % FEW], in_a_while()));
        if (any(2))
            CHECK_OK(weft_event_wait(&e[n % FEW], WEFT_NEVER));
        CHECK_OK(weft_yield());
    }
}

void with_alarm(void)
{
    memset(bells, 0, sizeof bells);
    memset(alarms, 0, sizeof alarms);
    lanes_do_beside(rings_for_the_next, rings_and_dies);
    for (int i = 0; i < EACH; i++)
        for (int k = 0; k < LANES; k++)
            CHECK_EQ(weft_event_is_set(&bells[i][k]), 1);
}
