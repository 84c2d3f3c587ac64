/* An accept loop that cannot make its listeners, as descriptors have run out, says so each time, and leaves
 * no lane behind: with a limit on lanes, the answer would change. Simulated: one listener per worker in
 * per-core mode, and few descriptors. */
#include <errno.h>

#include <weft/sim.h>
#include <weft/weft.h>

#include "test.h"

enum { LANES = 40, TRIES = 100, HANDLES = 12 };

static int nobody(void *arg)
{
    (void)arg;
    return 0;
}

static int start(int argc, char **argv)
{
    weft_id listener, hog;

    (void)argc, (void)argv;
    CHECK_OK(weft_listen(&listener, test_address(), NULL));
    while (weft_listen(&hog, test_address(), NULL) == 0)
        ;
    for (int i = 0; i < TRIES; i++)
        CHECK_EQ(weft_accept_each(listener, nobody, NULL), -EMFILE);
    return 0;
}

static int program(void *arg) { return weft_main(start, 0, NULL, arg); }

int main(void)
{
    weft_options opt = {.mode = WEFT_PER_CORE, .workers = 3, .max_lanes = LANES};

#ifdef WEFT_BIND_DIRECT
    SKIP("the environment is bound directly");
#endif
    CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = 1, .max_handles = HANDLES}, program, &opt, NULL), 0);
    return 0;
}
