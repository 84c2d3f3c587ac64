/* With nothing to do nothing happens: no tick, no park, no kernel entry, for as long as one looks. */
#include "lane/world.h"
#include "sched/sched.h"

static int parked(void *arg)
{
    bump(arg);
    return weft_park(WEFT_NEVER);
}

static long driver_enters;
static weft_port_driver counted;
static void (*real_enter)(weft_port *port, int64_t deadline_ns);

static void counting_enter(weft_port *port, int64_t deadline_ns)
{
    __atomic_add_fetch(&driver_enters, 1, __ATOMIC_SEQ_CST);
    real_enter(port, deadline_ns);
}

int main(void)
{
    static spy s;
    const weft_port_driver *driver = weft_driver_named(NULL);
    weft_options opt = {.workers = 3, .env = spy_open(&s), .driver = &counted, .blocked_ns = 10 * WEFT_MILLISECOND};
    weft_stats before, after;
    weft_runtime *rt;
    weft_id id[4];
    int there = 0;

    CHECK(driver != NULL);
    counted = *driver;
    real_enter = driver->enter;
    counted.enter = counting_enter;
    CHECK_OK(weft_start(&rt, &opt));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn_in(rt, &id[i], parked, &there, NULL));
    until(&there, 4);

    /* It settles, sooner or later, and the monitor, too, lies down for good: a hang, if not. */
    long enters, parks;
    int64_t pause;
    do {
        CHECK_OK(weft_runtime_stats(rt, &before));
        enters = __atomic_load_n(&driver_enters, __ATOMIC_SEQ_CST);
        parks = spy_get(&s.parks);
        pause = weft_after(250 * WEFT_MILLISECOND);
        while (weft_now() < pause)
            sched_yield();
        CHECK_OK(weft_runtime_stats(rt, &after));
    } while (!weft__load_acquire(&rt->monitor.dormant, "test.settled") || memcmp(&before, &after, sizeof after) != 0 ||
             enters != __atomic_load_n(&driver_enters, __ATOMIC_SEQ_CST) || parks != spy_get(&s.parks));

    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_cancel_in(rt, id[i]));
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_OK(weft_end(rt));
    spy_close(&s);
    return 0;
}
