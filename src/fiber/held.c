/* Locks that outlive their holders. A lane's fibers list what they hold with their crew; what is still there when a
 * fiber has ended, or at its place in the order of a lane's death (DESIGN rule 5, step 5), is handed on by the layer
 * that the locks belong to. Home-worker code. */
#include "fiber/fiber.h"

static void take_out(weft__held *h)
{
    if (h->next)
        h->next->from = h->from;
    *h->from = h->next;
    h->holder = NULL;
}

static void pass_on(weft__held *h)
{
    take_out(h);
    h->orphaned(h, WEFT__ORPHAN_NOW);
}

static void report(const weft__fiber *f)
{
    weft__say(f->home->rt, WEFT_LOG_WARNING, "fiber \"%s\" of lane \"%s\" (spawned at %s) ended holding %u lock%s: who locks next is told",
              f->name, f->crew->name, f->site, f->locks, f->locks == 1 ? "" : "s");
}

void weft__held_orphan(weft__fiber *f)
{
    int killed = f->crew->killed;
    if (!killed)
        report(f);
    for (weft__held *h = f->crew->locks, *next; h && f->locks; h = next) {
        next = h->next;
        if (h->holder != f)
            continue;
        f->locks--;
        h->holder = NULL;
        if (!killed || h->orphaned(h, WEFT__ORPHAN_LATER))
            pass_on(h);
    }
}

void weft__held_bury(weft__crew *crew)
{
    while (crew->locks)
        pass_on(crew->locks);
}

void weft__held_evict(weft__crew *crew)
{
    for (weft__held *h = crew->locks, *next; h; h = next) {
        next = h->next;
        /* Pairs with the release of the one who evicts. */
        if (!h->stake.vat || !weft__load_acquire(&h->stake.evicted, "held.evict"))
            continue;
        if (h->holder)
            h->holder->locks--;
        take_out(h);
        h->orphaned(h, WEFT__ORPHAN_EVICTED);
    }
}
