/* Who always has something to do lets others by now and then, unless they take nearly all of the time. */
#include "lane/world.h"
#include "sched/sched.h"

static int64_t clock_ns, takes_ns;
static int ways;

static int64_t made_up_now(void *self)
{
    (void)self;
    return clock_ns;
}

static void made_up_way(void *self)
{
    (void)self;
    ways++;
    clock_ns += takes_ns;
}

/* So often another stretch of work has been done. Returns how often that gave way. */
static int work(weft__worker *w, int stretches)
{
    const int before = ways;
    for (int i = 0; i < stretches; i++) {
        clock_ns += WEFT__UNBROKEN;
        w->now_ns = clock_ns;
        w->unbroken_ns = WEFT__UNBROKEN;
        weft__give_way(w);
        CHECK_EQ(w->unbroken_ns, 0);
        CHECK_EQ(w->now_ns, clock_ns);
    }
    return ways - before;
}

/* Not where calls to the clock are bound directly: there is no time to make up. */
static void others_are_asked(weft_runtime *rt, weft_env *env, weft__worker *w)
{
    rt->env = env;
    rt->workers = 2;
    w->rt = rt;
    env->now = made_up_now;
    clock_ns = 3600 * WEFT_SECOND; /* nobody was asked for an hour */

    CHECK_EQ(work(w, 10), 0); /* there is no way to */
    env->give_way = made_up_way;
    rt->workers = 1;
    CHECK_EQ(work(w, 10), 0); /* there is nobody to share with */
    rt->workers = 2;
    CHECK_EQ(work(w, 1000), 1000); /* nobody waits */

    takes_ns = WEFT_MILLISECOND / 4; /* five sixths of the time */
    CHECK_EQ(work(w, 1000), 1000);

    /* Somebody computes: an hour without counts for nothing, and five times of 4 ms are too much. */
    takes_ns = 0;
    CHECK_EQ(work(w, 1000), 1000);
    takes_ns = 4 * WEFT_MILLISECOND;
    const int asked = work(w, 1000);
    CHECK(asked >= 5 && asked <= 10);
    const int64_t later = w->way_since_ns - clock_ns;
    CHECK(later > WEFT_SECOND && later < 2 * WEFT_SECOND);
    CHECK_EQ(work(w, (int)(later / WEFT__UNBROKEN) - 1), 0);

    /* And is gone by then. */
    takes_ns = 0;
    CHECK_EQ(work(w, 1000), 1000);
}

static long really;

static void noted_way(void *self)
{
    const spy *s = self;
    CHECK(weft__worker_self()->running == NULL); /* between two tasks */
    spy_add(&really, 1);
    s->base->give_way(s->base->self);
}

static int busy(void *arg)
{
    (void)arg;
    while (spy_get(&really) < 10)
        weft_yield();
    return 0;
}

/* A hang, if not. */
static void a_busy_worker_gives_way(unsigned workers)
{
    static spy s;
    weft_options opt = {.workers = workers, .env = spy_open(&s), .blocked_ns = -1};
    weft_runtime *rt;
    s.env.give_way = noted_way;
    really = 0;
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, NULL, busy, NULL, NULL));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

int main(void)
{
#ifndef WEFT_BIND_DIRECT
    static weft_runtime rt;
    static weft_env env;
    static weft__worker w;
    others_are_asked(&rt, &env, &w);
#else
    (void)others_are_asked;
#endif
    a_busy_worker_gives_way(2);
    a_busy_worker_gives_way(3);
    return 0;
}
