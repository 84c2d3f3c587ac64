/* What fibers wait on, under many schedules: mutual exclusion, no lost wake-up, order where it is promised, each item
 * once, whoever is killed meanwhile.
 *
 *     sim-sync OBJECT [rounds [seed]]   explores so many rounds (10000), from that seed (1) on
 *     WEFT_SIM_SEED=seed sim-sync ...   that one run
 *     sim-sync OBJECT --caught rounds   succeeds if something fails, in a build with a mistake made on purpose
 *
 * A run has a seed, and makes PER_RUN rounds one after the other. Each counts as a schedule: it is an object of its
 * own from its birth to its end, nothing is left of the rounds before but where the draws of the seed and the threads
 * stand, and those differ from round to round. A new runtime for each would cost more than the round. A failure tells
 * the round; the seed alone brings it again. */
#include "sim/sync/explore.h"

#include <sys/wait.h>

enum { PER_RUN = 25 };

static int this_round;
uint32_t inside, torn;

void explore_leave(int status)
{
    char why[64];

    snprintf(why, sizeof why, "a check failed in round %d", this_round);
    if (status != 0 && status != 77)
        weft_sim_failed(why);
    _exit(status);
}

void critical(void)
{
    CHECK_EQ(look(&inside), 0);
    set(&inside, 1);
    set(&torn, look(&torn) + 1);
    sometimes_yield();
    set(&inside, 0);
}

void lanes_do(int (*fn)(void *)) { lanes_do_beside(fn, NULL); }

int lanes_do_beside(int (*fn)(void *), int (*dies)(void *))
{
    const int first = any(2) == 0, killed_one = dies && any(3) == 0;
    weft_id l[LANES], victim;

    if (killed_one && first)
        CHECK_OK(weft_lane_spawn(&victim, dies, NULL));
    for (intptr_t i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&l[i], fn, (void *)i));
    if (killed_one && !first)
        CHECK_OK(weft_lane_spawn(&victim, dies, NULL));
    if (killed_one) {
        if (any(4))
            CHECK_OK(weft_sleep(weft_after((int64_t)any(40) * WEFT_MICROSECOND)));
        (void)weft__lane_signal(weft_current(), victim, WEFT__SIG_KILL);
        CHECK_OK(weft_lane_join(victim, NULL, WEFT_NEVER));
    }
    for (int i = 0; i < LANES; i++)
        ended(l[i]);
    return killed_one;
}

static const struct object {
    const char *name;
    void (*round)(void);
    int reports; /* circles, in every other round */
} objects[] = {
    {"mutex", with_mutex}, {"rwlock", with_rwlock}, {"semaphore", with_semaphore},
    {"deadlock", with_deadlock, 1}, {"order", with_order}, {"cond-order", with_cond_order},
    {"cond", with_cond}, {"event", with_event}, {"alarm", with_alarm}, {"latch", with_latch}, {"barrier", with_barrier},
    {"once", with_once}, {"future", with_future},
    {"channel", with_channel}, {"growing", with_growing}, {"channel-model", with_channel_model},
    {"select", with_select}, {"select-io", with_select_io},
    {"broadcast", with_broadcast}, {"credit", with_credit}, {"group", with_group},
    {"hands", with_hands}, {"flow", with_flow}, {"transfers", with_transfers},
};

static const struct object *object;

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (this_round = 0; this_round < PER_RUN; this_round++)
        object->round();
    return 0;
}

static void says_nothing(void *self, enum weft_log_level level, const char *text, size_t n)
{
    (void)self, (void)level, (void)text, (void)n;
}

static int program(void *arg)
{
    static const enum weft_mode modes[] = {WEFT_SHARED, WEFT_PER_CORE, WEFT_SINGLE_IO};
    weft_env env = *weft_sim_env();
    weft_options opt = {.workers = 3, .mode = modes[*(uint64_t *)arg % 3], .blocked_ns = -1};

    env.log = says_nothing;
    if (object->reports)
        opt.env = &env;
    return weft_main(start, 0, NULL, &opt);
}

static int explore(uint64_t rounds, uint64_t from, int quiet)
{
    const char *given = getenv("WEFT_SIM_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : from;

    for (uint64_t n = 0; test_again(n, given ? 1 : rounds); seed++, n += PER_RUN) {
        const weft_sim_options opt = {
            .seed = seed, .switch_every = 1 + (unsigned)(seed % 11), .quiet = quiet, .max_steps = 20000000};
        weft_sim_result left;
        const int r = weft_sim_run(&opt, program, &seed, &left);
        if (r != 0) {
            fprintf(stderr, "it was in round %d\n", this_round);
            return r;
        }
        CHECK_EQ(left.handles_left, 0);
        CHECK_EQ(left.ops_left, 0);
    }
    return 0;
}

/* A process of its own: a check that fails ends it. */
static int is_caught(uint64_t rounds)
{
    int status;

    fflush(NULL);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        _exit(explore(rounds, 1, 1) != 0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof objects / sizeof *objects; i++)
        if (strcmp(argv[1], objects[i].name) == 0)
            object = &objects[i];
    CHECK(object != NULL);
    if (argc > 3 && strcmp(argv[2], "--caught") == 0) {
        CHECK(is_caught(strtoull(argv[3], NULL, 0)));
        return 0;
    }
    const int rounds = test_rounds(argc > 2 ? atoi(argv[2]) : 10000);
    return explore((uint64_t)rounds, argc > 3 ? strtoull(argv[3], NULL, 0) : 1, 0) != 0;
}
