/* Committed stack memory is bounded by admission: nobody is let in beyond the bound, what ends makes room, and
 * pre-committed stacks need no bound but their number (DESIGN rule 11). */
#include "lane/world.h"

#define TOUCHED (64u << 10) /* of its stack, by each fiber */

static int ready, ended;

static __attribute__((noinline)) void touch(void)
{
    volatile char deep[TOUCHED];
    for (size_t i = 0; i < sizeof deep; i += 1024)
        deep[i] = 1;
}

static int deep(void *arg)
{
    (void)arg;
    touch();
    bump(&ready);
    int r = weft_park(WEFT_NEVER);
    bump(&ended);
    return r;
}

/* How many were let in before the answer was no. Each touches its stack before the next one asks. */
static int fill(weft_id *f, int max)
{
    int n = 0, r = 0;
    while (n < max && (r = weft_spawn(&f[n], deep, NULL)) == 0) {
        const int before = get(&ready);
        n++;
        while (get(&ready) == before)
            CHECK_OK(weft_yield());
    }
    if (n < max)
        CHECK_EQ(r, -ENOMEM);
    return n;
}

static void release(weft_id *f, int n)
{
    for (int i = 0; i < n; i++) {
        CHECK_OK(weft_unpark(f[i]));
        CHECK_OK(weft_join(f[i], NULL, soon()));
    }
}

/* A mebibyte for fibers that take 64 KiB and a little each: fewer than 16 of them,
 * and more than 8 even if each stack's last pages and the estimate for the next one are counted. */
static int in_a_mebibyte(void *arg)
{
    weft_id f[64], more;
    (void)arg;
    for (int round = 0; round < 3; round++) {
        const int n = fill(f, 64);
        if (n > 16 || n < 8)
            TEST_FAIL("%d fibers of 64 KiB were let into 1 MiB", n);
        CHECK_EQ(weft_spawn_with(&more, deep, NULL, .wait = weft_after(12 * WEFT_MILLISECOND)), -ENOMEM);
        release(f, n);
        CHECK_OK(weft_spawn_with(&more, deep, NULL, .wait = soon())); /* there is room again */
        release(&more, 1);
    }
    return 7;
}

static int waits(void *arg)
{
    weft_id f;
    (void)arg;
    CHECK_OK(weft_spawn_with(&f, deep, NULL, .wait = soon()));
    release(&f, 1);
    return 0;
}

static int waits_for_ever(void *arg)
{
    weft_id f;
    (void)arg;
    return weft_spawn_with(&f, deep, NULL, .wait = WEFT_NEVER);
}

static int waits_for_room(void *arg)
{
    weft_id f[64], w, c;
    int r;
    (void)arg;
    CHECK_OK(weft_spawn(&w, waits, NULL));
    CHECK_OK(weft_spawn(&c, waits_for_ever, NULL));
    const int n = fill(f, 64); /* those two begin to wait, or were let in, meanwhile */
    CHECK_OK(weft_cancel(c));
    release(f, n);
    CHECK_OK(weft_join(w, &r, soon()));
    CHECK_EQ(r, 0);
    CHECK_OK(weft_join(c, &r, soon()));
    CHECK(r == -ECANCELED || r == 0);
    return 7;
}

static int limited(int (*fn)(void *), const weft_limits *limits)
{
    weft_id l;
    int r;
    CHECK_OK(weft_lane_spawn_with(&l, fn, NULL, .limits = limits));
    CHECK_OK(weft_lane_join(l, &r, weft_after(60 * WEFT_SECOND)));
    return r;
}

static int of_a_lane(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_EQ(limited(in_a_mebibyte, &(weft_limits){.stack_bytes = 1 << 20}), 7);
    CHECK_EQ(limited(waits_for_room, &(weft_limits){.stack_bytes = 1 << 20}), 7);
    return 0;
}

static int deep_lane(void *arg)
{
    touch();
    bump(&ready);
    (void)arg;
    return weft_park(WEFT_NEVER);
}

/* Lanes on all workers, and pooled stacks count too: the whole runtime stays in its bound. */
static int of_the_runtime(int argc, char **argv)
{
    weft_id l[256];
    int n = 0, r = 0;
    (void)argc, (void)argv;
    for (int round = 0; round < 3; round++) {
        for (n = 0; n < 256; n++) {
            const int before = get(&ready);
            /* Workers give back what they have pooled when they come to it, and a sample says so a little later. */
            r = weft_lane_spawn_with(&l[n], deep_lane, NULL, .wait = weft_after(n ? 100 * WEFT_MILLISECOND : 20 * WEFT_SECOND));
            if (r < 0)
                break;
            while (get(&ready) == before)
                CHECK_OK(weft_yield());
        }
        CHECK_EQ(r, -ENOMEM);
        if (n > 64 || n < 1) /* how many fewer than 64 is a matter of when pools were emptied and a sample was taken */
            TEST_FAIL("%d lanes of 64 KiB were let into 4 MiB", n);
        for (int i = 0; i < n; i++)
            CHECK_OK(weft_cancel(l[i]));
        for (int i = 0; i < n; i++)
            CHECK_OK(weft_lane_join(l[i], NULL, soon()));
    }
    return 0;
}

/* With pre-committed stacks their number is the limit; the bytes are not asked for. */
static int committed(int argc, char **argv)
{
    weft_id f[64];
    (void)argc, (void)argv;
    CHECK_EQ(fill(f, 7), 7);
    release(f, 7);
    return 0;
}

static int not_supported(int argc, char **argv)
{
    weft_id l;
    (void)argc, (void)argv;
    CHECK_EQ(weft_lane_spawn_with(&l, deep, NULL, .limits = &(weft_limits){.stack_bytes = 1 << 20}), -ENOTSUP);
    return 0;
}

/* ---- a sample that took long ---- */

static spy slow;
static int64_t ahead_ns;
static int samples_wanted;

static int64_t clock_ahead(void *self)
{
    return ((spy *)self)->base->now(((spy *)self)->base->self) + __atomic_load_n(&ahead_ns, __ATOMIC_SEQ_CST);
}

/* The thread is preempted in the middle of one sample, for a while.
 * Ports that wait by the kernel's clock wait so much longer afterwards. */
static size_t resident_slowly(void *self, void *p, size_t bytes)
{
    if (get(&samples_wanted) && __atomic_exchange_n(&samples_wanted, 0, __ATOMIC_SEQ_CST))
        __atomic_add_fetch(&ahead_ns, 150 * WEFT_MILLISECOND, __ATOMIC_SEQ_CST);
    return ((spy *)self)->base->resident(((spy *)self)->base->self, p, bytes);
}

/* It is not taken for the price of a sample: who comes when there is room again does not wait for twenty times that. */
static int after_a_slow_sample(void *arg)
{
    weft_id f[64], more;
    (void)arg;
    const int n = fill(f, 64);
    put(&samples_wanted, 1);
    CHECK_EQ(weft_spawn_with(&more, deep, NULL, .wait = weft_after(200 * WEFT_MILLISECOND)), -ENOMEM);
    CHECK_EQ(get(&samples_wanted), 0);
    release(f, n);
    CHECK_OK(weft_spawn_with(&more, deep, NULL, .wait = weft_after(2 * WEFT_SECOND))); /* twenty times would be three */
    release(&more, 1);
    return 7;
}

static int of_a_slow_lane(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_EQ(limited(after_a_slow_sample, &(weft_limits){.stack_bytes = 1 << 20}), 7);
    return 0;
}

static void preempted(void)
{
    weft_options opt = {.workers = 1, .env = spy_open(&slow), .blocked_ns = -1};
    slow.env.now = clock_ahead;
    slow.env.resident = resident_slowly;
    CHECK_EQ(run_main_with(of_a_slow_lane, &opt), 0);
    spy_close(&slow);
}

int main(void)
{
    static spy s;
    weft_runtime *rt;
    weft_options opt;
#ifdef WEFT_BIND_DIRECT
    SKIP("the environment is bound directly");
#endif
    run_clean(of_a_lane, 2);
    opt = (weft_options){.workers = 2, .max_stack_bytes = 4 << 20, .env = spy_open(&s), .blocked_ns = -1};
    CHECK_EQ(run_main_with(of_the_runtime, &opt), 0);
    spy_close(&s);
    opt = (weft_options){.workers = 1, .stacks_committed = 8, .stack_size = 128 << 10, .max_stack_bytes = 4096, .env = spy_open(&s)};
    CHECK_EQ(run_main_with(committed, &opt), 0);
    spy_close(&s);
    preempted();
    /* An environment that cannot tell. */
    opt = (weft_options){.workers = 1, .max_stack_bytes = 1 << 20, .env = spy_open(&s)};
    s.env.resident = NULL;
    CHECK_EQ(weft_start(&rt, &opt), -ENOTSUP);
    CHECK(strstr(s.log, "max_stack_bytes"));
    spy_close(&s);
    opt = (weft_options){.workers = 1, .env = spy_open(&s)};
    s.env.resident = NULL;
    CHECK_EQ(run_main_with(not_supported, &opt), 0);
    spy_close(&s);
    return 0;
}
