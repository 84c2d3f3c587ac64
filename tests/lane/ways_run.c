/* Threads of the host's as workers: they join, take lanes, leave one by one, and a lane is never given to one that
 * has left. */
#include "lane/world.h"

static weft_runtime *rt;
static int counted, gates_open, back; /* back: threads that are no workers any more, or never were */

static void *host(void *arg)
{
    int *result = arg;

    *result = weft_run(rt);
    bump(&back);
    return NULL;
}

static int count(void *arg)
{
    (void)arg;
    bump(&counted);
    return 0;
}

static int waits_at_gate(void *arg)
{
    (void)arg;
    while (!get(&gates_open))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    bump(&counted);
    return 0;
}

static int occupied;

static int occupies_its_thread(void *arg)
{
    (void)arg;
    put(&occupied, 1);
    while (!get(&gates_open))
        sched_yield();
    return 0;
}

static int makes_many(void *arg)
{
    const int n = *(const int *)arg;
    int r;

    for (int i = 0; i < n; i++) {
        CHECK_OK(weft_lane_spawn(NULL, waits_at_gate, NULL));
        CHECK_OK(weft_yield()); /* it settles: where the next one goes depends on that */
    }
    put(&gates_open, 1);
    while ((r = get(&counted)) < n)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    return 0;
}

static void begin(spy *s, unsigned workers)
{
    weft_options opt = {.workers = workers, .env = spy_open(s), .external_workers = 1, .grace_ns = 2 * WEFT_SECOND};

    put(&counted, 0);
    put(&back, 0);
    put(&gates_open, 0);
    CHECK_OK(weft_start(&rt, &opt));
}

/* Nobody ever comes. */
static void free_without_hosts(void)
{
    static spy s;

    begin(&s, 2);
    CHECK_OK(weft_end(rt));
    begin(&s, 2);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, count, NULL, NULL)); /* before there is anybody to run it */
    CHECK_OK(weft_end(rt));
    spy_close(&s);
    CHECK_EQ(get(&counted), 0);
}

static void lanes_wait_for_the_first_host(void)
{
    static spy s;
    int r = 1;

    begin(&s, 2);
    for (int i = 0; i < 10; i++)
        CHECK_OK(weft_lane_spawn_in(rt, NULL, count, NULL, NULL));
    const pthread_t a = thread_of(host, &r);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&counted), 10);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, occupies_its_thread, NULL, NULL));
    until(&occupied, 1);
    CHECK_EQ(weft_end(rt), -EBUSY); /* it is inside still, and cannot leave */
    put(&gates_open, 1);
    pthread_join(a, NULL);
    CHECK_EQ(r, 0);
    CHECK_EQ(weft_run(rt), -ESHUTDOWN);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

static int joins_again(void *arg)
{
    (void)arg;
    return weft_run(rt) == -EALREADY && weft_end(rt) == -EBUSY && weft_wait(rt, WEFT_NOW) == -EDEADLK ? 0 : 1;
}

static int checks_from_inside(void *arg)
{
    weft_id id;
    int r = -1;

    (void)arg;
    CHECK_OK(weft_lane_spawn(&id, joins_again, NULL));
    CHECK_OK(weft_lane_join(id, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    bump(&counted);
    return 0;
}

static void too_many_hosts(void)
{
    static spy s;
    int r[3] = {1, 1, 1}, refused = 0;
    pthread_t t[3];

    begin(&s, 2);
    for (int i = 0; i < 3; i++)
        t[i] = thread_of(host, &r[i]);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, checks_from_inside, NULL, NULL));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&counted), 1);
    until(&back, 1); /* sent away, for the two others are inside */
    CHECK_EQ(weft_run(rt), -EAGAIN);
    CHECK_OK(weft_stop(rt));
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        refused += r[i] == -EAGAIN;
        CHECK(r[i] == 0 || r[i] == -EAGAIN);
    }
    CHECK_EQ(refused, 1);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

/* Two come, one leaves; whoever is left runs everything that comes after. */
static void one_leaves(void)
{
    static spy s;
    static int many = 40;
    int r[2] = {1, 1}, gone = -1;
    pthread_t t[2];

    begin(&s, 2);
    for (int i = 0; i < 2; i++)
        t[i] = thread_of(host, &r[i]);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, count, NULL, NULL));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_leave(rt));
    while (gone < 0)
        for (int i = 0; i < 2; i++)
            if (pthread_tryjoin_np(t[i], NULL) == 0)
                gone = i;
    CHECK_EQ(r[gone], 0);
    put(&counted, 0);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, makes_many, &many, NULL));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&counted), many);
    CHECK_OK(weft_stop(rt));
    pthread_join(t[1 - gone], NULL);
    CHECK_EQ(r[1 - gone], 0);
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

/* A place is given back, as often as one likes, and lanes go on meanwhile. */
static void places_come_back(void)
{
    static spy s;
    static int few = 8;
    int first = 1;

    begin(&s, 2);
    const pthread_t stays = thread_of(host, &first);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, count, NULL, NULL));
    CHECK_OK(weft_wait(rt, WEFT_NEVER)); /* the root is at home there */
    for (int i = 0; i < 50; i++) {
        int r = 1;
        put(&counted, 0);
        put(&gates_open, 0);
        const pthread_t comes = thread_of(host, &r);
        CHECK_OK(weft_lane_spawn_in(rt, NULL, makes_many, &few, NULL));
        CHECK_OK(weft_leave(rt));
        pthread_join(comes, NULL);
        CHECK_EQ(r, 0);
        CHECK_OK(weft_wait(rt, WEFT_NEVER));
        CHECK_EQ(get(&counted), few);
    }
    CHECK_OK(weft_stop(rt));
    pthread_join(stays, NULL);
    CHECK_EQ(first, 0);
    CHECK_OK(weft_end(rt));
    SPY_SILENT(&s);
    spy_close(&s);
}

/* Lanes at home on a thread that is asked to leave end first. */
static void leaving_waits_for_lanes(void)
{
    static spy s;
    static int many = 30;
    int r[2] = {1, 1};
    pthread_t t[2];

    begin(&s, 2);
    for (int i = 0; i < 2; i++)
        t[i] = thread_of(host, &r[i]);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, makes_many, &many, NULL));
    CHECK_OK(weft_leave(rt));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(get(&counted), many);
    CHECK_OK(weft_stop(rt));
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        CHECK(r[i] == 0 || r[i] == -ESHUTDOWN);
    }
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

static pthread_t second;
static int second_result, started;

/* Runs fn on the root's home, which is the first host's and never the one to leave; fn calls the second.
 * Where no lane moves, that one would have none. */
static void with_a_second_host(int (*fn)(void *))
{
    static spy s;
    weft_info info;
    int r = 1;

    begin(&s, 2);
    CHECK_OK(weft_runtime_info(rt, &info));
    if (info.mode != WEFT_PER_CORE) {
        put(&started, 0);
        second_result = 1;
        const pthread_t first = thread_of(host, &r);
        CHECK_OK(weft_lane_spawn_in(rt, NULL, fn, NULL, NULL));
        CHECK_OK(weft_wait(rt, WEFT_NEVER));
        pthread_join(second, NULL);
        CHECK_EQ(second_result, 0);
        CHECK_OK(weft_stop(rt));
        pthread_join(first, NULL);
        CHECK_EQ(r, 0);
    }
    CHECK_OK(weft_end(rt));
    spy_close(&s);
}

static int starts_and_waits(void *arg)
{
    bump(&started);
    return waits_at_gate(arg);
}

/* It does not yield until one of its children runs, so that one is the second host's. */
static int joins_after_all_ended(void *arg)
{
    enum { CHILDREN = 4 };
    weft_id child[CHILDREN];

    (void)arg;
    second = thread_of(host, &second_result);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_OK(weft_lane_spawn(&child[i], starts_and_waits, NULL));
    until(&started, 1);
    CHECK_OK(weft_leave(rt));
    put(&gates_open, 1);
    while (get(&counted) < CHILDREN)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    /* Likely the other sleeps then; what is right does not depend on it. */
    CHECK_OK(weft_sleep(weft_after(10 * WEFT_MILLISECOND)));
    for (int i = 0; i < CHILDREN; i++)
        CHECK_OK(weft_lane_join(child[i], NULL, WEFT_NEVER));
    return 0;
}

/* The last lane of a thread that is to leave is counted out by the lane's parent, on another thread, while it
 * sleeps. */
static void leaving_hears_of_the_last_lane(void) { with_a_second_host(joins_after_all_ended); }

static int begun = -1;

static int begins_and_waits(void *arg)
{
    int none = -1;
    __atomic_compare_exchange_n(&begun, &none, *(const int *)arg, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    return waits_at_gate(NULL);
}

static int asks_who_leaves(void *arg)
{
    enum { CHILDREN = 4 };
    weft_id child[CHILDREN], near;
    weft_id_info at, there;
    weft_limits used;

    (void)arg;
    second = thread_of(host, &second_result);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_OK(weft_lane_spawn_with(&child[i], begins_and_waits, &i, .copy = sizeof i));
    while (get(&begun) < 0)
        sched_yield();
    const weft_id other = child[get(&begun)];
    CHECK_OK(weft_id_inspect(weft_lane_self(), &at));
    CHECK_OK(weft_id_inspect(other, &there));
    CHECK(there.worker != at.worker);
    CHECK_OK(weft_leave(rt));
    do { /* until it takes no more lanes */
        CHECK_OK(weft_lane_spawn_with(&near, waits_at_gate, NULL, .near = other));
        while (weft_lane_usage_of(near, &used, WEFT_NEVER) == 0 && !used.fibers)
            CHECK_OK(weft_yield());
        CHECK_OK(weft_id_inspect(near, &there));
        CHECK_OK(weft_kill(near));
        CHECK_OK(weft_lane_join(near, NULL, WEFT_NEVER));
    } while (there.worker != at.worker);
    CHECK_OK(weft_lane_usage_of(other, &used, soon())); /* but those that it has can be asked */
    CHECK_EQ(used.fibers, 1);
    put(&gates_open, 1);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_OK(weft_lane_join(child[i], NULL, WEFT_NEVER));
    CHECK_EQ(weft_lane_usage_of(other, &used, soon()), -ESRCH);
    return 0;
}

static void leaving_answers_for_its_lanes(void) { with_a_second_host(asks_who_leaves); }

static void bad_arguments(void)
{
    CHECK_EQ(weft_run(NULL), -EINVAL);
    CHECK_EQ(weft_leave(NULL), -EINVAL);
    CHECK_EQ(weft_stop(NULL), -EINVAL);
    CHECK_EQ(weft_wait(NULL, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_end(NULL), -EINVAL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {
        {"bad", bad_arguments},
        {"free", free_without_hosts},
        {"first", lanes_wait_for_the_first_host},
        {"many", too_many_hosts},
        {"leave", one_leaves},
        {"come_again", places_come_back},
        {"leave_lanes", leaving_waits_for_lanes},
        {"leave_last", leaving_hears_of_the_last_lane},
        {"leave_asked", leaving_answers_for_its_lanes},
    };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (argc < 2 || strcmp(argv[1], parts[i].name) == 0)
            parts[i].run();
    return 0;
}
