/*
 * Per-worker state. A record is made by the first lane that asks on a worker and stays until the process ends; only its
 * worker's thread writes it, others read the counters. counters_sum finds all records through a list that only grows.
 *
 * The thread-local pointer is read in a function of its own: lanes do not move once they have run, and a compiler
 * never sees the access on both sides of a suspension.
 */
#include "local.h"

#include <stdlib.h>
#include <weft/weft.h>

#define FREE_BUFFERS_MAX 64

struct buffer {
    struct buffer *next;
};

static _Thread_local struct local *here;
static _Atomic(struct local *) all;

static struct local *make_local(void)
{
    struct local *l = calloc(1, sizeof *l);
    if (l == NULL)
        abort(); /* nothing can be served without; it happens at start, if at all */
    l->date_until_ns = INT64_MIN;
    struct local *head = atomic_load_explicit(&all, memory_order_relaxed);
    do
        l->next = head;
    while (!atomic_compare_exchange_weak_explicit(&all, &head, l, memory_order_release, memory_order_relaxed));
    return l;
}

__attribute__((noinline)) struct local *local_here(void)
{
    if (here == NULL)
        here = make_local();
    return here;
}

const char *local_date(struct local *l, int64_t now_ns, int64_t *unix_seconds)
{
    if (now_ns >= l->date_until_ns) {
        int64_t wall = weft_wall_clock();
        l->date_s = wall / WEFT_SECOND;
        l->date_until_ns = now_ns + WEFT_SECOND - wall % WEFT_SECOND;
        http_date_format(l->date, l->date_s);
    }
    if (unix_seconds != NULL)
        *unix_seconds = l->date_s;
    return l->date;
}

void counters_sum(struct totals *sum)
{
    *sum = (struct totals){0};
    /* Pairs with the release in make_local. */
    for (struct local *l = atomic_load_explicit(&all, memory_order_acquire); l != NULL; l = l->next) {
        struct counters *c = &l->counters;
        sum->connections += atomic_load_explicit(&c->connections, memory_order_relaxed);
        sum->refused += atomic_load_explicit(&c->refused, memory_order_relaxed);
        sum->closed += atomic_load_explicit(&c->closed, memory_order_relaxed);
        sum->requests += atomic_load_explicit(&c->requests, memory_order_relaxed);
        sum->buffers += atomic_load_explicit(&c->taken, memory_order_relaxed);
        sum->buffers -= atomic_load_explicit(&c->given, memory_order_relaxed);
        sum->bytes += atomic_load_explicit(&c->bytes, memory_order_relaxed);
        for (int i = 0; i < 6; i++)
            sum->status[i] += atomic_load_explicit(&c->status[i], memory_order_relaxed);
    }
}

void *buffer_take(struct local *l)
{
    struct buffer *b = l->free;
    if (b == NULL) {
        b = malloc(BUFFER_SIZE);
    } else {
        l->free = b->next;
        l->free_count--;
    }
    local_count(&l->counters.taken, b != NULL);
    return b;
}

void buffer_give(struct local *l, void *buffer)
{
    local_count(&l->counters.given, 1);
    if (l->free_count == FREE_BUFFERS_MAX) {
        free(buffer);
        return;
    }
    struct buffer *b = buffer;
    b->next = l->free;
    l->free = b;
    l->free_count++;
}
