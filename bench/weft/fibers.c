/* Jobs of fibers: yielding, spawning, trees of them, sleeping, timers. */
#include "jobs.h"
#include <stdlib.h>

/* ---- yield ---- */

static long each;
static long yields;

static int yielder(void *number)
{
    (void)number;
    for (long i = 0; i < each; i++)
        weft_yield();
    yields += each; /* siblings never run in parallel */
    return 0;
}

static long yield_among(long fibers, long n)
{
    each = n / fibers ? n / fibers : 1;
    yields = 0;
    weft_id *ids = malloc(sizeof *ids * (size_t)fibers);
    for (long i = 0; i < fibers; i++)
        must(weft_spawn(&ids[i], yielder, NULL));
    for (long i = 0; i < fibers; i++)
        must(weft_join(ids[i], NULL, WEFT_NEVER));
    free(ids);
    check(yields, fibers * each);
    return fibers * each;
}

static long yield_2(long n) { return yield_among(2, n); }
static long yield_1000(long n) { return yield_among(1000, n); }
static long yield_100000(long n) { return yield_among(100000, n); }

/* ---- spawn ---- */

static long ran;

static int count(void *arg)
{
    (void)arg;
    ran++;
    return 0;
}

static long spawn_join(long n)
{
    ran = 0;
    for (long i = 0; i < n; i++) {
        weft_id f;
        must(weft_spawn(&f, count, NULL));
        must(weft_join(f, NULL, WEFT_NEVER));
    }
    check(ran, n);
    return n;
}

static long spawn_many(long n)
{
    weft_id *ids = malloc(sizeof *ids * (size_t)n);
    ran = 0;
    for (long i = 0; i < n; i++)
        must(weft_spawn(&ids[i], count, NULL));
    for (long i = 0; i < n; i++)
        must(weft_join(ids[i], NULL, WEFT_NEVER));
    free(ids);
    check(ran, n);
    return n;
}

typedef struct promise {
    weft_future future;
    long value;
} promise;

static int keeps(void *arg)
{
    promise *p = arg;
    p->value += 1;
    return weft_future_keep(&p->future, 0, &p->value);
}

static long future(long n)
{
    long sum = 0;
    for (long i = 0; i < n; i++) {
        promise p = {.value = i};
        void *value;
        must(weft_spawn(NULL, keeps, &p));
        must(weft_future_wait(&p.future, &value, WEFT_NEVER));
        sum += *(long *)value;
    }
    check(sum, n * (n + 1) / 2);
    return n;
}

/* ---- trees: skynet and a binary one ---- */

enum { LANE_LEAVES = 1000 }; /* a subtree of more is worth a lane of its own where there are workers to share it */

typedef struct node {
    long first, leaves, degree, sum;
} node;

static int grow(void *arg)
{
    node *n = arg;
    if (n->leaves == 1) {
        n->sum = n->first;
        return 0;
    }
    node child[10];
    weft_id id[10];
    int lanes = workers > 1 && n->leaves > LANE_LEAVES;
    for (long i = 0; i < n->degree; i++) {
        long leaves = n->leaves / n->degree;
        child[i] = (node){n->first + i * leaves, leaves, n->degree, 0};
        must(lanes ? weft_lane_spawn(&id[i], grow, &child[i]) : weft_spawn(&id[i], grow, &child[i]));
    }
    for (long i = 0; i < n->degree; i++) {
        must(lanes ? weft_lane_join(id[i], NULL, WEFT_NEVER) : weft_join(id[i], NULL, WEFT_NEVER));
        n->sum += child[i].sum;
    }
    return 0;
}

/* As many leaves as a full tree has that has at least n. */
static long tree(long degree, long n)
{
    node root = {.leaves = 1, .degree = degree};
    while (root.leaves < n)
        root.leaves *= degree;
    weft_id id;
    must(workers > 1 ? weft_lane_spawn(&id, grow, &root) : weft_spawn(&id, grow, &root));
    must(workers > 1 ? weft_lane_join(id, NULL, WEFT_NEVER) : weft_join(id, NULL, WEFT_NEVER));
    check(root.sum, root.leaves * (root.leaves - 1) / 2);
    return root.leaves;
}

static long skynet(long n) { return tree(10, n); }
static long binary(long n) { return tree(2, n); }

/* ---- time ---- */

static int sleeper(void *number)
{
    (void)number;
    int64_t begin = weft_now();
    must(weft_sleep(begin + 10 * WEFT_MILLISECOND));
    if (weft_now() - begin < 10 * WEFT_MILLISECOND)
        must(-22);
    return 0;
}

static long sleep_10ms(long n)
{
    run_each(n, sleeper);
    return n;
}

/* One alarm, used again; were it not stopped it would set an event. */
static long timer(long n)
{
    int64_t far = weft_after(30 * WEFT_SECOND);
    weft_alarm a = {{0}};
    weft_event rung = {{0}};
    long stopped = 0;
    for (long i = 0; i < n; i++)
        if (weft_alarm_set(&a, &rung, far + i) == 0)
            stopped += weft_alarm_stop(&a);
    check(stopped, n);
    return n;
}

const job fiber_jobs[] = {{"yield-2", yield_2}, {"yield-1000", yield_1000}, {"yield-100000", yield_100000}, {"spawn", spawn_join},
    {"spawn-many", spawn_many}, {"future", future}, {"skynet", skynet}, {"tree", binary}, {"sleep", sleep_10ms}, {"timer", timer}, {0}};
