/* Errors (DESIGN rule 1): failure is a negative errno with a sentence of its own, out-parameters stay as they were,
 * and errno means nothing. */
#include "lane/world.h"

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static const weft_id mark = {0xdeadbeef, 0x1234, 0x5678};

static int seen[4096];

static void error(long long r)
{
    CHECK(r < 0 && r > -4096);
    const char *text = weft_strerror((int)r);
    CHECK(text && *text);
    CHECK(strcmp(text, weft_strerror(-4095)) != 0); /* no "unknown" */
    seen[-r] = 1;
}

#define UNTOUCHED(call)                                                                                                \
    do {                                                                                                               \
        error(call);                                                                                                   \
        CHECK(weft_id_equal(id, mark));                                                                                \
        CHECK_EQ(result, 4711);                                                                                        \
    } while (0)

static int run(int argc, char **argv)
{
    weft_id id = mark, f, l;
    int result = 4711;
    char byte = 0;

    (void)argc, (void)argv;
    UNTOUCHED(weft_spawn(&id, NULL, NULL));
    UNTOUCHED(weft_spawn_with(&id, parks, NULL, .stack_size = 1));
    UNTOUCHED(weft_lane_spawn(&id, NULL, NULL));
    UNTOUCHED(weft_join(WEFT_NOID, &result, WEFT_NEVER));
    UNTOUCHED(weft_join(weft_self(), &result, WEFT_NEVER));
    UNTOUCHED(weft_lane_join(WEFT_NOID, &result, WEFT_NEVER));
    CHECK_OK(weft_spawn(&f, parks, NULL));
    UNTOUCHED(weft_join(f, &result, WEFT_NOW));
    CHECK_OK(weft_lane_spawn(&l, parks, NULL));
    UNTOUCHED(weft_lane_join(l, &result, WEFT_NOW));
    UNTOUCHED(weft_connect(&id, "no address at all", WEFT_NOW));
    UNTOUCHED(weft_listen(&id, "no address at all", NULL));
    UNTOUCHED(weft_connect(&id, "unix:/nonexistent/socket", soon()));
    UNTOUCHED(weft_accept(WEFT_NOID, &id, NULL, WEFT_NOW));
    UNTOUCHED(weft_read(WEFT_NOID, &byte, 1, WEFT_NOW));
    UNTOUCHED(weft_park(WEFT_NOW));
    UNTOUCHED(weft_unpark(WEFT_NOID));
    CHECK_OK(weft_cancel(l));
    CHECK_OK(weft_lane_join(l, &result, WEFT_NEVER));
    CHECK_EQ(result, -ECANCELED);
    error(result);
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_join(f, NULL, WEFT_NEVER));
    return 0;
}

int main(void)
{
    static const int expected[] = {EINVAL, ESRCH, EDEADLK, ETIMEDOUT, EBADF, ECANCELED, EPERM};
    weft_runtime *rt = (void *)&rt;
    weft_id id = mark;

    run_clean(run, 2);
    error(weft_spawn(&id, parks, NULL));
    CHECK(weft_id_equal(id, mark));
    error(weft_start(&rt, &(weft_options){.workers = 1000}));
    CHECK(rt == (void *)&rt);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        CHECK(seen[expected[i]]);
    return 0;
}
