/* A newborn lane has its turn on a worker whose fibers are never idle (DESIGN rule 7 and section 4:
 * a bounded turn for the oldest), in the time of a few dozen switches. Counted in switches: what a tick
 * may take is no measure of fairness. */
#include "lane/world.h"
#include "sched/sched.h"

enum { TURN = WEFT__OLDEST_TURN, ROUNDS = 50, LANES = 20 };

static int born;

static int is_born(void *arg)
{
    (void)arg;
    born++;
    return 0;
}

static int yields_until(unsigned lanes)
{
    int n = 0;
    while (get(&born) < (int)lanes && n < 1000000) {
        CHECK_OK(weft_yield());
        n++;
    }
    return n;
}

static int stops;

static int spins(void *arg)
{
    (void)arg;
    while (!stops)
        CHECK_OK(weft_yield());
    return 0;
}

static int turns(int argc, char **argv)
{
    weft_id l[LANES], f;

    (void)argc, (void)argv;
    for (int i = 0; i < ROUNDS; i++) { /* alone with a fiber that yields */
        put(&born, 0);
        CHECK_OK(weft_lane_spawn(&l[0], is_born, NULL));
        CHECK(yields_until(1) <= 2 * TURN);
        CHECK_OK(weft_lane_join(l[0], NULL, soon()));
    }
    CHECK_OK(weft_spawn(&f, spins, NULL)); /* and with two that take turns: of theirs each is half */
    put(&born, 0);
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&l[i], is_born, NULL));
    CHECK(yields_until(LANES) <= (LANES + 1) * TURN);
    stops = 1;
    CHECK_OK(weft_join(f, NULL, soon()));
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, soon()));
    return 0;
}

int main(void)
{
    weft_options opt = {.workers = 1, .blocked_ns = -1};

    CHECK_OK(run_main_with(turns, &opt));
    return 0;
}
