/* The timer wheel against a plain array: random arming, cancelling and advancing, by seed. A timer never fires early
 * and at most one grain late; a million may be armed; arming and cancelling touch a bounded number of others,
 * whatever the number of timers. */
#include "base/check.h"
#include "sched/wheel.h"
#include "test.h"

enum { TIMERS = 400, STEPS = 60000, MILLION = 1000000 };

typedef struct model {
    weft__timer timer;
    int armed;
    int64_t deadline, armed_at;
} model;

static model models[TIMERS];
static weft__wheel wheel;
static int64_t now;
static uint64_t seed_state;
static unsigned fired;
static int reaction; /* what a firing timer does to others */

static uint32_t rnd(void)
{
    seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed_state >> 33);
}

/* Distances from nothing to years, each scale equally often. */
static int64_t distance(void)
{
    const int scale = (int)(rnd() % 55);
    return (int64_t)(((uint64_t)rnd() << 32 | rnd()) & (((uint64_t)1 << scale) - 1));
}

static void arm(model *m, int64_t deadline)
{
    m->armed = 1;
    m->deadline = deadline;
    m->armed_at = now;
    weft__wheel_arm(&wheel, &m->timer, deadline);
}

static void cancel(model *m)
{
    m->armed = 0;
    weft__wheel_cancel(&wheel, &m->timer);
    CHECK(!weft__timer_armed(&m->timer));
}

static void fire(weft__timer *t)
{
    model *m = weft__container(t, model, timer);

    CHECK(m->armed);
    CHECK(!weft__timer_armed(t));
    CHECK(m->deadline <= now); /* never early */
    m->armed = 0;
    fired++;
    model *other = &models[rnd() % TIMERS];
    if (reaction == 1 && other->armed) /* perhaps one that is due as well */
        cancel(other);
    if (reaction == 2)
        arm(m, now + 1 + distance() % (100 * WEFT__WHEEL_GRAIN));
}

/* Who is armed may be at most a grain beyond its time. */
static void check_lateness(void)
{
    uint64_t armed = 0;
    int64_t nearest = WEFT_NEVER;

    for (int i = 0; i < TIMERS; i++) {
        if (!models[i].armed)
            continue;
        armed++;
        const int64_t from = models[i].deadline > models[i].armed_at ? models[i].deadline : models[i].armed_at;
        CHECK(now < from + WEFT__WHEEL_GRAIN);
        if (models[i].deadline < nearest)
            nearest = models[i].deadline;
    }
    CHECK_EQ(wheel.armed, armed);
    const int64_t next = weft__wheel_next(&wheel);
    if (!armed)
        CHECK_EQ(next, WEFT_NEVER);
    else if (nearest >= now + WEFT__WHEEL_GRAIN)
        CHECK(next <= nearest + WEFT__WHEEL_GRAIN); /* whoever sleeps until then is not late */
}

static void against_model(uint64_t seed, int64_t start)
{
    seed_state = seed;
    now = start;
    memset(models, 0, sizeof models);
    weft__wheel_init(&wheel, now);
    for (int i = 0; i < TIMERS; i++)
        models[i].timer.fire = fire;
    for (int step = 0; step < STEPS; step++) {
        model *m = &models[rnd() % TIMERS];
        const uint32_t what = rnd() % 8;

        reaction = (int)(rnd() % 3);
        if (what < 4) {
            if (m->armed)
                cancel(m);
            arm(m, rnd() % 16 ? now + distance() : now - (int64_t)(rnd() % 1000000));
        } else if (what < 6) {
            cancel(m); /* armed or not */
        } else {
            const int64_t next = weft__wheel_next(&wheel);
            now += rnd() % 4 || next == WEFT_NEVER ? distance() % (1 << 26) : next > now ? next - now : 0;
            CHECK(weft__wheel_advance(&wheel, now) <= fired);
            check_lateness();
        }
    }
    reaction = 0;
    for (int i = 0; i < TIMERS; i++)
        cancel(&models[i]);
    CHECK_EQ(wheel.armed, 0);
    for (int l = 0; l < WEFT__WHEEL_LEVELS; l++)
        CHECK_EQ(wheel.filled[l], 0);
}

/* Sleeping exactly until weft__wheel_next, again and again, must bring every timer, in order. */
static void by_next(void)
{
    seed_state = 99;
    now = 123456789;
    reaction = 0;
    fired = 0;
    memset(models, 0, sizeof models);
    weft__wheel_init(&wheel, now);
    for (int i = 0; i < TIMERS; i++) {
        models[i].timer.fire = fire;
        arm(&models[i], now + 1 + distance() % ((int64_t)1 << 40));
    }
    unsigned rounds = 0;
    for (int64_t next; (next = weft__wheel_next(&wheel)) != WEFT_NEVER; rounds++) {
        CHECK(next > now);
        now = next;
        weft__wheel_advance(&wheel, now);
        check_lateness();
    }
    CHECK_EQ(fired, TIMERS);
    CHECK(rounds <= TIMERS * WEFT__WHEEL_LEVELS);
}

/* A few timers far off cost a wake-up each, and none on the way down the levels. */
static void few_far(void)
{
    unsigned rounds = 0;

    now = 987654321;
    reaction = 0;
    fired = 0;
    memset(models, 0, sizeof models);
    weft__wheel_init(&wheel, now);
    for (int i = 0; i < 4; i++) {
        models[i].timer.fire = fire;
        arm(&models[i], now + 30 * WEFT_SECOND + i * 7 * WEFT_MILLISECOND + 12345);
    }
    for (int64_t next; (next = weft__wheel_next(&wheel)) != WEFT_NEVER; rounds++) {
        now = next;
        weft__wheel_advance(&wheel, now);
        check_lateness();
    }
    CHECK_EQ(fired, 4);
    CHECK_EQ(rounds, 4);
}

/* How many words of memory differ after an operation: a bound that does not depend on the number of timers. */
static weft__timer *million;
static uint64_t million_fired;

static void count(weft__timer *t)
{
    (void)t;
    million_fired++;
}

static unsigned words_changed(const weft__wheel *a, const weft__wheel *b)
{
    const uint64_t *x = (const void *)a, *y = (const void *)b;
    unsigned n = 0;

    for (size_t i = 0; i < sizeof *a / sizeof *x; i++)
        n += x[i] != y[i];
    return n;
}

static void a_million(void)
{
    static weft__wheel before;

    seed_state = 5;
    now = 1;
    million = calloc(MILLION, sizeof *million);
    CHECK(million != NULL);
    weft__wheel_init(&wheel, now);
    for (int i = 0; i < MILLION; i++) {
        million[i].fire = count;
        const int64_t deadline = now + distance() % (10 * WEFT_SECOND);
        if (i % 65536 == 0)
            before = wheel;
        weft__wheel_arm(&wheel, &million[i], deadline);
        if (i % 65536 == 0)
            CHECK(words_changed(&before, &wheel) <= 5); /* count, first, map, a slot's head */
    }
    CHECK_EQ(wheel.armed, MILLION);
    for (int i = 0; i < MILLION; i += 2) {
        if (i % 65536 == 0)
            before = wheel;
        weft__wheel_cancel(&wheel, &million[i]);
        if (i % 65536 == 0)
            CHECK(words_changed(&before, &wheel) <= 4);
    }
    CHECK_EQ(wheel.armed, MILLION / 2);
    now = 11 * WEFT_SECOND;
    CHECK_EQ(weft__wheel_advance(&wheel, now), MILLION / 2);
    CHECK_EQ(million_fired, MILLION / 2);
    CHECK_EQ(wheel.armed, 0);
    free(million);
}

/* For ever, and beyond what the wheel spans. */
static void far(void)
{
    weft__timer t = {.fire = count};

    million_fired = 0;
    now = 1000;
    weft__wheel_init(&wheel, now);
    weft__wheel_arm(&wheel, &t, INT64_MAX);
    CHECK_EQ(weft__wheel_advance(&wheel, 365 * 86400 * WEFT_SECOND), 0);
    CHECK(weft__timer_armed(&t));
    weft__wheel_cancel(&wheel, &t);
    weft__wheel_cancel(&wheel, &t);
    CHECK_EQ(million_fired, 0);
    CHECK_EQ(weft__wheel_next(&wheel), WEFT_NEVER);
}

int main(void)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        against_model(seed, (int64_t)(seed % 3) * 1000000007 * 1000);
    by_next();
    few_far();
    a_million();
    far();
    return 0;
}
