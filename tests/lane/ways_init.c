/* weft_init makes main() a fiber; weft_fini waits for its siblings and lanes, or ends them, and gives everything
 * back. */
#include "lane/world.h"

static int slept, ended_by;

static int sleeper(void *arg)
{
    (void)arg;
    CHECK_OK(weft_sleep(weft_after(20 * WEFT_MILLISECOND)));
    bump(&slept);
    return 0;
}

static int cancelable(void *arg)
{
    (void)arg;
    put(&ended_by, weft_park(WEFT_NEVER));
    return 0;
}

static int stubborn(void *arg)
{
    (void)arg;
    while (weft_park(WEFT_NEVER) != 0)
        weft_yield();
    return 0;
}

static void begin(spy *s, int64_t grace_ns)
{
    weft_options opt = {.workers = 2, .env = spy_open(s), .blocked_ns = -1, .grace_ns = grace_ns};

    CHECK_OK(weft_init(&opt));
    CHECK(weft_current() != NULL);
    CHECK_EQ(weft_init(&opt), -EALREADY);
}

static void end(spy *s, int result, int64_t deadline)
{
    CHECK_EQ(weft_fini(deadline), result);
    CHECK(weft_current() == NULL);
    CHECK_EQ(weft_yield(), -EPERM);
    spy_close(s);
}

static void waits_like_any_fiber(void)
{
    static spy s;
    weft_id f;
    int r = 7;

    begin(&s, 0);
    CHECK_EQ(weft_park(weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_spawn(&f, sleeper, NULL));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    end(&s, 0, WEFT_NEVER);
    SPY_SILENT(&s);
}

static void fini_waits_for_siblings(void)
{
    static spy s;

    begin(&s, 0);
    slept = 0;
    for (int i = 0; i < 10; i++)
        CHECK_OK(weft_spawn(NULL, sleeper, NULL));
    end(&s, 0, WEFT_NEVER);
    CHECK_EQ(slept, 10);
}

static void fini_waits_for_lanes(void)
{
    static spy s;

    begin(&s, 0);
    slept = 0;
    for (int i = 0; i < 10; i++)
        CHECK_OK(weft_lane_spawn(NULL, sleeper, NULL));
    end(&s, 0, WEFT_NEVER);
    CHECK_EQ(slept, 10);
}

/* Ended, and never joined: that keeps nobody waiting, and a failure is said. */
static int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

static void fini_joins_what_nobody_joined(void)
{
    static spy s;
    weft_id lane, fiber;

    begin(&s, 0);
    slept = 0;
    CHECK_OK(weft_lane_spawn(&lane, sleeper, NULL));
    CHECK_OK(weft_spawn(&fiber, fails, NULL));
    end(&s, 0, WEFT_NEVER);
    SPY_SAYS(&s, "fails");
    CHECK_EQ(slept, 1);
}

/* A lane's failure that nobody joined is main's own: the others are cancelled, weft_fini tells. */
static void fini_tells_a_lanes_failure(void)
{
    static spy s;
    weft_id lane;

    begin(&s, 0);
    CHECK_OK(weft_lane_spawn(NULL, cancelable, NULL));
    CHECK_OK(weft_lane_spawn(&lane, fails, NULL));
    end(&s, -EIO, WEFT_NEVER);
    CHECK_EQ(ended_by, -ECANCELED);
}

static void fini_closes_what_main_has_open(void)
{
    static spy s;
    weft_id listener[3];
    const int before = dup(0);

    CHECK(before >= 0);
    close(before);
    begin(&s, 0);
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_listen(&listener[i], test_address(), NULL));
    end(&s, 0, WEFT_NEVER);
    const int after = dup(0);
    close(after);
    CHECK_EQ(after, before);
}

static void fini_cancels_past_its_deadline(void)
{
    static spy s;

    begin(&s, 0);
    CHECK_OK(weft_lane_spawn(NULL, cancelable, NULL));
    CHECK_OK(weft_spawn(NULL, cancelable, NULL));
    end(&s, -ETIMEDOUT, weft_after(5 * WEFT_MILLISECOND));
    CHECK_EQ(ended_by, -ECANCELED);
}

static void fini_kills_after_the_grace(void)
{
    static spy s;

    begin(&s, 20 * WEFT_MILLISECOND);
    CHECK_OK(weft_lane_spawn(NULL, stubborn, NULL));
    CHECK_OK(weft_spawn(NULL, stubborn, NULL));
    end(&s, -ETIMEDOUT, weft_after(5 * WEFT_MILLISECOND));
    SPY_SAYS(&s, "stubborn");
}

static int fini_from_elsewhere(void *arg)
{
    (void)arg;
    return weft_fini(WEFT_NEVER) == -EPERM ? 0 : 1;
}

static void only_main_ends_it(void)
{
    static spy s;
    weft_id f;
    int r = 7;

    begin(&s, 0);
    CHECK_OK(weft_spawn(&f, fini_from_elsewhere, NULL));
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    end(&s, 0, WEFT_NEVER);
    CHECK_EQ(weft_fini(WEFT_NEVER), -EPERM);
}

static void count_destroyed(void *value) { bump(value); }

static void fini_destroys_locals(void)
{
    static spy s;
    static int destroyed;
    unsigned key;

    begin(&s, WEFT_SECOND);
    CHECK_OK(weft_local_key(&key, count_destroyed));
    CHECK_OK(weft_local_set(key, &destroyed));
    CHECK_OK(weft_fini(WEFT_NEVER));
    CHECK_EQ(get(&destroyed), 1);
    spy_close(&s);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {
        {"waits", waits_like_any_fiber},
        {"siblings", fini_waits_for_siblings},
        {"lanes", fini_waits_for_lanes},
        {"unjoined", fini_joins_what_nobody_joined},
        {"lane_fails", fini_tells_a_lanes_failure},
        {"open", fini_closes_what_main_has_open},
        {"cancels", fini_cancels_past_its_deadline},
        {"kills", fini_kills_after_the_grace},
        {"only_main", only_main_ends_it},
        {"locals", fini_destroys_locals},
    };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (argc < 2 || strcmp(argv[1], parts[i].name) == 0)
            parts[i].run();
    return 0;
}
