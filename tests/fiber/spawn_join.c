/* Spawning, joining, detaching: orders, results, and every documented answer. */
#include "lane/world.h"

static int order[64], ordered;

static int noted(void *arg)
{
    order[ordered++] = (int)(intptr_t)arg;
    return (int)(intptr_t)arg;
}

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static int returns(void *arg) { return (int)(intptr_t)arg; }

static int joins_self(void *arg)
{
    (void)arg;
    return weft_join(weft_self(), NULL, WEFT_NEVER);
}

static int joins_arg(void *arg)
{
    return weft_join(*(weft_id *)arg, NULL, WEFT_NEVER);
}

static void results(void)
{
    weft_id f;
    int r = 0;

    CHECK_OK(weft_spawn(&f, returns, (void *)(intptr_t)42));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER)); /* before it has run */
    CHECK_EQ(r, 42);
    CHECK_EQ(weft_join(f, &r, WEFT_NEVER), -ESRCH);
    CHECK_EQ(weft_detach(f), -ESRCH);
    CHECK_EQ(weft_unpark(f), -ESRCH);
    CHECK_EQ(weft_cancel(f), -ESRCH);
    CHECK_OK(weft_spawn(&f, returns, (void *)(intptr_t)-5));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_OK(weft_join(f, &r, WEFT_NOW)); /* after it has ended: no waiting */
    CHECK_EQ(r, -5);
    CHECK_OK(weft_spawn(&f, returns, (void *)(intptr_t)3));
    CHECK_OK(weft_join(f, NULL, WEFT_NEVER));
    CHECK_OK(weft_spawn(NULL, returns, NULL));
}

static void refusals(void)
{
    char small[WEFT_STACK_MIN - 1];
    weft_id f, g, none = WEFT_NOID, self = weft_self();
    int r = 0;

    CHECK_EQ(weft_spawn(&f, NULL, NULL), -EINVAL);
    CHECK_EQ(weft_spawn_with(&f, returns, small, .copy = WEFT_COPY_MAX + 1), -EINVAL);
    CHECK_EQ(weft_spawn_with(&f, returns, NULL, .copy = 8), -EINVAL);
    CHECK_EQ(weft_spawn_with(&f, returns, NULL, .stack_size = WEFT_STACK_MIN - 1), -EINVAL);
    CHECK_EQ(weft_spawn_with(&f, returns, NULL, .stack = small), -EINVAL);
    CHECK_EQ(weft_spawn_with(&f, returns, NULL, .stack = small, .stack_size = sizeof small), -EINVAL);
    CHECK_EQ(weft_join(none, NULL, WEFT_NEVER), -ESRCH);
    CHECK_EQ(weft_join(self, NULL, WEFT_NEVER), -EDEADLK);
    CHECK_EQ(weft_join(weft_lane_self(), NULL, WEFT_NEVER), -EINVAL);

    CHECK_OK(weft_spawn(&f, joins_self, NULL));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, -EDEADLK);

    CHECK_OK(weft_spawn(&f, parks, NULL));
    CHECK_OK(weft_spawn(&g, joins_arg, &f));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_EQ(weft_join(f, NULL, WEFT_NEVER), -EBUSY);
    CHECK_EQ(weft_detach(f), -EBUSY);
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_join(g, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);

    CHECK_OK(weft_spawn(&f, parks, NULL));
    CHECK_EQ(weft_join(f, &r, WEFT_NOW), -ETIMEDOUT);
    const int64_t deadline = weft_after(3 * WEFT_MILLISECOND);
    CHECK_EQ(weft_join(f, &r, deadline), -ETIMEDOUT);
    CHECK(weft_now() >= deadline);
    CHECK_OK(weft_detach(f));
    CHECK_EQ(weft_join(f, &r, WEFT_NEVER), -ESRCH);
    CHECK_EQ(weft_detach(f), -ESRCH);
    CHECK_OK(weft_unpark(f)); /* it is there still, an address for everybody */
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_EQ(weft_unpark(f), -ESRCH);

    CHECK_OK(weft_spawn(&f, returns, NULL));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_OK(weft_detach(f)); /* it has ended: this frees it */
    CHECK_EQ(weft_detach(f), -ESRCH);

    CHECK_OK(weft_spawn_with(&f, parks, NULL, .detached = 1));
    CHECK_EQ(weft_join(f, NULL, WEFT_NOW), -ESRCH);
    CHECK_OK(weft_unpark(f));
}

/* Newest first, each sixteenth turn the oldest, nobody before the spawner waits. */
static void newborn_order(void)
{
    weft_id f[40];
    int oldest_first_at = -1;

    for (int i = 0; i < 50; i++)
        CHECK_OK(weft_yield()); /* older ones than ours are gone */
    ordered = 0;
    for (int i = 0; i < 40; i++)
        CHECK_OK(weft_spawn(&f[i], noted, (void *)(intptr_t)i));
    CHECK_EQ(ordered, 0);
    for (int i = 0; i < 40; i++)
        CHECK_OK(weft_join(f[i], NULL, WEFT_NEVER));
    CHECK_EQ(ordered, 40);
    int seen[40] = {0}, inversions = 0;
    for (int i = 0; i < 40; i++) {
        CHECK_EQ(seen[order[i]]++, 0);
        if (order[i] == 0)
            oldest_first_at = i;
        inversions += i > 0 && order[i] > order[i - 1];
    }
    CHECK(oldest_first_at <= 16); /* the oldest got its turn long before the last */
    CHECK(inversions <= 4);       /* all others: newest first */
}

/* A fiber that goes on making children cannot keep the first of them from running, nor its siblings from going on. */
static int first_ran;

static int marks(void *arg)
{
    (void)arg;
    first_ran = 1;
    return 0;
}

static void oldest_is_not_starved(void)
{
    int n = 0;

    first_ran = 0;
    CHECK_OK(weft_spawn(NULL, marks, NULL));
    for (; !first_ran; n++) {
        CHECK(n < 1000);
        CHECK_OK(weft_spawn(NULL, returns, NULL));
        CHECK_OK(weft_spawn(NULL, returns, NULL)); /* more than one turn brings */
        CHECK_OK(weft_yield());
    }
}

static void many(void)
{
    enum { MANY = TEST_SANITIZED ? 100000 : 1000000 };
    weft_id f;
    int r, sum = 0;

    for (int i = 0; i < MANY; i++) {
        CHECK_OK(weft_spawn(&f, returns, (void *)(intptr_t)(i % 3)));
        CHECK_OK(weft_join(f, &r, WEFT_NEVER));
        sum += r;
    }
    CHECK_EQ(sum, MANY - 1);
}

/* All alive at once, joined in another order than they were made. */
static void a_crowd(void)
{
    enum { CROWD = 3000 };
    static weft_id f[CROWD];
    int r;

    for (int i = 0; i < CROWD; i++)
        CHECK_OK(weft_spawn(&f[i], parks, NULL));
    CHECK_OK(weft_yield());
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(weft_unpark(f[i * 7 % CROWD]));
    for (int i = CROWD; i-- > 0;) {
        CHECK_OK(weft_join(f[i], &r, WEFT_NEVER));
        CHECK_EQ(r, 0);
    }
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    results();
    refusals();
    newborn_order();
    oldest_is_not_starved();
    many();
    a_crowd();
    return 0;
}

int main(void)
{
    weft_id f;

    CHECK_EQ(weft_spawn(&f, returns, NULL), -EPERM); /* all of it is for fibers */
    CHECK_EQ(weft_join(WEFT_NOID, NULL, WEFT_NOW), -EPERM);
    CHECK_EQ(weft_detach(WEFT_NOID), -EPERM);
    CHECK_EQ(weft_yield(), -EPERM);
    CHECK_EQ(weft_sleep(WEFT_NOW), -EPERM);
    CHECK_EQ(weft_park(WEFT_NOW), -EPERM);
    CHECK_EQ(weft_unpark(WEFT_NOID), -EPERM);
    CHECK_EQ(weft_set_name("x"), -EPERM);
    CHECK_EQ(weft_local_set(0, NULL), -EPERM);
    CHECK_EQ(weft_cancel((weft_id){0, 1, 1}), -EPERM);
    CHECK_EQ(weft_canceled(), 0);
    CHECK(weft_id_equal(weft_self(), WEFT_NOID));
    CHECK(weft_name() == NULL);
    CHECK(weft_local_get(0) == NULL);
    run_clean(run, 2);
    return 0;
}
