/* Strangers in a lane's memory: DESIGN rule 14 for objects that lie in a vat. Fibers of the vat's lane and of its
 * descendants end before it, and enter nothing; everybody else who waits for an object there, or holds a lock there,
 * has a stake in the vat. As the lane is buried, who waits is answered -EOWNERDEAD and who holds is told to let go;
 * the vat is freed when the last stake has left. Objects of no vat cost one look at a byte that lies beside their
 * lock, on paths where somebody waits.
 *
 * Any worker, and threads that are none. A vat's lock comes before the locks of its objects. */
#ifndef WEFT_LANE_STAKE_H
#define WEFT_LANE_STAKE_H

#include "fiber/stake.h"
#include "lane/vat.h"

/* Where an object lies; found out once, at its first wait. In a page: the address tells its header. In the middle of a
 * large block it has to be searched. DYING: nobody from outside may wait there any more. */
enum weft__where { WEFT__WHERE_UNKNOWN, WEFT__ELSEWHERE, WEFT__IN_PAGE, WEFT__IN_RUN, WEFT__DYING };

/* Asks all vats of the calling worker's runtime; on a thread that is no worker's: UNKNOWN.
 * Takes a lock and costs O(regions). */
enum weft__where weft__where(const void *p);
/* The vat that p, which lies there, lies in, if its lane may die before that of f;
 * NULL: it may not. f NULL: a thread. */
weft__vat *weft__vat_strange(const void *p, enum weft__where where, const weft__fiber *f);

/* What the layer of the objects does about those who wait; one for all. evict: under the vat's lock;
 * chains those who are to be told in *told. */
typedef struct weft__stake_hooks {
    void (*evict)(weft__stake *s, void **told);
    void (*tell)(void *told);
} weft__stake_hooks;

/* A wait: 0, or -EOWNERDEAD: the lane is dying. A lock, which a fiber of the crew holds: the same. */
int weft__stake_wait(weft__stake *s, weft__vat *v, const weft__stake_hooks *hooks);
int weft__stake_hold(weft__stake *s, weft__vat *v, weft__crew *crew);
/* The last thing that is done about the object. */
void weft__stake_leave(weft__stake *s);
/* `to` takes the place of `from`, which is in no list from here on. */
void weft__stake_move(weft__stake *to, weft__stake *from);

/* Something outside of all vats that is to end with this one; `end` is called then, on the lane's worker. And:
 * it has ended before. */
void weft__vat_keep(weft__vat *v, weft__kept *k, void (*end)(weft__kept *k));
void weft__vat_unkeep(weft__kept *k);

#endif
