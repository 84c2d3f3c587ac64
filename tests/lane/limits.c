/* Limits of a lane and of a runtime: at each there is an answer or a wait, waits are served in order, and what ends, or
 * gives up waiting, gives back exactly what it had (DESIGN rule 11). */
#include "descriptors.h"
#include "lane/world.h"

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

/* Runs fn as a lane with these limits: what it returned. */
static int limited(int (*fn)(void *), const weft_limits *limits)
{
    weft_id l;
    int r;
    CHECK_OK(weft_lane_spawn_with(&l, fn, NULL, .limits = limits));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    return r;
}

/* ---- fibers ---- */

static int three_more_fibers(void *arg)
{
    weft_id f[3], more;
    (void)arg;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++)
            CHECK_OK(weft_spawn(&f[i], parks, NULL));
        CHECK_EQ(weft_spawn(&more, parks, NULL), -EAGAIN);
        CHECK_EQ(weft_spawn_with(&more, parks, NULL, .wait = WEFT_NOW + 1), -EAGAIN); /* that deadline has passed */
        CHECK_EQ(weft_spawn_with(&more, parks, NULL, .wait = weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
        for (int i = 0; i < 3; i++) {
            CHECK_OK(weft_unpark(f[i]));
            CHECK_OK(weft_join(f[i], NULL, soon()));
        }
    }
    return 7;
}

static int turn, order[8];

static int spawns_when_there_is_room(void *arg)
{
    weft_id f;
    int me = *(int *)arg;
    CHECK_OK(weft_spawn_with(&f, parks, NULL, .wait = soon()));
    order[turn++] = me;
    CHECK_OK(weft_unpark(f));
    CHECK_OK(weft_join(f, NULL, soon()));
    return 0;
}

/* Those who wait are served in the order of asking, and nobody who does not wait gets between. */
static int in_order(void *arg)
{
    weft_id f[4], hold, more;
    (void)arg;
    turn = 0;
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_spawn_with(&f[i], spawns_when_there_is_room, &i, .copy = sizeof i));
    CHECK_OK(weft_spawn(&hold, parks, NULL)); /* the sixth: main, four, and this */
    for (int i = 0; i < 8; i++)
        CHECK_OK(weft_yield());
    CHECK_EQ(turn, 0);
    CHECK_OK(weft_unpark(hold));
    CHECK_EQ(weft_spawn(&more, parks, NULL), -EAGAIN);
    CHECK_OK(weft_join(hold, NULL, soon()));
    CHECK_EQ(weft_spawn(&more, parks, NULL), -EAGAIN); /* the room is the first waiter's already */
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_join(f[i], NULL, soon()));
    CHECK_EQ(turn, 4);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(order[i], order[0] + (order[1] - order[0]) * i); /* newborns begin in either order */
    return 7;
}

static int waits_for_ever(void *arg)
{
    weft_id f;
    (void)arg;
    CHECK_EQ(weft_spawn_with(&f, parks, NULL, .wait = WEFT_NEVER), -ECANCELED);
    return 0;
}

/* A waiter that is cancelled leaves the line, and those behind it are served. */
static int cancelled_waiter(void *arg)
{
    weft_id hold, first, second;
    int me = 0;
    (void)arg;
    turn = 0;
    CHECK_OK(weft_spawn(&first, waits_for_ever, NULL));
    CHECK_OK(weft_spawn_with(&second, spawns_when_there_is_room, &me, .copy = sizeof me));
    CHECK_OK(weft_spawn(&hold, parks, NULL));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(first));
    CHECK_OK(weft_join(first, NULL, soon()));
    CHECK_OK(weft_unpark(hold));
    CHECK_OK(weft_join(hold, NULL, soon()));
    CHECK_OK(weft_join(second, NULL, soon()));
    CHECK_EQ(turn, 1);
    return three_more_fibers(NULL);
}

/* ---- weft_room ---- */

static int asks_for_room(void *arg)
{
    weft_id f;
    (void)arg;
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 1, soon()));
    CHECK_OK(weft_spawn(&f, parks, NULL));
    CHECK_OK(weft_unpark(f));
    return weft_join(f, NULL, soon());
}

static int keeps_room(void *arg)
{
    weft_id f[3], more;
    (void)arg;
    CHECK_EQ(weft_room(WEFT_ROOM_FIBERS, 4, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT); /* main is one of four */
    CHECK_EQ(weft_room(WEFT_ROOM_FIBERS, 5, WEFT_NEVER), -EAGAIN); /* never */
    CHECK_EQ(weft_room(WEFT_ROOM_VAT, 1 << 20, WEFT_NEVER), -ENOMEM);
    CHECK_EQ(weft_room(WEFT_ROOM_FIBERS, 0, WEFT_NEVER), -EINVAL);
    CHECK_EQ(weft_room((enum weft_room)99, 1, WEFT_NEVER), -EINVAL);
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 3, WEFT_NOW));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(&f[i], parks, NULL));
    CHECK_EQ(weft_spawn(&more, parks, NULL), -EAGAIN);
    CHECK_EQ(weft_room(WEFT_ROOM_FIBERS, 1, WEFT_NOW), -EAGAIN);
    CHECK_EQ(weft_room(WEFT_ROOM_FIBERS, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_unpark(f[i]));
        CHECK_OK(weft_join(f[i], NULL, soon()));
    }
    /* What is not used is given back at the next wait, and only then. */
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 3, WEFT_NOW));
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 2, WEFT_NEVER)); /* the same room, asked for again */
    CHECK_OK(weft_yield());
    CHECK_OK(weft_spawn(&f[0], asks_for_room, NULL));
    CHECK_OK(weft_spawn(&f[1], asks_for_room, NULL));
    CHECK_OK(weft_join(f[0], NULL, soon()));
    CHECK_OK(weft_join(f[1], NULL, soon()));
    return three_more_fibers(NULL);
}

static int asks_for_too_much(void *arg)
{
    weft_room(WEFT_ROOM_FIBERS, 3, WEFT_NOW); /* and ends with it in hand */
    return arg != NULL;
}

/* ---- child lanes ---- */

static int two_children(void *arg)
{
    weft_id l[2], more;
    (void)arg;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++)
            CHECK_OK(weft_lane_spawn(&l[i], parks, NULL));
        CHECK_EQ(weft_lane_spawn(&more, parks, NULL), -EAGAIN);
        CHECK_EQ(weft_lane_spawn_with(&more, parks, NULL, .wait = weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
        for (int i = 0; i < 2; i++) {
            CHECK_OK(weft_cancel(l[i]));
            CHECK_OK(weft_lane_join(l[i], NULL, soon()));
        }
    }
    return 7;
}

static int ends(void *arg)
{
    (void)arg;
    return 0;
}

/* A stream of detached children through a narrow limit. */
static int children_in_turn(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2000; i++)
        CHECK_OK(weft_lane_spawn_with(NULL, ends, NULL, .wait = soon()));
    return 7;
}

/* ---- ids ---- */

static int three_ids(void *arg)
{
    weft_id l[3], more;
    (void)arg;
    const int before = open_descriptors();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++)
            CHECK_OK(weft_listen(&l[i], test_address(), NULL));
        CHECK_EQ(weft_listen(&more, test_address(), NULL), -EAGAIN);
        CHECK_EQ(weft_room(WEFT_ROOM_IDS, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
        CHECK_OK(weft_close(l[0]));
        CHECK_OK(weft_room(WEFT_ROOM_IDS, 1, soon())); /* a close may take a while */
        CHECK_OK(weft_listen(&l[0], test_address(), NULL));
        for (int i = 0; i < 3; i++)
            CHECK_OK(weft_close(l[i]));
        CHECK_OK(weft_room(WEFT_ROOM_IDS, 3, soon()));
        CHECK_EQ(open_descriptors(), before); /* what was refused was closed */
        CHECK_OK(weft_yield());
    }
    return 7;
}

/* ---- operations ---- */

static int accepts(void *arg)
{
    weft_id conn;
    return weft_accept(*(weft_id *)arg, &conn, NULL, WEFT_NEVER);
}

static int two_ops(weft_id l, int answer)
{
    weft_id f[2], conn;
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_spawn(&f[i], accepts, &l));
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_yield());
    CHECK_EQ(weft_accept(l, &conn, NULL, weft_after(2 * WEFT_MILLISECOND)), answer);
    CHECK_EQ(weft_accept(l, &conn, NULL, WEFT_NOW), -EAGAIN);
    for (int i = 0; i < 2; i++) {
        int r;
        CHECK_OK(weft_cancel(f[i]));
        CHECK_OK(weft_join(f[i], &r, soon()));
        CHECK_EQ(r, -ECANCELED);
        CHECK_EQ(weft_accept(l, &conn, NULL, weft_after(2 * WEFT_MILLISECOND)), -ETIMEDOUT); /* there is room again */
    }
    return 0;
}

static int ops_refused(void *arg)
{
    weft_id l;
    (void)arg;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    two_ops(l, -EAGAIN);
    two_ops(l, -EAGAIN);
    CHECK_OK(weft_close(l)); /* whatever the limit */
    return 7;
}

static int ops_wait(void *arg)
{
    weft_id l;
    (void)arg;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    two_ops(l, -ETIMEDOUT);
    two_ops(l, -ETIMEDOUT);
    return 7;
}

/* ---- all of it in lanes ---- */

static int of_a_lane(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_EQ(limited(three_more_fibers, &(weft_limits){.fibers = 4}), 7);
    CHECK_EQ(limited(in_order, &(weft_limits){.fibers = 6}), 7);
    CHECK_EQ(limited(cancelled_waiter, &(weft_limits){.fibers = 4}), 7);
    CHECK_EQ(limited(keeps_room, &(weft_limits){.fibers = 4, .vat_bytes = 4096}), 7);
    CHECK_EQ(limited(asks_for_too_much, &(weft_limits){.fibers = 4}), 0);
    CHECK_EQ(limited(two_children, &(weft_limits){.lanes = 2}), 7);
    CHECK_EQ(limited(children_in_turn, &(weft_limits){.lanes = 2}), 7);
    CHECK_EQ(limited(three_ids, &(weft_limits){.ids = 3}), 7);
    CHECK_EQ(limited(ops_refused, &(weft_limits){.ops = 2}), 7);
    CHECK_EQ(limited(ops_wait, &(weft_limits){.ops = 2, .ops_wait = 1}), 7);
    return 0;
}

/* ---- the runtime's ---- */

static int crowded(void *arg)
{
    weft_id f;
    int r;
    (void)arg;
    for (int i = 0; i < 300; i++) {
        CHECK_OK(weft_spawn_with(&f, ends, NULL, .wait = soon()));
        CHECK_OK(weft_join(f, &r, soon()));
        CHECK_EQ(r, 0);
    }
    return 0;
}

/* Lanes on all workers share what little there is, and each gets its turn. */
static int share(int argc, char **argv)
{
    weft_id l[8], f[3];
    int r;
    (void)argc, (void)argv;
    for (int i = 0; i < 8; i++)
        CHECK_OK(weft_lane_spawn_with(&l[i], crowded, NULL, .wait = soon()));
    for (int i = 0; i < 8; i++) {
        CHECK_OK(weft_lane_join(l[i], &r, soon()));
        CHECK_EQ(r, 0);
    }
    for (int i = 0; i < 3; i++) /* of 12: main, and 8 that have ended */
        CHECK_OK(weft_spawn(&f[i], parks, NULL));
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 8, soon()));
    CHECK_EQ(weft_room(WEFT_ROOM_FIBERS, 9, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 8, WEFT_NOW));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weft_unpark(f[i]));
        CHECK_OK(weft_join(f[i], NULL, soon()));
    }
    return 0;
}

static int waits_in_vain(void *arg)
{
    weft_id f;
    (void)arg;
    for (;;) {
        int r = weft_spawn_with(&f, ends, NULL, .wait = weft_after(100 * WEFT_MICROSECOND));
        if (r == -ECANCELED)
            return 0;
        CHECK(r == 0 || r == -ETIMEDOUT || r == -EAGAIN);
        if (r == 0)
            CHECK(weft_join(f, NULL, WEFT_NEVER) <= 0);
    }
}

/* Waiters on all workers come, are served, time out and are cancelled at once: afterwards all the room is there. */
static int come_and_go(int argc, char **argv)
{
    weft_id l[8];
    uint64_t seed = 1;
    (void)argc, (void)argv;
    for (int round = 0; round < 50; round++) {
        /* Those that run take room meanwhile. */
        for (int i = 0; i < 8; i++)
            CHECK_OK(weft_lane_spawn_with(&l[i], waits_in_vain, NULL, .wait = soon()));
        CHECK_OK(weft_sleep(weft_after((int64_t)(next_random(&seed) % 400) * WEFT_MICROSECOND)));
        for (int i = 0; i < 8; i++)
            CHECK_OK(weft_cancel(l[i]));
        for (int i = 0; i < 8; i++)
            CHECK_OK(weft_lane_join(l[i], NULL, soon()));
        CHECK_OK(weft_room(WEFT_ROOM_FIBERS, 9, soon()));
        CHECK_EQ(weft_room(WEFT_ROOM_FIBERS, 10, WEFT_NOW), -EAGAIN);
        CHECK_OK(weft_yield());
    }
    return 0;
}

static int lanes_of_all(int argc, char **argv)
{
    weft_id l[4];
    (void)argc, (void)argv;
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn(&l[i], parks, NULL));
    CHECK_EQ(weft_lane_spawn(&l[0], parks, NULL), -EAGAIN);
    CHECK_EQ(weft_room(WEFT_ROOM_LANES, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_cancel(l[i]));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, soon()));
    CHECK_OK(weft_room(WEFT_ROOM_LANES, 4, WEFT_NOW));
    return children_in_turn(NULL) - 7;
}

/* A lane's limit and the runtime's: the tighter one speaks, and what the one refuses is not charged to the other. */
static int both(void *arg)
{
    weft_id l;
    (void)arg;
    for (int i = 0; i < 20; i++)
        CHECK_EQ(weft_listen(&l, test_address(), NULL), -EAGAIN);
    return 7;
}

static int ids_of_all(int argc, char **argv)
{
    weft_id l[2];
    (void)argc, (void)argv;
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_listen(&l[i], test_address(), NULL));
    CHECK_EQ(limited(both, &(weft_limits){.ids = 9}), 7);
    CHECK_OK(weft_close(l[0]));
    CHECK_OK(weft_room(WEFT_ROOM_IDS, 1, soon()));
    CHECK_OK(weft_listen(&l[0], test_address(), NULL));
    CHECK_EQ(weft_room(WEFT_ROOM_IDS, 1, WEFT_NOW), -EAGAIN);
    return 0;
}

static int ops_of_all(int argc, char **argv)
{
    weft_id l;
    (void)argc, (void)argv;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    return two_ops(l, -ETIMEDOUT);
}

/* ---- room that was asked for and never used ---- */

enum { BEGUN = 1, ASKED, KEPT, LET_GO };
static int step, keeper = -1;

static void reach(int n) { put(&step, n); }

static void await_step(int n)
{
    while (get(&step) < n)
        CHECK_OK(weft_yield());
}

/* Keeps its worker from the moment when the other lane has ended there until its record is another's;
 * the first of several. */
static int keeps_its_worker(void *arg)
{
    int none = -1;
    if (!__atomic_compare_exchange_n(&keeper, &none, *(const int *)arg, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return 0;
    reach(BEGUN);
    await_step(ASKED);
    until(&step, KEPT);
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    reach(LET_GO);
    return 0;
}

static int asks_and_ends(void *arg)
{
    (void)arg;
    CHECK_OK(weft_room(WEFT_ROOM_OPS, 1, WEFT_NOW));
    reach(ASKED);
    return 0;
}

static int has_all_its_room(void *arg)
{
    (void)arg;
    reach(KEPT);
    await_step(LET_GO);
    return weft_room(WEFT_ROOM_OPS, 3, WEFT_NOW);
}

/* It goes back as the lane ends, and not later: the books may be another lane's then. */
static int room_of_the_dead(int argc, char **argv)
{
    const weft_limits limits = {.ops = 3};
    enum { SEVERAL = 4 };
    weft_info info;
    weft_id k[SEVERAL], l;
    int r = 1;
    (void)argc, (void)argv;
    CHECK_OK(weft_runtime_info(weft_current(), &info));
    if (info.mode == WEFT_PER_CORE)
        return 0; /* what follows is about two workers, and nothing would take the keeper to the other */
    for (int i = 0; i < SEVERAL; i++) /* one alone would not be announced to the other worker */
        CHECK_OK(weft_lane_spawn_with(&k[i], keeps_its_worker, &i, .copy = sizeof i));
    until(&step, BEGUN);
    CHECK_OK(weft_lane_spawn_with(&l, asks_and_ends, NULL, .limits = &limits, .near = k[get(&keeper)]));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 0);
    CHECK_OK(weft_lane_spawn_with(&l, has_all_its_room, NULL, .limits = &limits, .pinned = 1));
    CHECK_OK(weft_lane_join(l, &r, soon()));
    CHECK_EQ(r, 0);
    for (int i = 0; i < SEVERAL; i++)
        CHECK_OK(weft_lane_join(k[i], NULL, soon()));
    return 0;
}

static void under(weft_options opt, int (*fn)(int, char **))
{
    static spy s;
    opt.env = spy_open(&s);
    opt.blocked_ns = -1;
    CHECK_EQ(run_main_with(fn, &opt), 0);
    spy_close(&s);
}

int main(void)
{
    CHECK_EQ(weft_room(WEFT_ROOM_FIBERS, 1, WEFT_NOW), -EPERM);
    run_clean(of_a_lane, 2);
    under((weft_options){.workers = 3, .max_fibers = 12}, share);
    under((weft_options){.workers = 3, .max_fibers = 10}, come_and_go);
    under((weft_options){.workers = 3, .max_lanes = 4}, lanes_of_all);
    under((weft_options){.workers = 2, .max_ids = 2}, ids_of_all);
    under((weft_options){.workers = 2, .max_ops = 2, .ops_wait = 1}, ops_of_all);
    under((weft_options){.workers = 2}, room_of_the_dead);
    return 0;
}
