/* What waiting costs: a message over a channel between two fibers of one worker and of two, fan-in and fan-out,
 * mutexes, a select. Prints the median and the spread of several rounds in ns.
 *
 *     bench-sync [name...]      only those whose line begins so */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum { ROUNDS = 9, MANY = 200000, PAIRS = 100, WIDE = 1000, WIDE_EACH = 100 };

static double sample[ROUNDS];
static char **only;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", weft_strerror(r));
        exit(1);
    }
}

static int chosen(const char *what)
{
    if (!only[0])
        return 1;
    for (char **o = only; *o; o++)
        if (strncmp(what, *o, strlen(*o)) == 0)
            return 1;
    return 0;
}

/* fn does n operations and is timed. */
static void measure(const char *what, void (*fn)(void), double n)
{
    if (!chosen(what))
        return;
    for (int i = -1; i < ROUNDS; i++) { /* the first warms up */
        int64_t begin = weft_now();
        fn();
        if (i >= 0)
            sample[i] = (double)(weft_now() - begin) / n;
    }
    qsort(sample, ROUNDS, sizeof sample[0], by_value);
    printf("%-52s %9.1f ns  [%.1f, %.1f]\n", what, sample[ROUNDS / 2], sample[1], sample[ROUNDS - 2]);
    fflush(stdout);
}

/* ---- there and back ---- */

static weft_channel there[PAIRS], back[PAIRS];
static long slots[2][PAIRS];
static size_t capacity;
static long each;

static int echo(void *arg)
{
    long x, i = (long)(intptr_t)arg;
    while (weft_channel_receive(&there[i], &x, WEFT_NEVER) == 0)
        must(weft_channel_send(&back[i], &x, WEFT_NEVER));
    return 0;
}

static int ping(void *arg)
{
    long i = (long)(intptr_t)arg;
    for (long n = 0; n < each; n++) {
        long x = n;
        must(weft_channel_send(&there[i], &x, WEFT_NEVER));
        must(weft_channel_receive(&back[i], &x, WEFT_NEVER));
    }
    must(weft_channel_close(&there[i], 0));
    return 0;
}

static void open_pairs(int n)
{
    for (int i = 0; i < n; i++) {
        must(weft_channel_init(&there[i], sizeof(long), capacity, capacity ? &slots[0][i] : NULL));
        must(weft_channel_init(&back[i], sizeof(long), capacity, capacity ? &slots[1][i] : NULL));
    }
}

/* Both ends on this worker. */
static void pairs_here(int n)
{
    weft_id f[2 * PAIRS];
    open_pairs(n);
    each = MANY / n;
    for (int i = 0; i < n; i++) {
        must(weft_spawn(&f[2 * i], echo, (void *)(intptr_t)i));
        must(weft_spawn(&f[2 * i + 1], ping, (void *)(intptr_t)i));
    }
    for (int i = 0; i < 2 * n; i++)
        must(weft_join(f[i], NULL, WEFT_NEVER));
}

static int started;

static int echo_there(void *arg)
{
    __atomic_add_fetch(&started, 1, __ATOMIC_RELEASE);
    return echo(arg);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* A lane that has begun on another worker: this one does not let go before. */
static weft_id elsewhere(int (*fn)(void *), void *arg)
{
    weft_id l, second;
    int before = __atomic_load_n(&started, __ATOMIC_ACQUIRE);
    must(weft_lane_spawn(&l, fn, arg));
    must(weft_lane_spawn(&second, nothing, NULL));
    while (__atomic_load_n(&started, __ATOMIC_ACQUIRE) == before)
        ;
    must(weft_lane_join(second, NULL, WEFT_NEVER));
    return l;
}

static void pairs_across(int n)
{
    weft_id l[PAIRS], f[PAIRS];
    open_pairs(n);
    each = MANY / n / 4;
    for (int i = 0; i < n; i++)
        l[i] = elsewhere(echo_there, (void *)(intptr_t)i);
    for (int i = 0; i < n; i++)
        must(weft_spawn(&f[i], ping, (void *)(intptr_t)i));
    for (int i = 0; i < n; i++)
        must(weft_join(f[i], NULL, WEFT_NEVER));
    for (int i = 0; i < n; i++)
        must(weft_lane_join(l[i], NULL, WEFT_NEVER));
}

static void one_pair_here(void) { pairs_here(1); }
static void all_pairs_here(void) { pairs_here(PAIRS); }
static void one_pair_across(void) { pairs_across(1); }
static void all_pairs_across(void) { pairs_across(PAIRS); }

/* ---- one way, fan-in, fan-out ---- */

static weft_channel wide;
static long wide_buffer[128];

static int sends_wide(void *arg)
{
    for (long i = 0; i < (long)(intptr_t)arg; i++)
        must(weft_channel_send(&wide, &i, WEFT_NEVER));
    return 0;
}

static int receives_wide(void *arg)
{
    long x;
    for (long i = 0; i < (long)(intptr_t)arg; i++)
        must(weft_channel_receive(&wide, &x, WEFT_NEVER));
    return 0;
}

static void many_and_one(int (*many)(void *), int (*one)(void *))
{
    static weft_id f[WIDE];
    must(weft_channel_init(&wide, sizeof(long), 128, wide_buffer));
    for (int i = 0; i < WIDE; i++)
        must(weft_spawn(&f[i], many, (void *)(intptr_t)WIDE_EACH));
    must(one((void *)(intptr_t)(WIDE * WIDE_EACH)));
    for (int i = 0; i < WIDE; i++)
        must(weft_join(f[i], NULL, WEFT_NEVER));
}

static void fan_in(void) { many_and_one(sends_wide, receives_wide); }
static void fan_out(void) { many_and_one(receives_wide, sends_wide); }

static void one_way(void)
{
    weft_id f;
    must(weft_channel_init(&wide, sizeof(long), 128, wide_buffer));
    must(weft_spawn(&f, sends_wide, (void *)(intptr_t)MANY));
    must(receives_wide((void *)(intptr_t)MANY));
    must(weft_join(f, NULL, WEFT_NEVER));
}

/* ---- mutex ---- */

static weft_mutex mutex;
static long counter;

static void uncontended(void)
{
    for (int i = 0; i < MANY; i++) {
        must(weft_mutex_lock(&mutex, WEFT_NEVER));
        must(weft_mutex_unlock(&mutex));
    }
}

static int contends(void *arg)
{
    __atomic_add_fetch(&started, 1, __ATOMIC_RELEASE);
    for (long i = 0; i < (long)(intptr_t)arg; i++) {
        must(weft_mutex_lock(&mutex, WEFT_NEVER));
        counter++;
        must(weft_mutex_unlock(&mutex));
    }
    return 0;
}

static int contends_yielding(void *arg)
{
    for (long i = 0; i < (long)(intptr_t)arg; i++) {
        must(weft_mutex_lock(&mutex, WEFT_NEVER));
        must(weft_yield());
        must(weft_mutex_unlock(&mutex));
    }
    return 0;
}

static void contended_here(void)
{
    weft_id f[4];
    for (int i = 0; i < 4; i++)
        must(weft_spawn(&f[i], contends_yielding, (void *)(intptr_t)(MANY / 8)));
    for (int i = 0; i < 4; i++)
        must(weft_join(f[i], NULL, WEFT_NEVER));
}

static void contended_across(void)
{
    weft_id l = elsewhere(contends, (void *)(intptr_t)(MANY / 2));
    contends((void *)(intptr_t)(MANY / 2));
    must(weft_lane_join(l, NULL, WEFT_NEVER));
}

/* What one of two that want it all the time gets of it. */
typedef struct share {
    long times;
    int64_t longest_ns; /* wait */
} share;

static long left; /* guarded by the mutex */

static int takes_its_share(void *arg)
{
    share *s = arg;
    __atomic_add_fetch(&started, 1, __ATOMIC_RELEASE);
    for (int more = 1; more;) {
        int64_t begin = weft_now();
        must(weft_mutex_lock(&mutex, WEFT_NEVER));
        int64_t waited = weft_now() - begin;
        more = left > 0;
        left -= more;
        s->times += more;
        if (waited > s->longest_ns)
            s->longest_ns = waited;
        must(weft_mutex_unlock(&mutex));
    }
    return 0;
}

static void shares(const char *what, unsigned flags)
{
    share s[2] = {{0, 0}, {0, 0}};
    if (!chosen(what))
        return;
    must(weft_mutex_init(&mutex, flags, NULL));
    left = MANY;
    weft_id l = elsewhere(takes_its_share, &s[1]);
    takes_its_share(&s[0]);
    must(weft_lane_join(l, NULL, WEFT_NEVER));
    for (int i = 0; i < 2; i++)
        printf("%-52s %9.1f %%  longest wait %.1f us\n", what, 100.0 * (double)s[i].times / MANY, (double)s[i].longest_ns / 1000);
    fflush(stdout);
    must(weft_mutex_init(&mutex, 0, NULL));
}

/* ---- select, futures, growing ---- */

enum { EIGHT = 8 };
static weft_channel eight[EIGHT];
static long eight_slots[EIGHT][2];

/* Over eight channels in turn: a fiber sends, another waits for whichever comes. */
static int sends_in_turn(void *arg)
{
    (void)arg;
    for (long i = 0; i < MANY; i++)
        must(weft_channel_send(&eight[i % EIGHT], &i, WEFT_NEVER));
    return 0;
}

static void selects(size_t room)
{
    weft_id f;
    long x;
    weft_case k[EIGHT];
    for (int i = 0; i < EIGHT; i++)
        must(weft_channel_init(&eight[i], sizeof(long), room, room ? eight_slots[i] : NULL));
    must(weft_spawn(&f, sends_in_turn, NULL));
    for (int n = 0; n < MANY; n++) {
        for (int i = 0; i < EIGHT; i++)
            k[i] = WEFT_RECEIVE(&eight[i], &x);
        must(weft_select(k, EIGHT, WEFT_NEVER));
    }
    must(weft_join(f, NULL, WEFT_NEVER));
}

static void select_waiting(void) { selects(0); }
static void select_ready(void) { selects(2); }

static int keeps(void *arg) { return weft_future_keep(arg, 0, NULL); }

static void future_awaited(void)
{
    for (int i = 0; i < MANY; i++) {
        weft_future f = {{0}};
        weft_id fiber;
        must(weft_spawn(&fiber, keeps, &f));
        must(weft_future_wait(&f, NULL, WEFT_NEVER));
        must(weft_join(fiber, NULL, WEFT_NEVER));
    }
}

static void one_way_growing(void)
{
    weft_id f;
    must(weft_channel_init_growing(&wide, sizeof(long), 128));
    must(weft_spawn(&f, sends_wide, (void *)(intptr_t)MANY));
    must(receives_wide((void *)(intptr_t)MANY));
    must(weft_join(f, NULL, WEFT_NEVER));
    must(weft_channel_end(&wide));
}

static int start(int argc, char **argv)
{
    int two = argc > 1 && strcmp(argv[1], "2") == 0;
    if (!two) {
        capacity = 0;
        measure("rendezvous, 1 pair, one worker, a message", one_pair_here, 2.0 * MANY);
        capacity = 1;
        measure("channel, 1 pair, one worker, a message", one_pair_here, 2.0 * MANY);
        measure("channel, 100 pairs, one worker, a message", all_pairs_here, 2.0 * MANY);
        measure("one way through 128, one worker, an item", one_way, MANY);
        measure("fan-in 1000 to 1, one worker, an item", fan_in, (double)WIDE * WIDE_EACH);
        measure("fan-out 1 to 1000, one worker, an item", fan_out, (double)WIDE * WIDE_EACH);
        measure("one way through one that grows to 128, an item", one_way_growing, MANY);
        measure("select over 8 channels, waiting, one worker", select_waiting, MANY);
        measure("select over 8 channels, mostly ready, one worker", select_ready, MANY);
        measure("future, spawn and await, one worker", future_awaited, MANY);
        measure("mutex, nobody else, lock and unlock", uncontended, MANY);
        measure("mutex, 4 fibers, one worker, held over a yield", contended_here, MANY / 2.0);
    } else {
        capacity = 1;
        measure("channel, 1 pair, two workers, a message", one_pair_across, MANY / 2.0);
        measure("channel, 100 pairs, two workers, a message", all_pairs_across, MANY / 2.0);
        measure("mutex, 2 fibers, two workers", contended_across, MANY);
        shares("share of a mutex, two workers", 0);
        shares("share of a fair mutex, two workers", WEFT_MUTEX_FAIR);
    }
    return 0;
}

int main(int argc, char **argv)
{
    char *one[] = {argv[0], "1", NULL}, *two[] = {argv[0], "2", NULL};
    only = argv + (argc > 0);
    int r = weft_main(start, 2, one, &(weft_options){.workers = 1, .mode = WEFT_SHARED});
    return r ? r : weft_main(start, 2, two, &(weft_options){.workers = 2, .mode = WEFT_SHARED});
}
