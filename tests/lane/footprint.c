/* What a parked lane with one fiber costs beside its stack: at most 512 bytes. Counted by the pools, every one of them,
 * so that no record is forgotten; and by what the runtime asked its environment for, so that no pool is. */
#include "lane/world.h"

#include "lane/realm.h"

enum { N = 2048, BAR = 512, HELD_BACK = 512 << 10 /* in the last chunks, which no lane has yet */ };

static spy watcher;

typedef struct pool {
    weft__slab *slab;
    const weft__slab_cache *cache; /* NULL: taken from the depot only */
} pool;

static size_t length(const weft__slab_head *list)
{
    size_t n = 0;
    for (; list; list = list->next)
        n++;
    return n;
}

/* Bytes of the records that somebody has. With one worker, which we stand on, and nobody else. */
static size_t taken(const pool *p)
{
    size_t idle = p->cache ? length(p->cache->head) + length(p->cache->spare) : 0;
    for (const weft__slab_head *chain = p->slab->depot; chain; chain = chain->chain)
        idle += length(chain);
    return (p->slab->count - p->slab->retired - idle) * p->slab->object_size;
}

static size_t records(void)
{
    weft__worker *w = weft__worker_self();
    weft__fiber_realm *f = w->rt->fibers;
    weft__lane_realm *l = w->rt->lanes;
    const weft__fibers *fp = w->fibers;
    const weft__lane_pools *lp = fp->lanes;
    const pool pools[] = {
        {&f->slab, &fp->cache}, {&f->newborns, &fp->newborn}, {&f->locals, &fp->locals}, {&f->defers, &fp->defers},
        {&l->lanes, &lp->lanes}, {&l->resources, &lp->resources}, {&l->small, &lp->small},
        {&l->accounts, &lp->accounts}, {&l->annexes, &lp->annexes},
        {&l->mail.boxes, &lp->mail.boxes}, {&l->mail.aliases, &lp->mail.aliases}, {&l->mail.senders, &lp->mail.senders},
        {&l->ties.ties, &lp->ties.ties}, {&l->ties.knots, &lp->ties.knots}, {&l->ties.names, &lp->ties.names},
        {&l->memory.regions, NULL}, {&l->memory.own, &lp->memory.own}, {&l->memory.holdings, &lp->memory.holdings},
    };
    size_t sum = 0;
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        sum += taken(&pools[i]);
    return sum;
}

/* What was asked for, without stacks. */
static size_t memory(void)
{
    size_t made, idle, stacks;
    weft__stack_depot_count(&((weft__fiber_realm *)weft_current()->fibers)->depot, &made, &idle, &stacks);
    return (size_t)spy_get(&watcher.bytes) - stacks;
}

static int up;

static int parks(void *arg)
{
    (void)arg;
    bump(&up);
    return weft_park(WEFT_NEVER);
}

static int parks_for_a_while(void *arg)
{
    (void)arg;
    bump(&up);
    return weft_park(weft_after(WEFT_SECOND * 3600));
}

static int (*const ways[])(void *) = {parks, parks_for_a_while};

static void one_after_another(int (*fn)(void *), weft_id *lanes)
{
    char argument[WEFT_LANE_COPY_MAX] = {0};
    put(&up, 0);
    for (int i = 0; i < N; i++) {
        CHECK_OK(weft_lane_spawn_with(&lanes[i], fn, argument, .copy = sizeof argument, .stack_size = 16 << 10));
        while (get(&up) <= i)
            CHECK_OK(weft_yield());
    }
}

static void measure(int (*fn)(void *))
{
    static weft_id lanes[N];
    const size_t before = records(), mapped = memory();
    one_after_another(fn, lanes);
    const size_t bytes = records() - before;
    if (bytes > (size_t)N * BAR)
        TEST_FAIL("%zu bytes of records for a parked lane, not %d", bytes / N, BAR);
    CHECK(bytes > (size_t)N * sizeof(weft__lane)); /* it was counted */
    CHECK(memory() - mapped <= (size_t)N * BAR + HELD_BACK);
    for (int i = 0; i < N; i++)
        CHECK_OK(weft_kill(lanes[i]));
    for (int i = 0; i < N; i++)
        CHECK_OK(weft_lane_join(lanes[i], NULL, soon()));
    CHECK_EQ(records(), before); /* all of it is back */
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        measure(ways[i]);
    return 0;
}

int main(void)
{
    if (WEFT__SWITCH_ANNOTATED || sizeof(void *) != 8)
        SKIP("records hold what sanitizers need, or pointers are smaller");
    weft_options opt = {.workers = 1, .mode = WEFT_SHARED, .env = spy_open(&watcher), .blocked_ns = -1};
    CHECK_EQ(run_main_with(start, &opt), 0);
    spy_close(&watcher);
    return 0;
}
