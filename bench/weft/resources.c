/* Jobs of what has an id or a record for long: file reads, a million timers at once, a million ids. */
#include "jobs.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- 4 KiB reads of a cached file at random places, so many in flight ---- */

enum { READERS = 32, BLOCK = 4096, BLOCKS = 16384 };

static weft_id file;
static long reads_left;
static char blocks[READERS][BLOCK];

/* Each block of the file begins with its number. */
static int reader(void *number)
{
    char *block = blocks[(intptr_t)number];
    uint64_t random = 0x9E3779B97F4A7C15ull * ((uint64_t)(intptr_t)number + 1), found;
    while (reads_left-- > 0) { /* one worker: siblings never run in parallel */
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint64_t at = random % BLOCKS;
        check(weft_pread(file, block, BLOCK, at * BLOCK, WEFT_NEVER), BLOCK);
        memcpy(&found, block, sizeof found);
        check((long)found, (long)at);
    }
    return 0;
}

static long read_4k(long n)
{
    weft_id ids[READERS];
    if (file.gen == 0)
        must(weft_open(&file, getenv("BENCH_FILE"), WEFT_OPEN_READ, 0, WEFT_NEVER));
    reads_left = n;
    for (intptr_t i = 0; i < READERS; i++)
        must(weft_spawn(&ids[i], reader, (void *)i));
    for (long i = 0; i < READERS; i++)
        must(weft_join(ids[i], NULL, WEFT_NEVER));
    return n;
}

/* ---- timers ---- */

/* Room for n of that size, kept from one run to the next. */
static void *storage(void *old, long *room, long n, size_t size)
{
    if (n <= *room)
        return old;
    *room = n;
    free(old);
    void *found = calloc((size_t)n, size);
    if (!found)
        must(-12);
    return found;
}

/* All set, then all stopped, the last one first; their storage is there from the first time on. */
static long timers(long n)
{
    static weft_alarm *all;
    static weft_event rung;
    static long room;
    int64_t far = weft_after(3600 * WEFT_SECOND);
    all = storage(all, &room, n, sizeof *all);
    for (long i = 0; i < n; i++)
        must(weft_alarm_set(&all[i], &rung, far - i * WEFT_MICROSECOND));
    long stopped = 0;
    for (long i = n; i > 0; i--)
        stopped += weft_alarm_stop(&all[i - 1]);
    check(stopped, n);
    return n;
}

/* ---- ids ---- */

/* One look-up each of n ids that are all alive. */
static long ids(long n)
{
    static weft_id *open;
    static long opened, room;
    if (opened < n) {
        for (long i = 0; i < opened; i++)
            must(weft_close(open[i]));
        open = storage(open, &room, n, sizeof *open);
        for (opened = 0; opened < n; opened++)
            must(weft_timer_open(&open[opened]));
    }
    for (long i = 0; i < n; i++)
        must(weft_timer_set(open[i], WEFT_NEVER, 0));
    return n;
}

const job resource_jobs[] = {{"read-4k", read_4k}, {"timers", timers}, {"ids", ids}, {0}};
