/* Owns the queue of events: a binary heap by time, then by age. */
#include <stdlib.h>

#include "base/check.h"
#include "sim/sim.h"

static int before(const sim_event *a, const sim_event *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->order < b->order;
}

void weft__sim_event_add(sim *s, const sim_event *e)
{
    size_t i = s->heap_count++;

    if (i == s->heap_room) {
        s->heap_room = s->heap_room ? 2 * s->heap_room : 64;
        s->heap = realloc(s->heap, s->heap_room * sizeof *s->heap);
        WEFT_ASSERT(s->heap);
    }
    s->heap[i] = *e;
    s->heap[i].order = s->event_order++;
    while (i > 0 && before(&s->heap[i], &s->heap[(i - 1) / 2])) {
        const sim_event t = s->heap[i];

        s->heap[i] = s->heap[(i - 1) / 2];
        s->heap[(i - 1) / 2] = t;
        i = (i - 1) / 2;
    }
}

int weft__sim_event_next(const sim *s, int64_t *time_ns)
{
    if (s->heap_count == 0)
        return 0;
    *time_ns = s->heap[0].time_ns;
    return 1;
}

sim_event weft__sim_event_take(sim *s)
{
    const sim_event first = s->heap[0];
    size_t i = 0;

    s->heap[0] = s->heap[--s->heap_count];
    for (;;) {
        size_t least = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->heap_count; child++)
            if (before(&s->heap[child], &s->heap[least]))
                least = child;
        if (least == i)
            return first;
        const sim_event t = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = t;
        i = least;
    }
}

int64_t weft__sim_delay(sim *s)
{
    const uint64_t kind = sim_random_below(&s->choices, 100);

    if (kind < 60)
        return 1000 + (int64_t)sim_random_below(&s->choices, 20000);
    if (kind < 90)
        return 20000 + (int64_t)sim_random_below(&s->choices, 180000);
    if (kind < 98)
        return 200000 + (int64_t)sim_random_below(&s->choices, 1800000);
    return 2000000 + (int64_t)sim_random_below(&s->choices, 6000000);
}
