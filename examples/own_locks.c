/* A mutex and a channel of one's own, from park and unpark alone: whoever needs another sort of waiting than
 * weft/sync.h and weft/channel.h have can build it so. Two things to know: an unpark before its park is not lost, and a
 * park may return because of an unpark that was meant for something else, so each wait looks again. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <weft/weft.h>

/* ---- a mutex: last come, first served ---- */

typedef struct waiter {
    struct waiter *next; /* who waited before; LOCKED ends the list */
    weft_id fiber;
    atomic_int granted;
} waiter;

typedef struct own_mutex {
    _Atomic(waiter *) state; /* NULL: free; LOCKED: taken; else taken, and these wait */
} own_mutex;

static waiter locked;
#define LOCKED (&locked)

static void own_lock(own_mutex *m)
{
    waiter me = {.fiber = weft_self()}, *seen = NULL;
    for (;;) {
        if (!seen) {
            if (atomic_compare_exchange_weak(&m->state, &seen, LOCKED))
                return;
        } else {
            me.next = seen;
            if (atomic_compare_exchange_weak(&m->state, &seen, &me))
                break;
        }
    }
    while (!atomic_load(&me.granted)) /* it has no deadline; cancelled or not, it waits for its turn */
        if (weft_park(WEFT_NEVER) == -ECANCELED)
            weft_yield();
}

static void own_unlock(own_mutex *m)
{
    waiter *top = LOCKED;
    if (atomic_compare_exchange_strong(&m->state, &top, NULL))
        return;
    /* Only the owner takes anybody out, so next stays. */
    while (!atomic_compare_exchange_weak(&m->state, &top, top->next))
        ;
    weft_id next = top->fiber; /* once granted, its stack may be gone */
    atomic_store(&top->granted, 1);
    weft_unpark(next);
}

/* ---- a channel of one item, between two fibers ---- */

typedef struct own_channel {
    own_mutex mutex;
    int full, closed, item;
    weft_id sender, receiver; /* who waits; WEFT_NOID: nobody */
} own_channel;

static void wake(weft_id *who)
{
    weft_id id = *who;
    *who = WEFT_NOID;
    if (id.gen)
        weft_unpark(id);
}

/* Gives the mutex back while it waits for an unpark. */
static void wait_for(own_channel *c, weft_id *who)
{
    *who = weft_self();
    own_unlock(&c->mutex);
    weft_park(WEFT_NEVER);
    own_lock(&c->mutex);
}

static void own_send(own_channel *c, int item)
{
    own_lock(&c->mutex);
    while (c->full)
        wait_for(c, &c->sender);
    c->full = 1;
    c->item = item;
    wake(&c->receiver);
    own_unlock(&c->mutex);
}

static int own_receive(own_channel *c, int *item)
{
    own_lock(&c->mutex);
    while (!c->full && !c->closed)
        wait_for(c, &c->receiver);
    int there = c->full;
    *item = c->item;
    c->full = 0;
    wake(&c->sender);
    own_unlock(&c->mutex);
    return there;
}

static void own_close(own_channel *c)
{
    own_lock(&c->mutex);
    c->closed = 1;
    wake(&c->receiver);
    own_unlock(&c->mutex);
}

/* ---- and what they are good for ---- */

enum { LANES = 4, EACH = 500 };

static own_mutex mutex;
static own_channel channel;
static long counter;

static int counts(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++) {
        own_lock(&mutex);
        long seen = counter;
        if (i % 64 == 0)
            weft_yield(); /* somebody else would count now, if he could */
        counter = seen + 1;
        own_unlock(&mutex);
    }
    return 0;
}

static int sends(void *arg)
{
    (void)arg;
    for (int i = 1; i <= EACH; i++)
        own_send(&channel, i);
    own_close(&channel);
    return 0;
}

static int start(int argc, char **argv)
{
    weft_id lanes[LANES];
    long sum = 0;
    int item, r;
    (void)argc, (void)argv;
    for (int i = 0; i < LANES; i++)
        if ((r = weft_lane_spawn(&lanes[i], counts, NULL)) < 0)
            return r;
    for (int i = 0; i < LANES; i++)
        if ((r = weft_lane_join(lanes[i], NULL, WEFT_NEVER)) < 0)
            return r;
    if ((r = weft_lane_spawn(&lanes[0], sends, NULL)) < 0)
        return r;
    while (own_receive(&channel, &item))
        sum += item;
    if ((r = weft_lane_join(lanes[0], NULL, WEFT_NEVER)) < 0)
        return r;
    printf("counted to %ld, received %ld\n", counter, sum);
    return counter == LANES * EACH && sum == EACH * (EACH + 1L) / 2 ? 0 : -EPROTO;
}

int main(int argc, char **argv) { return weft_main(start, argc, argv, NULL); }
