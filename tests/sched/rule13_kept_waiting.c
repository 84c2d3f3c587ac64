/* Who only waits for a processor is not told as blocked (DESIGN rule 13): what the monitor makes of what env says. */
#include "lane/world.h"
#include "sched/sched.h"

static int keep_spinning;
static weft_runtime *rt;

/* What env says of every thread. */
static struct {
    int blocked;       /* 1, or an error */
    int64_t each_look; /* what it has run from one look to the next */
    int64_t ran_ns;
} say;

static int says(void *self, uintptr_t tag, int64_t *ran_ns)
{
    (void)self;
    CHECK(tag != 0);
    *ran_ns = __atomic_add_fetch(&say.ran_ns, __atomic_load_n(&say.each_look, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
    return get(&say.blocked);
}

static int spins(void *arg)
{
    (void)arg;
    while (get(&keep_spinning))
        __asm__ volatile("" ::: "memory");
    return 0;
}

static uint64_t reports(void)
{
    weft_stats stats;

    CHECK_OK(weft_runtime_stats(rt, &stats));
    return stats.blocked_reports;
}

static void wait_for_looks(spy *s, int n)
{
    const long before = spy_get(&s->watched_parks);

    while (spy_get(&s->watched_parks) < before + n)
        sched_yield();
}

static void told_of_one_that(spy *s, int blocked, int64_t each_look)
{
    put(&keep_spinning, 1);
    const uint64_t before = reports();
    CHECK_OK(weft_lane_spawn_in(rt, NULL, spins, NULL, NULL));
    wait_for_looks(s, 20); /* of some five periods that make a report */
    CHECK_EQ(reports(), before);
    __atomic_store_n(&say.each_look, each_look, __ATOMIC_SEQ_CST);
    put(&say.blocked, blocked);
    while (reports() == before)
        sched_yield();
    put(&say.blocked, 0);
    __atomic_store_n(&say.each_look, 0, __ATOMIC_SEQ_CST);
    wait_for_looks(s, 3); /* none is under way any more that has heard something else */
    put(&keep_spinning, 0);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
}

int main(void)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = 5 * WEFT_MILLISECOND};

    s.env.ran = says;
    CHECK_OK(weft_start(&rt, &opt));
    __atomic_store_n(&s.watched_parker, (void *)&rt->monitor.parker, __ATOMIC_SEQ_CST);
    told_of_one_that(&s, 1, 0);
    told_of_one_that(&s, -ENOTSUP, 0);
    told_of_one_that(&s, 0, opt.blocked_ns / 4);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
    return 0;
}
