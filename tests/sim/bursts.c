/* Connections that are all there before the first is accepted, under many schedules: the workers share them evenly, and
 * whether they are served, or the lane that accepts is killed or the runtime stopped at any moment, afterwards none is
 * counted among those to come. */
#include <weft/sim.h>
#include <weft/weft.h>

#include "sched/sched.h"
#include "test.h"

enum { CLIENTS = 24, SEEDS = 400, WINDOW = 60 * WEFT_MICROSECOND };

enum way { SERVED, KILLED, STOPPED, WAYS };

static struct {
    weft_options options;
    enum way way;
    char address[WEFT_ADDR_TEXT];
    weft_id sock[CLIENTS];
    int64_t opens; /* when it accepts */
    unsigned begun;
} burst;

static int visit(void *arg)
{
    char c;

    burst.begun++; /* one thread stands for all workers */
    weft_read(*(weft_id *)arg, &c, 1, WEFT_NEVER);
    return 0;
}

/* Before it accepts, the other lane connects. */
static int serve(void *arg)
{
    weft_id listener;
    weft_addr at;

    (void)arg;
    CHECK_OK(weft_listen(&listener, test_address(), NULL));
    CHECK_OK(weft_local_addr(listener, &at));
    burst.opens = weft_after(WEFT_SECOND);
    weft_addr_format(&at, burst.address, sizeof burst.address);
    if (weft_sleep(burst.opens) == 0)
        weft_accept_each(listener, visit, NULL);
    return 0;
}

static void connect_all(void)
{
    while (!*burst.address)
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    for (unsigned i = 0; i < CLIENTS; i++)
        CHECK_OK(weft_connect(&burst.sock[i], burst.address, WEFT_NEVER));
}

static void check_shares(const weft_runtime *rt)
{
    uint32_t fewest = UINT32_MAX, most = 0;

    for (unsigned i = rt->first_cpu_worker; i < rt->workers; i++) {
        const uint32_t n = rt->worker[i]->load;

        fewest = n < fewest ? n : fewest;
        most = n > most ? n : most;
    }
    CHECK(most <= fewest + 5 + fewest / 8);
}

static void nobody_is_to_come(const weft_runtime *rt)
{
    for (unsigned i = 0; i < rt->workers; i++)
        CHECK_EQ(rt->worker[i]->coming, 0);
}

static int start(void *arg)
{
    weft_runtime *rt = weft_current();
    weft_id server;

    (void)arg;
    CHECK_OK(weft_lane_spawn(&server, serve, NULL));
    connect_all();
    if (burst.way == SERVED) {
        while (burst.begun < CLIENTS)
            CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
        check_shares(rt);
        nobody_is_to_come(rt);
    } else {
        CHECK_OK(weft_sleep(burst.opens + (int64_t)weft_sim_random(WINDOW)));
    }
    CHECK_OK(burst.way == STOPPED ? weft_stop(rt) : weft_kill(server));
    if (burst.way != STOPPED)
        CHECK_OK(weft_lane_join(server, NULL, WEFT_NEVER));
    return 0;
}

/* Looked at when all lanes are gone, and the workers are still there. */
static int program(void *arg)
{
    weft_runtime *rt;

    (void)arg;
    CHECK_OK(weft_start(&rt, &burst.options));
    CHECK_OK(weft_lane_spawn_in(rt, NULL, start, NULL, NULL));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    nobody_is_to_come(rt);
    CHECK_OK(weft_end(rt));
    return 0;
}

int main(int argc, char **argv)
{
    const uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 0) : SEEDS;

    for (uint64_t seed = 1; test_again(seed - 1, seeds); seed++) {
        weft_sim_result r;

        burst.options = (weft_options){.mode = WEFT_SHARED, .workers = 2 + (unsigned)(seed % 3)};
        burst.way = (enum way)(seed / 3 % WAYS);
        burst.begun = 0;
        burst.address[0] = 0;
        CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed}, program, NULL, &r), 0);
        CHECK_EQ(r.handles_left, 0);
        CHECK_EQ(r.ops_left, 0);
    }
    return 0;
}
