/* Jobs of channels and locks. With several workers the parties are lanes. */
#include "jobs.h"
#include <string.h>

enum { PAIRS = 100, WIDE = 1000, WIDE_BUFFER = 128, SELECTED = 8 };

/* ---- there and back ---- */

static weft_channel there[PAIRS], back[PAIRS];
static long there_slot[PAIRS], back_slot[PAIRS], rounds;

static int echo(void *number)
{
    long x, i = (long)(intptr_t)number;
    while (weft_channel_receive(&there[i], &x, WEFT_NEVER) == 0)
        must(weft_channel_send(&back[i], &x, WEFT_NEVER));
    return 0;
}

static void ping(long i)
{
    for (long n = 0; n < rounds; n++) {
        long x = n;
        must(weft_channel_send(&there[i], &x, WEFT_NEVER));
        must(weft_channel_receive(&back[i], &x, WEFT_NEVER));
        check(x, n);
    }
    must(weft_channel_close(&there[i], 0));
}

static void open_pairs(long pairs, long n)
{
    rounds = n / (2 * pairs) ? n / (2 * pairs) : 1;
    for (long i = 0; i < pairs; i++) {
        must(weft_channel_init(&there[i], sizeof(long), 1, &there_slot[i]));
        must(weft_channel_init(&back[i], sizeof(long), 1, &back_slot[i]));
    }
}

/* A pair lives in one lane, so its messages stay on one worker: what a program that knows weft would write. */
static int pair(void *number)
{
    weft_id f;
    must(weft_spawn(&f, echo, number));
    ping((long)(intptr_t)number);
    must(weft_join(f, NULL, WEFT_NEVER));
    return 0;
}

static int pings(void *number) { return ping((long)(intptr_t)number), 0; }

static void run_fibers(long n, int (*fn)(void *number))
{
    weft_id f[PAIRS];
    for (long i = 0; i < n; i++)
        must(weft_spawn(&f[i], fn, (void *)(intptr_t)i));
    for (long i = 0; i < n; i++)
        must(weft_join(f[i], NULL, WEFT_NEVER));
}

static int begun;

static int echoes_elsewhere(void *pairs)
{
    __atomic_store_n(&begun, 1, __ATOMIC_RELEASE);
    run_fibers((long)(intptr_t)pairs, echo);
    return 0;
}

/* One end of each pair on this worker, the other on another: this one does not let go before the other has begun. */
static long ping_across(long pairs, long n)
{
    weft_id l, second;
    open_pairs(pairs, n);
    __atomic_store_n(&begun, 0, __ATOMIC_RELEASE);
    must(weft_lane_spawn(&l, echoes_elsewhere, (void *)(intptr_t)pairs));
    must(weft_lane_spawn(&second, nothing, NULL)); /* wakes a thief, who takes the first */
    while (!__atomic_load_n(&begun, __ATOMIC_ACQUIRE))
        ;
    must(weft_lane_join(second, NULL, WEFT_NEVER));
    run_fibers(pairs, pings);
    must(weft_lane_join(l, NULL, WEFT_NEVER));
    return 2 * rounds * pairs;
}

static long ping_1(long n)
{
    if (workers > 1)
        return ping_across(1, n);
    open_pairs(1, n);
    must(pair((void *)0));
    return 2 * rounds;
}

static long ping_1_across(long n) { return ping_across(1, n); }
static long ping_100_across(long n) { return ping_across(PAIRS, n); }

static long ping_100(long n)
{
    open_pairs(PAIRS, n);
    run_each(PAIRS, pair);
    return 2 * rounds * PAIRS;
}

/* ---- fan-in, fan-out ---- */

static weft_channel wide;
static long wide_buffer[WIDE_BUFFER], wide_each, wide_sum;

static int sends(void *number)
{
    for (long i = 0; i < wide_each; i++)
        must(weft_channel_send(&wide, &(long){(long)(intptr_t)number * wide_each + i}, WEFT_NEVER));
    return 0;
}

static int receives(void *number)
{
    long x, sum = 0;
    (void)number;
    for (long i = 0; i < wide_each; i++) {
        must(weft_channel_receive(&wide, &x, WEFT_NEVER));
        sum += x;
    }
    __atomic_add_fetch(&wide_sum, sum, __ATOMIC_RELAXED);
    return 0;
}

static long fan(long n, int (*many)(void *), int in)
{
    static weft_id ids[WIDE];
    wide_each = n / WIDE ? n / WIDE : 1;
    wide_sum = 0;
    long items = wide_each * WIDE, x;
    must(weft_channel_init(&wide, sizeof(long), WIDE_BUFFER, wide_buffer));
    spawn_each(ids, WIDE, many);
    for (long i = 0; i < items; i++) {
        if (in) {
            must(weft_channel_receive(&wide, &x, WEFT_NEVER));
            wide_sum += x;
        } else {
            must(weft_channel_send(&wide, &i, WEFT_NEVER));
        }
    }
    join_each(ids, WIDE);
    check(wide_sum, items * (items - 1) / 2);
    return items;
}

static long fan_in(long n) { return fan(n, sends, 1); }
static long fan_out(long n) { return fan(n, receives, 0); }

/* ---- select ---- */

static weft_channel selected[SELECTED];
static long selected_slot[SELECTED], selected_each;

static int feeds(void *number)
{
    long c = (long)(intptr_t)number;
    for (long i = 0; i < selected_each; i++)
        must(weft_channel_send(&selected[c], &i, WEFT_NEVER));
    return 0;
}

static long select_8(long n)
{
    weft_id ids[SELECTED];
    weft_case cases[SELECTED];
    long item[SELECTED], sum = 0;
    selected_each = n / SELECTED ? n / SELECTED : 1;
    for (int c = 0; c < SELECTED; c++) {
        must(weft_channel_init(&selected[c], sizeof(long), 1, &selected_slot[c]));
        cases[c] = WEFT_RECEIVE(&selected[c], &item[c]);
    }
    spawn_each(ids, SELECTED, feeds);
    for (long i = 0; i < selected_each * SELECTED; i++) {
        int c = weft_select(cases, SELECTED, WEFT_NEVER);
        must(c);
        sum += item[c];
    }
    join_each(ids, SELECTED);
    check(sum, SELECTED * (selected_each * (selected_each - 1) / 2));
    return selected_each * SELECTED;
}

/* ---- mutex: eight that want it, and whoever has it lets others run ---- */

enum { RIVALS = 8 };
static weft_mutex mutex;
static long guarded, guarded_each;

static int rival(void *number)
{
    (void)number;
    for (long i = 0; i < guarded_each; i++) {
        must(weft_mutex_lock(&mutex, WEFT_NEVER));
        long seen = guarded;
        must(weft_yield());
        guarded = seen + 1;
        must(weft_mutex_unlock(&mutex));
    }
    return 0;
}

static long mutex_8(long n)
{
    guarded = 0;
    guarded_each = n / RIVALS ? n / RIVALS : 1;
    run_each(RIVALS, rival);
    check(guarded, guarded_each * RIVALS);
    return guarded;
}

const job channel_jobs[] = {
    {"ping-1", ping_1},
    {"ping-1-across", ping_1_across},
    {"ping-100", ping_100},
    {"ping-100-across", ping_100_across},
    {"fan-in", fan_in},
    {"fan-out", fan_out},
    {"select-8", select_8},
    {"mutex-8", mutex_8},
    {0},
};
