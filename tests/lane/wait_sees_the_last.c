/* weft_wait returns when the last lane is gone, also when a cancel is on its way to that lane as it ends: then the
 * arrival of the cancel is the last that is heard of it. */
#include "lane/world.h"

enum { ROUNDS = 300 };

static int started, go;

/* Ends while a message to it waits in its worker's inbox. */
static int ends_with_mail(void *arg)
{
    (void)arg;
    put(&started, 1);
    while (!get(&go))
        sched_yield();
    return 0;
}

static int empty(void *arg)
{
    (void)arg;
    return 0;
}

int main(void)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};
    weft_runtime *rt;

    CHECK_OK(weft_start(&rt, &opt));
    for (int i = 0; i < ROUNDS; i++) {
        weft_id id, other;

        put(&started, 0);
        put(&go, 0);
        CHECK_OK(weft_lane_spawn_in(rt, &id, ends_with_mail, NULL, NULL));
        until(&started, 1);
        CHECK_OK(weft_cancel_in(rt, id));
        put(&go, 1);
        if (i % 2) {
            CHECK_OK(weft_lane_spawn_in(rt, &other, empty, NULL, NULL));
            const int r = weft_cancel_in(rt, other);
            CHECK(r == 0 || r == -ESRCH);
        }
        CHECK_OK(weft_wait(rt, WEFT_NEVER)); /* a lost notice hangs here */
        CHECK_EQ(weft_cancel_in(rt, id), -ESRCH);
    }
    CHECK_OK(weft_end(rt));
    spy_close(&s);
    return 0;
}
