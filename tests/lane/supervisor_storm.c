/* A tree of supervisors of all strategies whose lanes are killed at random, supervisors among them, while others ask it
 * for this and that. Whatever happened: at the end everybody is up again, and after the stop nothing is left. */
#include "lane/supervised.h"

#define FOREVER .intensity = 1000, .period_ns = 1 /* no restart is one too many */
#define KILLERS 3

static uint64_t rounds = 1500;

static int works(void *arg)
{
    (void)arg;
    CHECK_OK(weft_child_ready(0));
    return weft_sleep(WEFT_NEVER);
}

/* Never says that it is ready until it was cancelled or killed, now and then. */
static int works_after_a_while(void *arg)
{
    int *starts = arg;

    if (bump(starts) % 3 == 0)
        return -EAGAIN;
    weft_yield();
    return works(NULL);
}

static int starts;

#define WORKER(id_) {.id = id_, .run = works, .ready = 1, .grace_ns = WEFT_MILLISECOND}
#define LATE(id_) {.id = id_, .run = works_after_a_while, .arg = &starts, .ready = 1}

static const weft_child_spec group[] = {WORKER("1"), LATE("2"), WORKER("3")};
static const weft_child_spec instance = {.run = works, .ready = 1};
static const weft_supervisor_spec all = {WEFT_ONE_FOR_ALL, FOREVER, .children = group, .count = 3};
static const weft_supervisor_spec rest = {WEFT_REST_FOR_ONE, FOREVER, .children = group, .count = 3};
static const weft_supervisor_spec any = {WEFT_DYNAMIC, FOREVER, .children = &instance, .count = 1};
static const weft_child_spec top[] = {
    WORKER("worker"), {.id = "all", .supervisor = &all}, {.id = "rest", .supervisor = &rest},
    {.id = "any", .supervisor = &any}};
static const weft_supervisor_spec tree = {WEFT_ONE_FOR_ONE, FOREVER, .children = top, .count = 4};

typedef struct killer {
    weft_id s;
    uint64_t seed;
} killer;

/* Any of the supervisor's children, at any depth; its lane may end any moment. */
static weft_id victim(weft_id s, uint64_t *seed)
{
    weft_child_info info[8];
    const int n = weft_supervisor_children(s, 0, info, 8, soon());

    if (n <= 0)
        return WEFT_NOID; /* it was hit itself */
    const weft_child_info *i = &info[next_random(seed) % (unsigned)n];
    return i->supervisor && i->lane.gen && next_random(seed) % 4 ? victim(i->lane, seed) : i->lane;
}

/* Some more, but not for ever. */
static void add_one(weft_id any_supervisor, int64_t deadline)
{
    weft_child_counts n;

    if (weft_supervisor_count(any_supervisor, &n, soon()) == 0 && n.active < 40)
        weft_supervisor_start_dynamic(any_supervisor, NULL, 0, NULL, deadline);
}

static void ask_something(weft_id s, uint64_t *seed)
{
    char text[64];
    weft_child_info info;

    if (weft_supervisor_child(s, next_random(seed) % 2 ? "any" : "rest", &info, soon()) < 0 || !info.lane.gen)
        return;
    switch (next_random(seed) % 5) { /* each may fail at any step: whom it asks may be killed */
    case 0:
        add_one(info.lane, soon());
        break;
    case 1:
        weft_supervisor_terminate_lane(info.lane, victim(info.lane, seed), soon());
        break;
    case 2:
        weft_supervisor_terminate_child(info.lane, "2", soon());
        weft_supervisor_restart_child(info.lane, "2", NULL, soon());
        break;
    case 3:
        weft_supervisor_format(s, text, sizeof text, soon());
        break;
    default:
        add_one(info.lane, WEFT_NOW);
    }
}

static int kills(void *arg)
{
    killer *k = arg;

    for (uint64_t i = 0; test_again(i, rounds); i++) {
        const weft_id lane = victim(k->s, &k->seed);

        if (lane.gen && next_random(&k->seed) % 3 == 0)
            CHECK(cancel_lane(lane) <= 0);
        else if (lane.gen)
            kill_lane(lane);
        if (next_random(&k->seed) % 2)
            ask_something(k->s, &k->seed);
    }
    return 0;
}

/* Everybody is up, or will be: who was stopped in between by a killer that did not come to start it again is not. */
static int is_whole(weft_id s)
{
    weft_child_info info[8];
    const int n = weft_supervisor_children(s, 0, info, 8, soon());

    if (n < 0)
        return 0;
    for (int i = 0; i < n; i++) {
        const int by_hand = info[i].state == WEFT_CHILD_STOPPED && strcmp(info[i].id, "2") == 0;
        if (info[i].state != WEFT_CHILD_RUNNING && !by_hand)
            return 0;
        if (info[i].supervisor && !is_whole(info[i].lane))
            return 0;
    }
    return 1;
}

static int main_fiber(int argc, char **argv)
{
    (void)argc, (void)argv;
    const weft_id s = supervisor(&tree);
    killer k[KILLERS];
    weft_id lane[KILLERS];

    for (int i = 0; i < KILLERS; i++) {
        k[i] = (killer){s, 17 * (unsigned)i + 1};
        CHECK_OK(weft_lane_spawn(&lane[i], kills, &k[i]));
    }
    for (int i = 0; i < KILLERS; i++) {
        int result;
        CHECK_OK(weft_lane_join(lane[i], &result, WEFT_NEVER));
        CHECK_OK(result);
    }
    while (!is_whole(s))
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    check_counts(s, 4, 4, 3, 1);
    stop_supervisor(s);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = strtoull(argv[1], NULL, 10);
    return run_supervised(main_fiber);
}
