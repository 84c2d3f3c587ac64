/* Inside somebody else's event loop: one descriptor to poll, one call to make. */
#include <poll.h>

#include "lane/world.h"

static weft_runtime *rt;
static int counted;

static int count_after_a_while(void *arg)
{
    (void)arg;
    CHECK_OK(weft_sleep(weft_after(2 * WEFT_MILLISECOND)));
    bump(&counted);
    return 0;
}

static int count(void *arg)
{
    (void)arg;
    bump(&counted);
    return 0;
}

static int tree(void *arg)
{
    weft_id id[5];
    int r = -1;

    for (int i = 0; i < 5; i++)
        CHECK_OK(weft_lane_spawn(&id[i], count_after_a_while, arg));
    for (int i = 0; i < 5; i++) {
        CHECK_OK(weft_lane_join(id[i], &r, WEFT_NEVER));
        CHECK_EQ(r, 0);
    }
    return 0;
}

/* A host's loop: polls until there is something to do, and never longer than the next timer. */
static void loop(const int *what, int n)
{
    weft_handle h;

    CHECK_OK(weft_pollable(rt, &h));
    while (get(what) < n) {
        int64_t next = 0;
        const int r = weft_run_once(rt, WEFT_NOW, &next);

        CHECK_OK(r);
        if (r == 1 || get(what) >= n)
            continue;
        const int64_t wait = next == WEFT_NEVER ? -1 : (next - weft_now() + WEFT_MILLISECOND - 1) / WEFT_MILLISECOND;
        struct pollfd p = {.fd = (int)h, .events = POLLIN};
        CHECK(poll(&p, 1, wait < 0 && next != WEFT_NEVER ? 0 : (int)wait) >= 0);
    }
}

static void begin(spy *s)
{
    weft_options opt = {.workers = 1, .env = spy_open(s), .external_workers = 1};

    put(&counted, 0);
    CHECK_OK(weft_start(&rt, &opt));
}

static void finish(spy *s)
{
    CHECK_OK(weft_stop(rt));
    while (weft_run_once(rt, WEFT_NEVER, NULL) != -ESHUTDOWN)
        continue;
    CHECK_EQ(weft_run_once(rt, WEFT_NOW, NULL), -ESHUTDOWN);
    CHECK_OK(weft_end(rt));
    SPY_SILENT(s);
    spy_close(s);
}

static void *spawner(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++)
        CHECK_OK(weft_lane_spawn_in(rt, NULL, count, NULL, NULL));
    return NULL;
}

static int is_single_io(void)
{
    weft_info info;
    CHECK_OK(weft_runtime_info(rt, &info));
    return info.mode == WEFT_SINGLE_IO;
}

int main(void)
{
    static spy s;
    weft_handle h;
    int n = 500;

    CHECK_EQ(weft_pollable(NULL, &h), -EINVAL);
    CHECK_EQ(weft_run_once(NULL, WEFT_NOW, NULL), -EINVAL);

    begin(&s);
    if (is_single_io()) { /* the port is another thread's: there is nothing to poll, but running works */
        CHECK_EQ(weft_pollable(rt, &h), -ENOTSUP);
        CHECK_OK(weft_lane_spawn_in(rt, NULL, tree, NULL, NULL));
        while (get(&counted) < 5)
            CHECK_OK(weft_run_once(rt, WEFT_NEVER, NULL));
        finish(&s);
        return 0;
    }
    CHECK_OK(weft_lane_spawn_in(rt, NULL, tree, NULL, NULL)); /* before the loop begins */
    loop(&counted, 5);
    const pthread_t t = thread_of(spawner, &n); /* and while it polls: a lost notice hangs */
    loop(&counted, 5 + n);
    pthread_join(t, NULL);
    finish(&s);

    /* Without the descriptor: the call itself waits. */
    begin(&s);
    CHECK_OK(weft_lane_spawn_in(rt, NULL, tree, NULL, NULL));
    while (get(&counted) < 5)
        CHECK_OK(weft_run_once(rt, WEFT_NEVER, NULL));
    CHECK(weft_current() == NULL);
    CHECK_EQ(weft_run_once(rt, weft_after(WEFT_MILLISECOND), NULL), 0);
    finish(&s);
    return 0;
}
