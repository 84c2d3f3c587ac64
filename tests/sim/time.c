/* Virtual time and simulated threads: the clock jumps when all wait, deadlines are met to within what calls cost,
 * tokens are not lost, threads end when they end, and what is drawn from the seed is the same for the same seed. */
#include "world.h"

static const weft_env *e;

static int64_t look(void) { return e->now(e->self); }

static int sleeps(void *arg)
{
    weft_parker p = {0};
    const int64_t start = (e = weft_sim_env())->now(NULL);
    const int64_t wall = e->wall(e->self);

    (void)arg;
    CHECK_EQ(e->park(e->self, &p, start + 10 * 3600 * WEFT_SECOND), 0);
    CHECK(look() >= start + 10 * 3600 * WEFT_SECOND);
    CHECK(look() < start + 10 * 3600 * WEFT_SECOND + WEFT_MILLISECOND);
    CHECK(e->wall(e->self) - wall >= 10 * 3600 * WEFT_SECOND);
    CHECK_EQ(e->park(e->self, &p, WEFT_NOW), 0);
    e->unpark(e->self, &p);
    e->unpark(e->self, &p);
    CHECK_EQ(e->park(e->self, &p, WEFT_NEVER), 1);
    CHECK_EQ(e->park(e->self, &p, look() + 5), 0);
    return 0;
}

/* A loop that watches the clock ends. */
static int watches(void *arg)
{
    const int64_t end = (e = weft_sim_env())->now(NULL) + WEFT_MILLISECOND;
    int64_t last = 0, t;

    (void)arg;
    while ((t = look()) < end) {
        CHECK(t > last);
        last = t;
    }
    return 0;
}

/* ---- threads ---- */

enum { THREADS = 5, TURNS = 50 };

static weft_parker parkers[THREADS];
static unsigned turns, order[THREADS * TURNS];

static void relay(void *arg)
{
    const unsigned me = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < TURNS; i++) {
        CHECK_EQ(e->park(e->self, &parkers[me], WEFT_NEVER), 1);
        order[turns++] = me;
        e->unpark(e->self, &parkers[(me + 1) % THREADS]);
    }
}

static int threads(void *arg)
{
    weft_thread *t[THREADS];
    static _Alignas(64) char stack[65536];

    (void)arg;
    e = weft_sim_env();
    turns = 0;
    memset(parkers, 0, sizeof parkers);
    for (uintptr_t i = 0; i < THREADS; i++) {
        const weft_thread_options own = {.name = "relay", .stack = i == 3 ? stack : NULL, .stack_size = i == 3 ? sizeof stack : 0};

        CHECK_OK(e->thread_start(e->self, &t[i], &own, relay, (void *)i));
    }
    e->unpark(e->self, &parkers[0]);
    for (int i = 0; i < THREADS; i++)
        e->thread_join(e->self, t[i]);
    CHECK_EQ(turns, THREADS * TURNS);
    for (unsigned i = 0; i < turns; i++)
        CHECK_EQ(order[i], i % THREADS);
    return 0;
}

/* ---- who runs is drawn ---- */

static unsigned letters;
static char word[64];

static void letter(void *arg)
{
    for (int i = 0; i < 4; i++) {
        word[letters++] = (char)(uintptr_t)arg;
        e->relax(e->self);
    }
}

static int mixture(void *arg)
{
    weft_thread *t[4];

    e = weft_sim_env();
    letters = 0;
    memset(word, 0, sizeof word);
    for (uintptr_t i = 0; i < 4; i++)
        CHECK_OK(e->thread_start(e->self, &t[i], NULL, letter, (void *)('a' + i)));
    for (int i = 0; i < 4; i++)
        e->thread_join(e->self, t[i]);
    CHECK_EQ(letters, 16);
    memcpy(arg, word, sizeof word);
    return 0;
}

static void schedules(void)
{
    char first[64], other[64], again[64];
    unsigned different = 0;

    CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = 1}, mixture, first, NULL), 0);
    for (uint64_t seed = 2; seed < 50; seed++) {
        CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed}, mixture, other, NULL), 0);
        CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed}, mixture, again, NULL), 0);
        CHECK(strcmp(other, again) == 0);
        different += strcmp(first, other) != 0;
    }
    CHECK(different > 40);
}

static int randoms(void *arg)
{
    uint64_t *out = arg;
    weft_topology t;

    e = weft_sim_env();
    e->entropy(e->self, out, 32);
    out[4] = weft_sim_random(1000000);
    CHECK_EQ(weft_sim_random(0), 0);
    CHECK_EQ(weft_sim_random(1), 0);
    weft_sim_note("checked", (int64_t)out[4]);
    CHECK_OK(e->topology(e->self, &t));
    CHECK_EQ(t.cpus, 6);
    CHECK_EQ(weft_sim_run(NULL, randoms, out, NULL), -EALREADY);
    return 0;
}

static void draws(void)
{
    uint64_t a[5], b[5], c[5];
    weft_sim_options o = {.seed = 9, .cpus = 6};

    CHECK_EQ(weft_sim_run(&o, randoms, a, NULL), 0);
    CHECK_EQ(weft_sim_run(&o, randoms, b, NULL), 0);
    o.seed = 10;
    CHECK_EQ(weft_sim_run(&o, randoms, c, NULL), 0);
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(memcmp(a, c, sizeof a) != 0);
}

int main(void)
{
    unsetenv("WEFT_SIM_SEED");
    CHECK(weft_sim_env() == NULL && weft_sim_driver() == NULL);
    CHECK_EQ(weft_sim_hash(), 0);
    for (uint64_t seed = 0; seed < 50; seed++) {
        CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed}, sleeps, NULL, NULL), 0);
        CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed}, watches, NULL, NULL), 0);
        CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed}, threads, NULL, NULL), 0);
    }
    schedules();
    draws();
    return 0;
}
