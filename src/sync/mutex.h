/* The mutex as its neighbours in this layer know it. */
#ifndef WEFT_SYNC_MUTEX_H
#define WEFT_SYNC_MUTEX_H

#include <weft/sync.h>

#include "sync/wait.h"

/* OK; its owner died and nobody has repaired what it guards; nobody will have it again. */
enum weft__lock_health { WEFT__LOCK_OK, WEFT__LOCK_DEAD, WEFT__LOCK_LOST };

typedef struct weft__mutex {
    /* The owner, a weft__fiber, and SLOW; 0: free (atomic; while SLOW is set, changed under the lock only). */
    uintptr_t word;
    weft__guard lock;
    uint8_t flags;     /* weft_mutex_flags */
    uint8_t health;    /* the lock's */
    uint32_t depth;    /* the owner's */
    weft__queue queue; /* the lock's */
    uint64_t fiber, lane; /* ids of the last owner (atomic) */
    const char *site;  /* where it locked (atomic) */
    const char *name;
    weft__held held;   /* the owner's */
} weft__mutex;

static inline weft__mutex *weft__mutex_of(weft_mutex *m) { return (weft__mutex *)(void *)m; }

extern const weft__node_kind weft__mutex_kind;
/* f's node for the mutex, locked from `site`. */
void weft__mutex_node(weft__node *n, weft__mutex *m, const char *site);
int weft__mutex_owned(const weft__mutex *m, const weft__fiber *f);
/* Lets go of it however often f has locked it; how often that was. */
uint32_t weft__mutex_drop(weft__mutex *m);
/* Its owner, which calls, lets go of it, and yet nobody has it. And: f, which calls, has it, as often as it was
 * locked: 0, or -EOWNERDEAD if that has not been dealt with. */
void weft__mutex_detach(weft__mutex *m);
int weft__mutex_attach(weft__mutex *m, weft__fiber *f, const char *site);
/* The mutex of such a record; NULL: it is another sort of lock's. */
weft__mutex *weft__mutex_held(weft__held *h);
/* Takes it back as often, without regard to deadline and cancellation: 0, -EOWNERDEAD, -ENOTRECOVERABLE. If f is
 * killed while it waits, its will is done. */
int weft__mutex_regain(weft__mutex *m, weft__fiber *f, uint32_t depth, const char *site, const weft__last_will *will);

#endif
