/* Park and unpark: one sticky token, from siblings, other lanes, other workers and foreign threads; and stale ids
 * never touch a later fiber. */
#include "lane/world.h"

static weft_id target;
static int phase, woken, acknowledged;

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static void tokens(void)
{
    const weft_id self = weft_self();

    CHECK_EQ(weft_park(WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_unpark(self));
    CHECK_OK(weft_unpark(self)); /* still one token */
    CHECK_OK(weft_park(WEFT_NOW));
    CHECK_EQ(weft_park(WEFT_NOW), -ETIMEDOUT);
    CHECK_OK(weft_unpark(self));
    CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND))); /* other waits leave it alone */
    CHECK_OK(weft_yield());
    CHECK_OK(weft_park(WEFT_NEVER));
    const int64_t deadline = weft_after(2 * WEFT_MILLISECOND);
    CHECK_EQ(weft_park(deadline), -ETIMEDOUT);
    CHECK(weft_now() >= deadline);
    CHECK_EQ(weft_unpark(WEFT_NOID), -ESRCH);
    CHECK_EQ(weft_unpark(weft_lane_self()), -EINVAL);
    CHECK_EQ(weft_unpark_in(NULL, self), -EINVAL);
    CHECK_OK(weft_unpark_in(weft_current(), self));
    CHECK_OK(weft_park(WEFT_NOW));
}

static void siblings(void)
{
    weft_id f;
    int r;

    CHECK_OK(weft_spawn(&f, parks, NULL));
    CHECK_OK(weft_unpark(f)); /* before it has run at all */
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    CHECK_OK(weft_spawn(&f, parks, NULL));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_unpark(f)); /* woken, and a token beside */
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
}

/* The id of an ended fiber, whose record serves another now. */
static void stale(void)
{
    weft_id old[50], f;
    int r;

    for (int i = 0; i < 50; i++) {
        CHECK_OK(weft_spawn(&old[i], parks, NULL));
        CHECK_OK(weft_unpark(old[i]));
        CHECK_OK(weft_join(old[i], NULL, WEFT_NEVER));
    }
    CHECK_OK(weft_spawn(&f, parks, NULL));
    CHECK_OK(weft_yield());
    for (int i = 0; i < 50; i++) {
        CHECK(!weft_id_equal(f, old[i]));
        CHECK_EQ(weft_unpark(old[i]), -ESRCH);
        CHECK_EQ(weft_unpark_in(weft_current(), old[i]), -ESRCH);
        CHECK_EQ(weft_cancel(old[i]), -ESRCH);
        CHECK_EQ(weft_cancel_in(weft_current(), old[i]), -ESRCH);
    }
    CHECK_EQ(weft_join(f, &r, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
}

/* ---- from everywhere ---- */

enum { PINGS = 3000 };
static int rounds; /* of them that are made */

static int counts_wakes(void *arg)
{
    (void)arg;
    target = weft_self();
    put(&phase, 1);
    for (int i = 0; i < rounds; i++) { /* by its own count: the last ping is announced before it is sent */
        CHECK_OK(weft_park(WEFT_NEVER)); /* a lost one hangs */
        bump(&acknowledged);
    }
    return 0;
}

/* Each ping is answered before the next: no token covers for another. */
static int pings(void *arg)
{
    (void)arg;
    while (!get(&phase))
        CHECK_OK(weft_yield());
    for (int i = 0; i < rounds; i++) {
        const int before = get(&acknowledged);
        bump(&woken);
        CHECK_OK(weft_unpark(target));
        while (get(&acknowledged) == before)
            CHECK_OK(weft_yield());
    }
    return 0;
}

static void other_lanes(void)
{
    weft_id a, b;
    int r;

    put(&phase, 0);
    put(&woken, 0);
    put(&acknowledged, 0);
    CHECK_OK(weft_lane_spawn(&a, counts_wakes, NULL));
    CHECK_OK(weft_lane_spawn(&b, pings, NULL));
    CHECK_OK(weft_lane_join(a, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    CHECK_OK(weft_lane_join(b, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
}

static void *pinger(void *arg)
{
    while (!get(&phase))
        sched_yield();
    for (int i = 0; i < rounds; i++) {
        const int before = get(&acknowledged);
        bump(&woken);
        CHECK_OK(weft_unpark_in(arg, target));
        while (get(&acknowledged) == before)
            sched_yield();
    }
    return NULL;
}

static void foreign_thread(void)
{
    weft_id a;
    int r;

    put(&phase, 0);
    put(&woken, 0);
    put(&acknowledged, 0);
    const pthread_t t = thread_of(pinger, weft_current());
    CHECK_OK(weft_lane_spawn(&a, counts_wakes, NULL));
    CHECK_OK(weft_lane_join(a, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    pthread_join(t, NULL);
}

/* Threads throw stale and fresh ids at records that are used again and again: only the right fiber ever wakes. */
enum { LIVES = 4000 };
static uint64_t ids[LIVES];
static int lives, storm_over;

static void *storm(void *arg)
{
    uint64_t state = 3;

    while (!get(&storm_over)) {
        const int n = get(&lives);
        if (n < 2)
            continue;
        /* Never the last: it is alive. */
        const weft_id id = word_to_id(__atomic_load_n(&ids[next_random(&state) % (uint32_t)(n - 1)], __ATOMIC_ACQUIRE));
        const int r = weft_unpark_in(arg, id);
        CHECK(r == 0 || r == -ESRCH);
    }
    return NULL;
}

static int parks_briefly(void *arg)
{
    (void)arg;
    __atomic_store_n(&ids[lives], id_to_word(weft_self()), __ATOMIC_RELEASE);
    put(&lives, lives + 1);
    /* Its id is published last, so nobody unparks it: waking with 0 would be somebody else's. */
    return weft_park(weft_after(20 * WEFT_MICROSECOND)) == -ETIMEDOUT ? 0 : 1;
}

static int reuses_records(void *arg)
{
    const int wanted = test_rounds(LIVES);
    weft_id f;
    int r;

    (void)arg;
    while (lives < wanted) {
        CHECK_OK(weft_spawn(&f, parks_briefly, NULL));
        CHECK_OK(weft_join(f, &r, WEFT_NEVER));
        CHECK_EQ(r, 0);
    }
    return 0;
}

static void stale_storm(void)
{
    weft_id a;
    int r;

    const pthread_t t = thread_of(storm, weft_current());
    CHECK_OK(weft_lane_spawn(&a, reuses_records, NULL));
    CHECK_OK(weft_lane_join(a, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    put(&storm_over, 1);
    pthread_join(t, NULL);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    rounds = test_rounds(PINGS);
    tokens();
    siblings();
    stale();
    other_lanes();
    foreign_thread();
    stale_storm();
    return 0;
}

int main(void)
{
    _Static_assert(sizeof(weft_id) == sizeof(uint64_t), "ids are read in one piece here");
    run_clean(run, 2);
    return 0;
}
