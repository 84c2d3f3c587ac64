/* Ties: what connects two lanes beside their parenthood. One kind of record for monitors, links and grants, with an
 * end in each lane; a lane's knot is where its ends, its names and its wish to trap exits hang. A lane without any
 * of these has no knot, and its death pays one exchange.
 *
 * All of it is under the realm's tie lock, held for a few instructions at a time, and by lanes with ties only.
 * Mailbox locks and the names' lock may be taken inside it. */
#ifndef WEFT_LANE_TIE_H
#define WEFT_LANE_TIE_H

#include <weft/link.h>

#include "lane/mail.h"

typedef struct weft__knot weft__knot;
typedef struct weft__tie weft__tie;

enum weft__tie_kind { WEFT__TIE_MONITOR = 1, WEFT__TIE_LINK, WEFT__TIE_GRANT };

typedef struct weft__tie_end {
    weft__link link;       /* in knot->ends */
    weft__knot *knot;
    weft__tie *tie;
} weft__tie_end;

/* A monitor and a grant: ends[0] is the lane whose end, or over whom; ends[1] who is told, or who may. A link: both
 * alike. The generation is a monitor's id and changes under the tie lock only. */
struct weft__tie {
    weft__slab_head head;
    uint8_t kind;          /* enum weft__tie_kind; 0: free */
    unsigned rights;
    weft__tie_end ends[2];
    weft__msg *note;       /* what will be told: paid for when the tie was made */
};

struct weft__knot {
    weft__slab_head head;
    weft_id owner;
    weft__lane *lane;
    weft__link ends;       /* weft__tie_end.link */
    weft__link names;      /* weft__name.link */
    uint8_t traps;         /* ends of linked lanes become messages */
    uint8_t nameless;      /* it is dying: it gets no more names */
    uint8_t exiting;       /* `exit` of a linked lane is on its way to it */
    weft_exit exit;
};

typedef struct weft__name {
    weft__slab_head head;
    struct weft__name *next; /* in its bucket; names' lock */
    weft__link link;       /* in knot->names; tie lock */
    weft__knot *knot;
    weft_id lane;
    char text[WEFT_NAME_MAX + 1];
} weft__name;

#define WEFT__NAME_BUCKETS 512

/* Per runtime (weft__lane_realm.ties). */
typedef struct weft__tie_realm {
    weft__slab ties, knots, names;
    weft__spin lock;       /* the tie lock */
    weft__spin names_lock; /* guards the buckets */
    weft__name *buckets[WEFT__NAME_BUCKETS];
} weft__tie_realm;

/* Per worker (weft__lane_pools.ties). */
typedef struct weft__tie_pools {
    weft__slab_cache ties, knots, names;
} weft__tie_pools;

int weft__ties_open(weft__tie_realm *realm, const weft_env *env, unsigned shift, unsigned chunks);
void weft__ties_close(weft__tie_realm *realm);
void weft__ties_enter(weft__tie_pools *pools, weft__tie_realm *realm);
void weft__ties_leave(weft__tie_pools *pools);
weft__tie_realm *weft__ties_of(weft_runtime *rt);
weft__tie_pools *weft__tie_pools_of(weft_runtime *rt); /* the calling worker's */

/* ---- tie.c ---- */
/* The knot of the lane that `id` names, made if need be; *out lives as long as that lane: 0, -ESRCH, -ENOMEM. */
int weft__knot_find(weft_runtime *rt, weft_id id, weft__knot **out);
/* Is it still that lane's, and the lane not at its end? Under the tie lock. */
int weft__knot_lives(const weft__knot *k, weft_id id);
/* Does a tie of that kind go from `from` to `to` (a link: either way)? Walks both in step, so the shorter decides.
 * Under the tie lock. */
weft__tie *weft__tie_between(weft__knot *from, weft__knot *to, enum weft__tie_kind kind);
/* A tie with its note, in no list yet; NULL: no memory. `noted`: it will tell something. */
weft__tie *weft__tie_make(weft_runtime *rt, enum weft__tie_kind kind, int noted);
void weft__tie_free(weft_runtime *rt, weft__tie *t);
weft_id weft__tie_id(weft_runtime *rt, const weft__tie *t);
void weft__tie_fasten(weft__tie *t, weft__knot *a, weft__knot *b);
/* Out of both lanes, and its id is stale. Under the tie lock. */
void weft__tie_loosen(weft_runtime *rt, weft__tie *t);

/* Home: the lane's names are free. Under no lock. */
void weft__names_drop(weft__knot *k);

/* ---- for the rest of the lane layer ---- */
/* What opt->linked and opt->monitor ask for, between `self`, which calls, and its newborn that was not started. 0,
 * -ENOMEM. */
int weft__ties_at_birth(weft__lane *self, weft__lane *newborn, const weft_lane_options *opt);
/* Its birth has failed: nobody is told of the end of that lane, which nobody knows. */
void weft__ties_undo(weft__lane *newborn);
/* Was this right (enum weft_right) over the lane `subject` granted to `holder`? Any worker. */
int weft__tie_right(weft__lane *holder, weft_id subject, unsigned right);
/* Does `by` monitor or is it linked with that child? Any worker; both exist. */
int weft__tie_monitored(weft__lane *child, weft__lane *by);
/* A WEFT__SIG_LINK has arrived at its lane: which failure it was. 1, or 0 if there is none. Home. */
int weft__ties_exit_signal(weft__lane *lane, weft_exit *out);
/* Is `lane` the caller's own (`self`) or a child of it? 0, -EPERM, -ESRCH. */
int weft__ties_family(weft__lane *self, weft_id lane);

#endif
