/* Blocking calls on pools by name: what waits in one holds up nobody in another;
 * limits, lines, deadlines, cancelling before and during. */
#include <poll.h>
#include <weft/pool.h>

#include "world.h"

static int gate, inside, most, disturbed;

static int64_t answers(void *arg) { return (intptr_t)arg; }

/* Stays until the gate is open, on a pool's thread. */
static int64_t stays(void *arg)
{
    const int n = bump(&inside);

    (void)arg;
    for (int before = get(&most); n > before;)
        if (__atomic_compare_exchange_n(&most, &before, n, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            break;
    until(&gate, 1);
    __atomic_sub_fetch(&inside, 1, __ATOMIC_ACQ_REL);
    return 1;
}

static int blocks_in(void *arg) { return (int)weft_blocking_with(stays, NULL, .pool = arg); }

static void reached(const int *p, int v)
{
    while (get(p) < v)
        CHECK_OK(weft_yield());
}

static void joined_with(weft_id f, int result)
{
    int r = 0;

    CHECK_OK(weft_join(f, &r, soon()));
    CHECK_EQ(r, result);
}

/* ---- names ---- */

static void errors(void)
{
    static char longest[WEFT_POOL_NAME_MAX + 2];

    memset(longest, 'n', WEFT_POOL_NAME_MAX + 1);
    CHECK_EQ(weft_pool_make(NULL, NULL), -EINVAL);
    CHECK_EQ(weft_pool_make("", NULL), -EINVAL);
    CHECK_EQ(weft_pool_make(longest, NULL), -EINVAL);
    CHECK_EQ(weft_blocking_with(answers, NULL, .pool = longest), -EINVAL);
    CHECK_OK(weft_pool_make(longest + 1, NULL));
    CHECK_EQ(weft_pool_make(longest + 1, NULL), -EEXIST);
    CHECK_OK(weft_pool_make_in(weft_current(), "from anywhere", NULL));
    CHECK_EQ(weft_pool_make_in(NULL, "x", NULL), -EINVAL);
    CHECK_EQ(weft_blocking(NULL, NULL, NULL), -EINVAL);
    CHECK_EQ(weft_blocking(answers, (void *)5, NULL), 5);
    CHECK_EQ(weft_blocking_with(answers, (void *)6, .pool = "by its first use"), 6);
    CHECK_EQ(weft_pool_make("by its first use", NULL), -EEXIST);
}

/* Two threads each: a third call waits, and calls of another pool do not wait for it. */
static void apart(void)
{
    weft_id f[3];

    put(&gate, 0);
    put(&most, 0);
    CHECK_OK(weft_pool_make("slow disks", &(weft_pool_options){.threads = 2}));
    CHECK_OK(weft_pool_make("names", &(weft_pool_options){.threads = 1}));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(&f[i], blocks_in, "slow disks"));
    reached(&inside, 2);
    CHECK_EQ(weft_blocking_with(answers, (void *)7, .pool = "names"), 7);
    CHECK_EQ(weft_blocking(answers, (void *)8, NULL), 8);
    CHECK_EQ(get(&inside), 2);
    put(&gate, 1);
    for (int i = 0; i < 3; i++)
        joined_with(f[i], 1);
    CHECK_EQ(get(&most), 2);
}

static int refused;

static int stands_in_line(void *arg)
{
    const int r = blocks_in(arg);

    if (r == -EAGAIN)
        bump(&refused);
    else
        CHECK_EQ(r, 1);
    return 0;
}

/* One runs, one waits, and no more are taken. */
static void line(void)
{
    weft_id f[4];

    put(&gate, 0);
    CHECK_OK(weft_pool_make("short line", &(weft_pool_options){.threads = 1, .line = 1}));
    CHECK_OK(weft_spawn(&f[0], blocks_in, "short line"));
    reached(&inside, 1);
    for (int i = 1; i < 4; i++)
        CHECK_OK(weft_spawn(&f[i], stands_in_line, "short line"));
    reached(&refused, 2);
    put(&gate, 1);
    joined_with(f[0], 1);
    for (int i = 1; i < 4; i++)
        joined_with(f[i], 0);
    CHECK_EQ(get(&refused), 2);
    CHECK_EQ(weft_blocking_with(answers, (void *)3, .pool = "short line"), 3);
}

/* ---- ending ---- */

static int is_cancelled(void *arg)
{
    CHECK_EQ(weft_blocking_with(answers, (void *)1, .pool = arg), -ECANCELED);
    return 0;
}

static void before_it_begins(void)
{
    weft_id f[2];

    put(&gate, 0);
    CHECK_OK(weft_spawn(&f[0], blocks_in, "names"));
    reached(&inside, 1);
    CHECK_EQ(weft_blocking_with(answers, NULL, .pool = "names", .deadline = weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_spawn(&f[1], is_cancelled, "names"));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(f[1]));
    joined_with(f[1], 0);
    put(&gate, 1);
    joined_with(f[0], 1);
}

/* In a system call until somebody disturbs it: as often as it likes to look. */
static int64_t polls(void *arg)
{
    (void)arg;
    bump(&inside);
    const int r = poll(NULL, 0, -1);
    __atomic_sub_fetch(&inside, 1, __ATOMIC_ACQ_REL);
    CHECK_EQ(r, -1);
    bump(&disturbed);
    return -errno;
}

static int is_disturbed(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_blocking_with(polls, NULL, .pool = "names", .disturb = 1), -EINTR);
    return weft_canceled() == -ECANCELED ? 0 : 1;
}

static int is_late(void *arg)
{
    int64_t r = -ETIMEDOUT;

    (void)arg;
    for (int64_t ns = WEFT_MILLISECOND; r == -ETIMEDOUT; ns *= 2) /* that was before it began */
        r = weft_blocking_with(polls, NULL, .pool = "names", .disturb = 1, .deadline = weft_after(ns));
    CHECK_EQ(r, -EINTR);
    return 0;
}

static void while_it_runs(void)
{
    weft_id f;

    CHECK_OK(weft_spawn(&f, is_disturbed, NULL));
    reached(&inside, 1);
    CHECK_OK(weft_cancel(f));
    joined_with(f, 0);
    CHECK_OK(weft_spawn(&f, is_late, NULL));
    joined_with(f, 0);
    CHECK_EQ(get(&disturbed), 2);
}

static int lane_that_blocks(void *arg)
{
    (void)arg;
    return (int)weft_blocking_with(polls, NULL, .disturb = 1);
}

/* A kill waits for the function to return, and helps. */
static void killed(void)
{
    weft_id l;

    CHECK_OK(weft_lane_spawn(&l, lane_that_blocks, NULL));
    reached(&inside, 1);
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(get(&inside), 0);
    CHECK_EQ(get(&disturbed), 3);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    errors();
    apart();
    line();
    before_it_begins();
    while_it_runs();
    killed();
    return 0;
}

/* Threads that have nothing to do end. */
static int idles(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(weft_pool_make("brief", &(weft_pool_options){.threads = 1, .idle_ns = WEFT_MILLISECOND}));
    for (int i = 0; i < 5; i++) { /* whether or not the thread has ended meanwhile */
        CHECK_EQ(weft_blocking_with(answers, (void *)4, .pool = "brief"), 4);
        CHECK_OK(weft_sleep(weft_after(3 * WEFT_MILLISECOND)));
    }
    return 0;
}

int main(void)
{
    CHECK_EQ(weft_pool_make("x", NULL), -EPERM);
    CHECK_EQ(weft_blocking(answers, NULL, NULL), -EPERM);
    run_clean(run, 2);
    run_clean(idles, 1);
    return 0;
}
