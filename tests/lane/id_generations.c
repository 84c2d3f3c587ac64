/* A record whose generations are used up is retired: with three of them (two bits), no id comes twice, and one that is
 * stale never resolves again, however many come after it. */
#include <stdlib.h>

#include "lane/world.h"
#include "net/cases.h"
#include "sched/slab.h"

enum { LIVES = 3, IDS = 400 };

static int by_bits(const void *a, const void *b) { return memcmp(a, b, sizeof(weft_id)); }

/* How many records they were: each appears in no more lives than it has. Sorts them. */
static unsigned records(weft_id *ids, unsigned n)
{
    unsigned of_one = 1, all = 1;

    qsort(ids, n, sizeof *ids, by_bits); /* by key, as keys come first */
    for (unsigned i = 1; i < n; i++) {
        CHECK(!weft_id_equal(ids[i - 1], ids[i]));
        const int same = ids[i].key == ids[i - 1].key && ids[i].ns == ids[i - 1].ns; /* timers have their own records */

        of_one = same ? of_one + 1 : 1;
        all += of_one == 1;
        CHECK(of_one <= LIVES);
    }
    return all;
}

static int returns_7(void *arg)
{
    (void)arg;
    return 7;
}

static int resources(void *arg)
{
    static weft_id old[IDS];
    weft_id kept, last;

    (void)arg;
    CHECK_OK(weft_timer_open(&kept));
    for (int i = 0; i < IDS; i++) {
        CHECK_OK(i & 1 ? weft_listen(&old[i], test_address(), NULL) : weft_timer_open(&old[i]));
        CHECK_OK(weft_close(old[i]));
        CHECK_EQ(weft_close(old[i]), -EBADF);
    }
    for (int i = 0; i < IDS; i++)
        CHECK_EQ(weft_close(old[i]), -EBADF);
    CHECK_OK(weft_timer_open(&last));
    for (int i = 0; i < IDS; i++)
        CHECK(!weft_id_equal(old[i], last) && !weft_id_equal(old[i], kept));
    CHECK(records(old, IDS) >= IDS / LIVES);
    CHECK_OK(weft_close(kept));
    return 0;
}

static int fibers(void *arg)
{
    static weft_id old[IDS];
    int r;

    (void)arg;
    for (int i = 0; i < IDS; i++) {
        CHECK_OK(weft_spawn(&old[i], returns_7, NULL));
        CHECK_OK(weft_join(old[i], &r, SOON));
        CHECK_EQ(r, 7);
    }
    for (int i = 0; i < IDS; i++) {
        CHECK_EQ(weft_unpark(old[i]), -ESRCH);
        CHECK_EQ(weft_unpark_in(weft_current(), old[i]), -ESRCH);
        CHECK_EQ(weft_join(old[i], NULL, WEFT_NOW), -ESRCH);
        CHECK_EQ(weft_cancel(old[i]), -ESRCH);
    }
    CHECK(records(old, IDS) >= IDS / LIVES);
    return 0;
}

static int lanes(void *arg)
{
    static weft_id old[IDS];
    weft_message *m;
    int r;

    (void)arg;
    for (int i = 0; i < IDS; i++) {
        CHECK_OK(weft_lane_spawn(&old[i], returns_7, NULL));
        CHECK_OK(weft_lane_join(old[i], &r, SOON));
        CHECK_EQ(r, 7);
    }
    for (int i = 0; i < IDS; i++) {
        CHECK_EQ(weft_send(old[i], "", 1, NULL), -ESRCH);
        CHECK_EQ(weft_cancel(old[i]), -ESRCH);
        CHECK_EQ(weft_kill_in(weft_current(), old[i]), -ESRCH);
        CHECK_EQ(weft_lane_join(old[i], NULL, WEFT_NOW), -ESRCH);
        CHECK_EQ(weft_link(old[i]), -ESRCH);
    }
    CHECK_EQ(weft_receive(&m, WEFT_NOW), -ETIMEDOUT); /* nothing of it came to us */
    CHECK(records(old, IDS) >= IDS / LIVES);
    return 0;
}

static int aliases_and_monitors(void *arg)
{
    static weft_id old[IDS], watch[IDS];
    weft_message *m;

    (void)arg;
    for (int i = 0; i < IDS; i++) {
        CHECK_OK(weft_alias_open(&old[i], 0));
        CHECK_OK(weft_send(old[i], "", 1, NULL));
        CHECK_OK(weft_alias_close(old[i])); /* and what came through it is dropped */
        CHECK_OK(weft_monitor((weft_id){0x80000000u + (uint32_t)i, weft_lane_self().ns, 0xffff}, &watch[i]));
        CHECK_OK(weft_receive(&m, SOON)); /* there is no such lane */
        CHECK_EQ(m->kind, WEFT_MSG_DOWN);
        CHECK_OK(weft_msg_free(m));
    }
    for (int i = 0; i < IDS; i++) {
        CHECK_EQ(weft_send(old[i], "", 1, NULL), -ESRCH);
        CHECK_EQ(weft_alias_close(old[i]), -ESRCH);
        CHECK_EQ(weft_demonitor(watch[i], 1), -ESRCH);
    }
    CHECK_EQ(weft_receive(&m, WEFT_NOW), -ETIMEDOUT);
    CHECK(records(old, IDS) >= IDS / LIVES);
    CHECK(records(watch, IDS) >= IDS / LIVES);
    return 0;
}

static int shared_bytes(void *arg)
{
    static weft_id old[IDS];
    weft_slice s;

    (void)arg;
    for (int i = 0; i < IDS; i++) {
        CHECK_OK(weft_slice_copy(&s, "x", 1));
        old[i] = s.id;
        CHECK_OK(weft_slice_drop(s));
    }
    for (int i = 0; i < IDS; i++)
        CHECK_EQ(weft_slice_drop((weft_slice){old[i]}), -EBADF);
    CHECK(records(old, IDS) >= IDS / LIVES);
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        CASE(resources), CASE(fibers), CASE(lanes), CASE(aliases_and_monitors), CASE(shared_bytes),
    };

    weft__slab_lives = LIVES;
    return RUN(cases, argc, argv);
}
