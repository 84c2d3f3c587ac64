/* What a lane does in one turn of its worker is bounded, however many ids or children it has: counted by a fiber of
 * another lane that has a turn of its own between any two of them. One worker, so that turns are turns. */
#include "lane/world.h"

#include "lane/realm.h"

enum { MANY = 3000, A_TURN = 2 * 64 /* a slice, and one that was begun before we looked */ };

static weft_id ids[MANY];
static weft_id lane;
static int ready, gone;

/* ---- what is left ---- */

static weft__lane *record_of(weft_id id) { return weft__slab_at(&weft__lanes_of(weft_current())->lanes, id.key); }
static uint32_t word_of(const weft__slab_head *head) { return __atomic_load_n(&head->word, __ATOMIC_ACQUIRE); }

static int open_ids(void)
{
    int n = 0;
    for (int i = 0; i < MANY; i++) {
        const weft__resource *r = weft__slab_at(&weft__lanes_of(weft_current())->small, ids[i].key);
        n += WEFT__GEN(word_of(&r->head)) == ids[i].gen;
    }
    return n;
}

/* Children that nobody has told anything yet. */
static int untold(void)
{
    int n = 0;
    for (int i = 0; i < MANY; i++) {
        const weft__lane *l = record_of(ids[i]);
        n += weft__slab_is(word_of(&l->head), ids[i].gen) && !(word_of(&l->head) & WEFT__SIG_PENDING) && !l->crew.cancelled;
    }
    return n;
}

/* Children whose records are there. */
static int unburied(void)
{
    int n = 0;
    for (int i = 0; i < MANY; i++)
        n += weft__slab_is(word_of(&record_of(ids[i])->head), ids[i].gen);
    return n;
}

/* Watches a figure go from all of them to none. */
static void watch(int (*left)(void))
{
    int before = MANY, turns = 0;
    for (;;) {
        const int now = left();
        if (before - now > A_TURN)
            TEST_FAIL("%d in one turn", before - now);
        turns += now < before;
        before = now;
        if (!now)
            break;
        CHECK_OK(weft_yield());
    }
    CHECK(turns >= MANY / A_TURN);
}

/* ---- lanes with many ---- */

static int parks(void *arg)
{
    (void)arg;
    bump(&ready);
    return weft_park(WEFT_NEVER);
}

static int ends(void *arg)
{
    (void)arg;
    bump(&gone);
    return 0;
}

static int with_ids(void *arg)
{
    for (int i = 0; i < MANY; i++)
        CHECK_OK(weft_timer_open(&ids[i]));
    return parks(arg);
}

static int with_children(void *arg)
{
    for (int i = 0; i < MANY; i++)
        CHECK_OK(weft_lane_spawn_with(&ids[i], parks, NULL, .stack_size = 16 << 10));
    while (get(&ready) < MANY)
        CHECK_OK(weft_yield());
    return parks(arg);
}

/* They have ended, and nobody has joined them. */
static int with_ended_children(void *arg)
{
    for (int i = 0; i < MANY; i++)
        CHECK_OK(weft_lane_spawn_with(&ids[i], ends, NULL, .stack_size = 16 << 10));
    while (get(&gone) < MANY || !record_of(ids[MANY - 1])->told)
        CHECK_OK(weft_yield());
    return parks(arg);
}

static void begin(int (*fn)(void *), int parked)
{
    put(&ready, 0);
    put(&gone, 0);
    CHECK_OK(weft_lane_spawn(&lane, fn, NULL));
    while (get(&ready) < parked)
        CHECK_OK(weft_yield());
}

static void end(int wanted)
{
    int r;
    CHECK_OK(weft_lane_join(lane, &r, soon()));
    CHECK_EQ(r, wanted);
}

static void closing(int (*stop)(weft_id), int wanted)
{
    begin(with_ids, 1);
    CHECK_EQ(open_ids(), MANY);
    CHECK_OK(stop(lane));
    watch(open_ids);
    end(wanted);
}

static void telling(int (*stop)(weft_id), int wanted)
{
    begin(with_children, MANY + 1);
    CHECK_EQ(untold(), MANY);
    CHECK_OK(stop(lane));
    watch(untold);
    end(wanted);
    CHECK_EQ(unburied(), 0);
}

static void giving_up(void)
{
    begin(with_ended_children, 1);
    CHECK_EQ(unburied(), MANY);
    CHECK_OK(weft_cancel(lane));
    watch(unburied);
    end(-ECANCELED);
}

/* Told twice, the second time in the middle of the first. */
static void telling_twice(void)
{
    begin(with_children, MANY + 1);
    CHECK_OK(weft_cancel(lane));
    while (untold() == MANY)
        CHECK_OK(weft_yield());
    CHECK(untold() > 0);
    CHECK_OK(weft_kill(lane));
    end(-ECANCELED);
    CHECK_EQ(unburied(), 0);
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    closing(weft_cancel, -ECANCELED);
    closing(weft_kill, -ECANCELED);
    telling(weft_cancel, -ECANCELED);
    telling(weft_kill, -ECANCELED);
    giving_up();
    telling_twice();
    return 0;
}

int main(void)
{
    static spy s;
    weft_options opt = {.workers = 1, .mode = WEFT_SHARED, .env = spy_open(&s), .blocked_ns = -1};
    CHECK_EQ(run_main_with(start, &opt), 0);
    SPY_SILENT(&s);
    spy_close(&s);
    return 0;
}
