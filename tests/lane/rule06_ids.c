/* Ids and rights (DESIGN rule 6): of resources -EPERM outside their lane, -EBADF when stale, -EINVAL for a wrong
 * kind, -EBADF from another runtime; ids of ended lanes and fibers -ESRCH; made-up ids never more than that. All
 * resources go with their lane. */
#include "lane/world.h"

static weft_runtime *rt;

#define KEYS 0x80000000u /* where they begin */

static void refused(weft_id id, int why)
{
    weft_addr a;
    weft_id conn;

    CHECK_EQ(weft_accept(id, &conn, NULL, WEFT_NOW), why);
    CHECK_EQ(weft_local_addr(id, &a), why);
    CHECK_EQ(weft_close(id), why);
}

static int stranger(void *arg)
{
    refused(*(weft_id *)arg, -EPERM);
    return 0;
}

static int in_another_runtime(int argc, char **argv)
{
    weft_id *id = (void *)argv;

    CHECK_EQ(argc, 1);
    refused(*id, -EBADF);
    return 0;
}

static void *other_runtime(void *arg)
{
    weft_options opt = {.workers = 1};

    CHECK_EQ(weft_main(in_another_runtime, 1, arg, &opt), 0);
    return NULL;
}

static int leaves_open(void *arg)
{
    weft_id l;

    for (int i = 0; i < 5; i++)
        CHECK_OK(weft_listen(&l, test_address(), NULL));
    *(weft_id *)arg = l;
    return 0;
}

static void wrong_kinds(weft_id listener)
{
    char c;

    CHECK_EQ(weft_read(listener, &c, 1, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_close(weft_self()), -EINVAL);
    CHECK_EQ(weft_close(weft_lane_self()), -EINVAL);
    CHECK_EQ(weft_close(WEFT_NOID), -EBADF);
    CHECK_EQ(weft_cancel(listener), -EINVAL);
    CHECK_EQ(weft_join(listener, NULL, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_lane_join(listener, NULL, WEFT_NOW), -EINVAL);
    CHECK_EQ(weft_unpark(listener), -EINVAL);
}

/* Every key and generation near what exists, and far from it: an answer, never a crash. */
static void made_up(void)
{
    const uint16_t of_fibers = weft_self().ns, of_lanes = weft_lane_self().ns;
    uint64_t state = 1;

    for (int i = 0; i < 20000; i++) {
        const uint32_t key = i % 2 ? next_random(&state) : KEYS + (uint32_t)i % 3000;
        const uint16_t ns = i % 3 ? of_fibers : i % 5 ? of_lanes : (uint16_t)next_random(&state);
        const weft_id id = {key, ns, (uint16_t)(0x8003 + next_random(&state) % 30000)};
        int r = weft_unpark(id);
        CHECK(r == -ESRCH || r == -EINVAL);
        r = weft_cancel(id);
        CHECK(r == -ESRCH || r == -EPERM || r == -EINVAL);
        CHECK_EQ(weft_cancel_in(rt, id), r); /* a fiber is no foreign thread */
        CHECK(weft_close(id) < 0);
        CHECK(weft_join(id, NULL, WEFT_NOW) < 0);
        CHECK(weft_lane_join(id, NULL, WEFT_NOW) < 0);
    }
    for (uint32_t key = KEYS; key < KEYS + 3000; key++) { /* the first generation of records that no fiber ever had */
        const weft_id id = {key, of_fibers, 0x8000};
        const int r = weft_unpark_in(rt, id);
        CHECK(r == 0 || r == -ESRCH);
    }
}

static int run(int argc, char **argv)
{
    weft_id listener, second, lane, left;
    int r;

    (void)argc, (void)argv;
    rt = weft_current();
    CHECK_OK(weft_listen(&listener, test_address(), NULL));
    for (int pinned = 0; pinned < 2; pinned++) {
        CHECK_OK(weft_lane_spawn_with(&lane, stranger, &listener, .pinned = pinned));
        CHECK_OK(weft_lane_join(lane, &r, WEFT_NEVER));
        CHECK_EQ(r, 0);
    }
    wrong_kinds(listener);
    const pthread_t t = thread_of(other_runtime, &listener);
    pthread_join(t, NULL);
    CHECK_OK(weft_close(listener));
    refused(listener, -EBADF);
    for (int i = 0; i < 50; i++) { /* its record serves others now */
        CHECK_OK(weft_listen(&second, test_address(), NULL));
        CHECK(!weft_id_equal(second, listener));
        refused(listener, -EBADF);
        CHECK_OK(weft_close(second));
    }
    const int before = dup(0);
    close(before);
    CHECK_OK(weft_lane_spawn(&lane, leaves_open, &left));
    CHECK_OK(weft_lane_join(lane, &r, WEFT_NEVER));
    const int after = dup(0); /* told only after the last close */
    close(after);
    CHECK(after <= before); /* fewer, if closes of before were still under way */
    refused(left, -EBADF);
    made_up();
    return 0;
}

int main(void)
{
    run_clean(run, 2);
    return 0;
}
