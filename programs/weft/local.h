/*
 * What each worker keeps for itself: counters, the current date as text, buffers that are not in use, small files.
 */
#ifndef WEFT_PROGRAM_LOCAL_H
#define WEFT_PROGRAM_LOCAL_H

#include "cache.h"
#include "http_date.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Every buffer of the pool has this size: it holds the longest request head with room to read a body beyond it,
 * and what a stream brings at once.
 */
#define BUFFER_SIZE ((size_t)65536)

/* The longest path of a file, its end included. */
#define PATH_CAP ((size_t)4096)

/* Figures of the server; each worker counts its own, counters_sum adds them up. */
struct counters {
    _Atomic uint64_t connections, refused, closed, requests, bytes, status[6];
    _Atomic uint64_t taken, given; /* buffers */
};

struct local {
    struct counters counters;
    int64_t date_s; /* the second that `date` tells */
    int64_t date_until_ns; /* until then on the runtime's clock, unless somebody sets the time of day */
    char date[HTTP_DATE_LEN];
    char path[PATH_CAP]; /* of the request that is being answered, until its fiber waits */
    struct cache *cache; /* made when first wanted; see cached.h */
    struct buffer *free;
    unsigned free_count;
    struct local *next;
};

/* local_here returns the calling worker's own; lanes stay on their worker, so a lane may keep the pointer. */
struct local *local_here(void);

/*
 * local_date returns the date as HTTP text. `now_ns` is on the runtime's clock; the time of day is looked at once a
 * second, so that is how late it shows that somebody has set it.
 */
const char *local_date(struct local *l, int64_t now_ns, int64_t *unix_seconds);

/* local_count adds to a counter of one's own worker. */
static inline void local_count(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer: a plain load and store, atomic only so that a reader elsewhere sees whole values. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

struct totals {
    uint64_t connections, refused, closed, requests, bytes, status[6];
    uint64_t buffers; /* that are in use */
};

/* counters_sum adds up all workers' counters. */
void counters_sum(struct totals *sum);

/* buffer_take returns BUFFER_SIZE bytes, or NULL; buffer_give takes them back, on the same worker. */
void *buffer_take(struct local *l);
void buffer_give(struct local *l, void *buffer);

#endif
