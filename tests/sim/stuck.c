/* Under many schedules: a program in which nothing can run any more always ends as one, and one that goes on is never
 * taken for it. Lanes on three workers pass items round without a deadline anywhere; then all ends well, or one waits
 * for an item too many, or for a thread that has announced itself.
 *
 *     sim-stuck [rounds]          WEFT_SIM_SEED: that one run
 *     sim-stuck --caught rounds   succeeds if something fails, in a build with that broken on purpose */
#include <unistd.h>

static void leave(int status);
#define _exit(status) leave(status)
#include <weft/sim.h>

#include "sync/world.h"
#undef _exit

#include <sys/wait.h>

enum { LANES = 3, ITEMS = 4 };
enum plan { ENDS, LACKS_AN_ITEM, HAS_A_GUEST, IS_LET_DOWN, PLANS };

static void leave(int status)
{
    if (status != 0 && status != 77)
        weft_sim_failed("a check failed");
    (_exit)(status);
}

static weft_channel ring[LANES];
static int items[LANES][1];
static enum plan plan;
static weft_runtime *rt;
static weft_id sleeper;

/* Gives what comes from its neighbour on to the next. */
static int passes(void *arg)
{
    const intptr_t i = (intptr_t)arg;
    int item = 0;

    for (int n = 0; n < ITEMS; n++) {
        if (i == 0 && n == 0)
            CHECK_OK(weft_channel_send(&ring[1], &item, WEFT_NEVER));
        CHECK_OK(weft_channel_receive(&ring[i], &item, WEFT_NEVER));
        item++;
        if (i != 0 || n + 1 < ITEMS)
            CHECK_OK(weft_channel_send(&ring[(i + 1) % LANES], &item, WEFT_NEVER));
    }
    if (i == 0 && plan == LACKS_AN_ITEM)
        CHECK_OK(weft_channel_receive(&ring[i], &item, WEFT_NEVER));
    return 0;
}

/* A thread of the simulation that is none of the runtime's. */
static void guest(void *arg)
{
    const weft_env *env = weft_sim_env();
    weft_parker nobody = {0};

    (void)arg;
    env->park(env->self, &nobody, env->now(env->self) + (int64_t)weft_sim_random(40) * WEFT_MICROSECOND);
    if (plan == HAS_A_GUEST)
        CHECK_OK(weft_unpark_in(rt, sleeper));
    CHECK_OK(weft_guest_leave(rt));
}

static int start(int argc, char **argv)
{
    const weft_env *env = weft_sim_env();
    weft_thread *t = NULL;
    weft_id l[LANES];

    (void)argc, (void)argv;
    rt = weft_current();
    sleeper = weft_self();
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_channel_init(&ring[i], sizeof(int), weft_sim_random(2), items[i]));
    for (intptr_t i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&l[i], passes, (void *)i));
    if (plan >= HAS_A_GUEST) {
        CHECK_OK(weft_guest_enter(rt));
        CHECK_OK(env->thread_start(env->self, &t, &(weft_thread_options){.name = "guest"}, guest, NULL));
    }
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, WEFT_NEVER));
    if (plan >= HAS_A_GUEST)
        CHECK_OK(weft_park(WEFT_NEVER));
    return 0;
}

static int program(void *arg)
{
    static const enum weft_mode modes[] = {WEFT_SHARED, WEFT_PER_CORE, WEFT_SINGLE_IO};
    const uint64_t seed = *(uint64_t *)arg;

    plan = (enum plan)(seed / 3 % PLANS);
    const int expected = plan == LACKS_AN_ITEM || plan == IS_LET_DOWN ? WEFT_EXIT_DEADLOCK : 0;
    const int r = weft_main(start, 0, NULL, &(weft_options){.workers = 3, .mode = modes[seed % 3], .blocked_ns = -1});
    return r == expected ? 0 : r ? r : 1;
}

static int explore(uint64_t rounds)
{
    const char *given = getenv("WEFT_SIM_SEED");

    for (uint64_t seed = given ? strtoull(given, NULL, 0) : 1, n = 0; test_again(n, given ? 1 : rounds); seed++, n++) {
        const weft_sim_options opt = {.seed = seed, .switch_every = 1 + (unsigned)(seed % 11), .max_steps = 2000000, .quiet = !given};
        const int r = weft_sim_run(&opt, program, &seed, NULL);
        if (r != 0) {
            fprintf(stderr, "%d; again with WEFT_SIM_SEED=%llu\n", r, (unsigned long long)seed);
            return r;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3 || strcmp(argv[1], "--caught") != 0)
        return explore((uint64_t)test_rounds(argc > 1 ? atoi(argv[1]) : 2000)) != 0;

    int status;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        (_exit)(explore(strtoull(argv[2], NULL, 0)) != 0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(!(WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return 0;
}
