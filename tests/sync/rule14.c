/* Rule 14: an object that several lanes use lies in memory that outlives them all. Objects of ancestors do; using one in the memory of a child or of
 * a stranger ends a checked build with the names of both lanes. */
#include "child.h"
#include "world.h"

static weft_channel *channel;
static weft_mutex *mutex;
static weft_semaphore *semaphore;
static int ready, done;

static void make(void)
{
    channel = weft_calloc(1, sizeof *channel + sizeof(int));
    mutex = weft_calloc(1, sizeof *mutex);
    semaphore = weft_calloc(1, sizeof *semaphore);
    CHECK(channel && mutex && semaphore);
    CHECK_OK(weft_channel_init(channel, sizeof(int), 1, channel + 1));
    CHECK_OK(weft_semaphore_init(semaphore, 1));
}

static int uses(void *arg)
{
    int item = 3;

    (void)arg;
    CHECK_OK(weft_mutex_lock(mutex, soon()));
    CHECK_OK(weft_mutex_unlock(mutex));
    CHECK_OK(weft_semaphore_acquire(semaphore, 1, soon()));
    CHECK_OK(weft_semaphore_release(semaphore, 1));
    CHECK_OK(weft_channel_send(channel, &item, soon()));
    CHECK_OK(weft_channel_receive(channel, &item, soon()));
    return 0;
}

static int has_a_child_that_uses(void *arg)
{
    weft_id l;

    (void)arg;
    uses(NULL);
    CHECK_OK(weft_lane_spawn(&l, uses, NULL));
    ended(l);
    return 0;
}

/* Its own, its parent's, and the parent's of that: nothing is said. */
static int lawful(int argc, char **argv)
{
    weft_id l[4];

    (void)argc, (void)argv;
    make();
    uses(NULL);
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn(&l[i], has_a_child_that_uses, NULL));
    for (int i = 0; i < 4; i++)
        ended(l[i]);
    return 0;
}

static int owner(void *arg)
{
    (void)arg;
    make();
    put(&ready, 1);
    while (!get(&done))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    return 0;
}

static int sends(void *arg)
{
    const int item = 1;

    (void)arg;
    return weft_channel_try_send(channel, &item);
}

static int locks(void *arg)
{
    (void)arg;
    return weft_mutex_lock(mutex, soon());
}

static int releases(void *arg)
{
    (void)arg;
    return weft_semaphore_release(semaphore, 1);
}

static const struct trespass {
    int (*fn)(void *);
    const char *says;
} trespasses[] = {
    {sends, "weft_channel_try_send by lane \"stranger\" (fiber \"stranger\", spawned at tests/sync/rule14.c:"},
    {locks, "weft_mutex_lock_at by lane \"stranger\""},
    {releases, "weft_semaphore_release by lane \"stranger\""},
};
static const struct trespass *now;

static int unlawful(int argc, char **argv)
{
    weft_id l, s;

    (void)argc, (void)argv;
    CHECK_OK(weft_lane_spawn_with(&l, owner, NULL, .name = "owner"));
    while (!get(&ready))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    CHECK_OK(weft_lane_spawn_with(&s, now->fn, NULL, .name = "stranger"));
    CHECK_OK(weft_lane_join(s, NULL, soon()));
    put(&done, 1);
    ended(l);
    return 0;
}

static int trespass(void *arg)
{
    now = arg;
    return run_main(unlawful, 2);
}

static void is_told(const struct trespass *t)
{
    static char text[1 << 14];
    const int status = child_says(trespass, (void *)(uintptr_t)t, text, sizeof text);

    if (!strstr(text, t->says) || !strstr(text, "lies in the memory of lane \"owner\" (spawned at tests/sync/rule14.c:"))
        TEST_FAIL("it was to say \"%s\" and name the owner, and said: %s", t->says, text);
    CHECK(!ended_well(status));
}

int main(void)
{
#ifdef WEFT_CHECKED
    for (size_t i = 0; i < sizeof trespasses / sizeof *trespasses; i++) /* while there is no other thread */
        is_told(&trespasses[i]);
#else
    (void)is_told, (void)trespasses;
#endif
    run_clean(lawful, 2);
    return 0;
}
