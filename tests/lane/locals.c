/* Lane-local values: one for each lane, shared by its fibers, and destroyed once, after all clean-ups,
 * however the lane ends. */
#include "world.h"

static unsigned numbers, texts;
static int destroyed, order;

static void destroy(void *value)
{
    CHECK(weft_lane_self().gen == 0); /* outside any fiber */
    CHECK_EQ(weft_park(WEFT_NOW), -EPERM);
    bump((int *)value);
    bump(&destroyed);
}

static int reads(void *arg)
{
    CHECK(weft_lane_local_get(numbers) == arg);
    CHECK(weft_lane_local_get(texts) == NULL);
    CHECK_OK(weft_lane_local_set(texts, NULL));
    return 0;
}

static void still_there(void *arg)
{
    CHECK(weft_lane_local_get(numbers) == arg);
    CHECK_EQ(get((int *)arg), 0); /* clean-ups come first */
    bump(&order);
}

static int has_some(void *arg)
{
    weft_id f;

    CHECK(weft_lane_local_get(numbers) == NULL);
    CHECK_OK(weft_lane_local_set(texts, NULL)); /* no room is taken for that */
    CHECK_OK(weft_lane_local_set(numbers, arg));
    CHECK_OK(weft_defer(still_there, arg));
    CHECK_OK(weft_spawn(&f, reads, arg));
    CHECK_OK(weft_join(f, NULL, soon()));
    return 0;
}

static int waits(void *arg)
{
    has_some(arg);
    bump(&order);
    return weft_park(WEFT_NEVER);
}

static int run(int argc, char **argv)
{
    int a = 0, b = 0;
    weft_id l;

    (void)argc, (void)argv;
    CHECK_EQ(weft_lane_local_set(99, &a), -EINVAL);
    CHECK(weft_lane_local_get(99) == NULL);
    CHECK_OK(weft_lane_spawn(&l, has_some, &a));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(get(&a), 1);
    CHECK_EQ(get(&order), 1);
    CHECK_OK(weft_lane_spawn(&l, waits, &b));
    while (get(&order) < 2)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(get(&b), 1);
    CHECK_EQ(get(&order), 3);
    CHECK(weft_lane_local_get(numbers) == NULL); /* this lane has none */
    CHECK_EQ(get(&destroyed), 2);
    return 0;
}

/* The first value takes memory of the lane. */
static int is_poor(void *arg)
{
    int value = 0;

    CHECK_EQ(weft_lane_local_set(numbers, &value), *(int *)arg);
    CHECK_OK(weft_lane_local_set(numbers, NULL));
    return 0;
}

static int limited(int argc, char **argv)
{
    static int refused = -ENOMEM;
    const weft_limits limits = {.vat_bytes = 1};
    weft_id l;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, is_poor, &refused, .limits = &limits));
    return weft_lane_join(l, NULL, soon());
}

/* Also where the thread's own stack is the main fiber. */
static void with_init(void)
{
    int c = 0;

    CHECK_OK(weft_init(&(weft_options){.workers = 1}));
    CHECK_OK(weft_lane_local_set(numbers, &c));
    CHECK_OK(weft_fini(WEFT_NEVER));
    CHECK_EQ(get(&c), 1);
}

int main(void)
{
    unsigned key;

    CHECK_EQ(weft_lane_local_key(NULL, NULL), -EINVAL);
    CHECK_OK(weft_lane_local_key(&numbers, destroy));
    CHECK_OK(weft_lane_local_key(&texts, NULL));
    CHECK_EQ(weft_lane_local_set(numbers, &key), -EPERM);
    CHECK(weft_lane_local_get(numbers) == NULL);
    run_clean(run, 2);
    run_clean(limited, 1);
    with_init();
    for (int i = 2; i < WEFT_LANE_LOCALS; i++)
        CHECK_OK(weft_lane_local_key(&key, NULL));
    CHECK_EQ(weft_lane_local_key(&key, NULL), -EAGAIN);
    return 0;
}
