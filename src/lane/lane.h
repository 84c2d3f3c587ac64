/* The lane's inside. A lane's record is touched by its home worker only, except the fields marked otherwise;
 * what other threads want of it travels as flags in its record's word and one message, as with fibers. What
 * few lanes need, or none for long, is not in it but in records of its own: the newborn's (fiber.h), the
 * annex, the account, mailbox, knot and vat.
 *
 * Life: newborn (its record waits in a queue, holding no stack, and may be stolen) -> born on a worker, its home;
 * for good, unless it is mobile (move.c) -> the end (end.c) -> the parent is told -> the record is free. */
#ifndef WEFT_LANE_LANE_H
#define WEFT_LANE_LANE_H

#include <weft/id.h>
#include <weft/lane.h>

#include "base/check.h"
#include "base/heap.h"
#include "fiber/fiber.h"

typedef struct weft__lane weft__lane;

/* A lane's alarms that are set (alarm.h). The timer is lazy: while there are any it is armed,
 * for the first of them or before; its deadline is WEFT_NEVER while it is not. */
typedef struct weft__alarms {
    weft__heap heap;           /* by when each is looked at */
    weft__timer timer;         /* stands for all of them */
} weft__alarms;

/* What few lanes need, in a record of its own that a lane takes when it first does and
 * keeps until it ends; from a pool. */
typedef struct weft__annex {
    weft__slab_head head;
    weft__lane *lane;          /* whose it is */

    /* Time: the lane's deadline; once it is killed, the grace. Home. */
    weft__timer timer;
    weft__alarms alarms;

    /* Moving, for lanes that may (move.c). Home. */
    weft__link roaming;        /* in its home's list of such */
    uint32_t stays;            /* how many reasons there are for it not to move now */
    uint32_t moves;            /* how often it has moved (atomic: home writes) */
    int64_t moved_ns;          /* when it last did */

    /* Supervision. */
    /* Of a supervised lane: its supervisor knows it by this, or it is its watch; set before its start. */
    void *tag;
    weft__tasks ends;          /* of a supervisor: children that have ended, by end_message; home */
    /* Who waits for the next of them; an end interrupts its wait, whatever else that is for; home. */
    weft__fiber *ender;

    /* What its mailbox may hold, set before its start; 0: the runtime's.
     * Any thread reads them, late ones another lane's (atomic). */
    uint32_t mail_messages, mail_bytes;

    struct weft__holding *holdings; /* slices of shared blocks that it holds; slice.c; home */
    void **locals;                  /* in its vat; local.c; home */
} weft__annex;

/* In rooms; at each door stands who may enter. */
struct weft__lane {
    /* word: generation | WEFT__SIG_*; message: while newborn its birth, then what its word says, to its home. */
    weft__slab_head head;
    weft__crew crew;           /* what its fibers need of it */
    weft_runtime *rt;

    /* Home: its life. */
    union {
        weft__newborn *newborn; /* until it is born, or is not to be: its first fiber's, and its maker's to look into */
        weft__fiber *main;      /* then; NULL once that has ended (atomic: others look for it who know its phase) */
    };
    uint8_t phase;             /* enum weft__lane_phase (atomic) */
    /* enum weft_exit_kind once that is known, else WEFT__EXIT_NONE; after its end the parent's home. */
    uint8_t why;
    uint8_t tends;             /* a supervisor: being cancelled, it stops its children itself, one by one (atomic) */
    uint8_t family : 1;        /* an ancestor wants it to end: no failure to pass on */
    uint8_t expired : 1;       /* cancelled by its deadline */
    uint8_t late : 1;          /* its clean-ups outlive the grace */
    uint8_t disowned : 1;      /* it joins no child any more */
    uint8_t held : 1;          /* does not end although it has no fiber: the root of a background runtime */
    int result;                /* of the main fiber, or what goes with `why` */
    weft_id cause;             /* the lane whose failure was passed on to it; WEFT_NOID: its own */
    uint32_t closing;          /* resources whose close is under way */
    /* 1 + the worker that queued it for whoever comes first; 0: somebody else, or it was sent. With WEFT__COMING:
     * 1 + the worker that counts it, a connection, among those to come. */
    uint8_t maker;
    uint8_t touring : 1;       /* it goes round its children (children.c), */
    uint8_t again : 1;         /* and is to do so once more */
    uint8_t shutting : 1;      /* its resources are being closed, some a turn */
    uint8_t chores : 1;        /* its end message is queued at home, to go on with either */
    uint8_t loose : 1;         /* a connection to come that others than the worker which counts it may take */
    uint8_t asking : 1;        /* some of its children's watches have something to tell in this round */
    uint8_t telling;           /* WEFT__SIG_*: what its children are told in this round */
    weft_task end_message;     /* from its last child to its home, then from it to its parent's home */

    /* Home: what it owns beside fibers; each pointer is NULL until the lane first needs the thing. */
    weft__link resources;      /* weft__resource.link */
    /* Whose ports lent it buffers, a bit for each worker; those that it kept go back as it ends. */
    uint64_t borrows;
    struct weft__vat *vat;     /* vat.c */
    weft__annex *annex;        /* annex.c (atomic: senders look for its limits there) */

    /* Whoever has its id; see weft__open_mark. */
    struct weft__mailbox *mail; /* mailbox.c (atomic: set once by whoever sends or receives first) */
    struct weft__knot *ties;   /* links, monitors, grants, names; tie.c (atomic; what it points to: tie lock) */

    /* Under its lock: its children, and what it is given. */
    weft__spin lock;
    /* 1 for its own fibers and resources + 1 per child that has not ended (atomic, without the lock). */
    uint32_t refs;
    weft__link children;       /* by their siblings */
    struct weft__resource *arrivals; /* that it was given and has not looked at, by head.next */
    uint8_t barren;            /* takes no more children */
    uint8_t asked;             /* WEFT__SIG_*: what its children were told */
    uint8_t round;             /* 0 or 1, changed as a round begins: children that have it are not to be visited */
    uint8_t accepting;         /* may be given resources: from its making until it closes its own (atomic) */

    /* The parent's. Under the parent's lock, */
    uint8_t detached;          /* 1, or WEFT__ORPHAN once it has ended undetached */
    /* on the parent's home, */
    uint8_t told : 1;          /* its end has reached the parent */
    uint8_t forgotten : 1;     /* the parent gave up joining it */
    uint8_t visited : 1;       /* the parent's last round that it was in, or came after */
    uint8_t : 0;
    uint8_t watched;           /* its parent monitored it; set as it ends, and only then the parent's */
    /* and what is set before its start. */
    uint8_t supervised : 2;    /* enum weft__supervised: how the parent hears of its end, and by nothing else */
    uint8_t quiet : 1;         /* its failures are nobody's business */
    weft__link siblings;       /* in the parent's children, under the parent's lock */
    weft__fiber *joiner;       /* of the parent, on its home */
    weft__lane *parent;        /* atomic for those who only hold a stale id */
};

/* The bar is 512 bytes for a parked lane with one fiber: see fiber.h for the rest. */
_Static_assert(sizeof(void *) != 8 || sizeof(weft__lane) <= 288, "a lane's record has grown");

/* What `mail` and `ties` hold while a living lane has no mailbox or knot: an odd number that no other
 * life of the record shares, so that others can put one there by a compare-and-swap. NULL: there is
 * no such lane, or it is at its end. */
static inline void *weft__open_mark(uint16_t gen) { return (void *)(uintptr_t)((unsigned)gen << 1 | 1); }
static inline int weft__is_mark(const void *p) { return (int)((uintptr_t)p & 1); }

#define WEFT__COMING 0x80
_Static_assert(WEFT__WORKERS_MAX < WEFT__COMING, "a lane's maker says both");

#define WEFT__EXIT_NONE 0xff

/* See end.c. EMPTY: no fiber left, resources closing. CHILDREN: only child lanes are left. DYING, CLEANING, CLOSING:
 * what a killed lane goes through instead. */
enum weft__lane_phase {
    WEFT__LANE_NEWBORN, WEFT__LANE_ALIVE, WEFT__LANE_EMPTY, WEFT__LANE_CHILDREN, WEFT__LANE_DYING, WEFT__LANE_CLEANING,
    WEFT__LANE_CLOSING, WEFT__LANE_BURYING, WEFT__LANE_ENDED
};

/* ---- Resources: what a lane's ids name: sockets, files ---- */

typedef struct weft__resource weft__resource;

/* Who waits for the next item of a source among other things. */
typedef struct weft__sitter {
    weft__fiber *fiber;
    weft__resource *at; /* NULL: it was told, or sits nowhere */
} weft__sitter;

#define WEFT__NO_ITEM INT64_MIN /* no errno: -EAGAIN may be what came of one, at a limit */

/* A resource that items come from: buffers of a stream, connections.
 * An item that nobody takes stays for the next reader. Owner's worker. */
typedef struct weft__source {
    /* Takes the next one into `to` if there is one, without waiting for it: 0 or more; NO_ITEM; an error.
     * May suspend for a tick. */
    int64_t (*next)(weft_id id, void *to);
    /* May bytes be waited for beside it? 0 or -EBUSY. NULL: always. */
    int (*direct)(weft__resource *r);
    /* who->fiber is nudged, once, when there is something or the id is closed: 0; 1: there is something;
     * an error. NULL: poll it. */
    int (*sit)(weft__resource *r, weft__sitter *who);
    void (*rise)(weft__sitter *who);
} weft__source;

typedef struct weft__resource_kind {
    const char *name;
    enum weft__kind kind;
    /* Begins the close; the id is stale already. Ends by weft__resource_gone, at once or later
     * on the same worker. Never waits. */
    void (*close)(weft__resource *r);

    /* For ids that programs see. */
    /* Makes it ready to be given away, until the deadline; 0 (it is still the caller's and nothing is in flight),
     * -EBUSY, -ETIMEDOUT, -ECANCELED. With WEFT_NOW it does not suspend. The id may be stale afterwards. */
    int (*pack)(weft__resource *r, int64_t deadline);
    /* Fills a fresh record that takes the place of one whose generations are used up, or of none if `shared`.
     * NULL: cannot be shared. */
    void (*copy)(weft__resource *fresh, const weft__resource *of, int shared);
    /* Such a fresh record has taken its place: it is freed, or stays for others' sake. NULL: it is freed. */
    void (*replaced)(weft__resource *r);
    /* What is special about it. */
    void (*inspect)(weft__resource *r, weft_id_info *out);
    /* The addresses as text, by the layer that has them. */
    size_t (*where)(const weft_id_info *info, char *buf, size_t size);
    const weft__source *source; /* NULL: it is none */
} weft__resource_kind;

/* The first member of every resource record, which comes from a slab so that a stale id can be looked at.
 * Only the owner lane's worker touches it, but for `head.word`, `owner` and `kind`, which anybody may
 * read to tell -EPERM from -EBADF. */
struct weft__resource {
    weft__slab_head head;      /* next: in lane->arrivals */
    uint32_t owner;            /* key of the owning lane, its record's; 0 while free (atomic) */
    uint16_t kind;             /* atomic */
    uint8_t closed;            /* the id is stale; the close is under way */
    uint8_t arriving;          /* in lane->arrivals still, and not in its list */
    const weft__resource_kind *type;
    weft__lane *lane;
    weft__link link;           /* in lane->resources */
};

/* The kinds share two slabs per runtime: of records of this size, and small ones for kinds that hold no descriptor
 * (kind.h): a look-up among a million costs as much as the memory between two of them. */
#define WEFT__RESOURCE_SIZE 448
#define WEFT__RESOURCE_SMALL 96
/* A fresh record owned by the calling fiber's lane, zeroed behind its weft__resource part.
 * 0, -ENOMEM, -EPERM outside a fiber. */
int weft__resource_make(const weft__resource_kind *type, weft__resource **out);
/* The same for a given lane that has not been born yet: an accepted connection travels with its newborn. */
int weft__resource_make_for(weft__lane *lane, const weft__resource_kind *type, weft__resource **out);
/* Zeroes a fresh record that is to be of that kind, for those who fill it in. */
void weft__resource_clear(weft__resource *r, enum weft__kind kind);
weft_id weft__resource_id(const weft__resource *r);
/* The record an id names, for a fiber of the lane that owns it. kinds: bit set (1 << kind) of what is acceptable.
 * 0; -EBADF stale or no id; -EPERM another lane's, or no fiber; -EINVAL another kind. */
int weft__resource_find(weft_id id, uint32_t kinds, weft__resource **out);
/* Makes the id stale and begins the close. */
void weft__resource_close(weft__resource *r);
/* The close is complete: the record is free. On the owner lane's worker. */
void weft__resource_gone(weft__resource *r);
/* The same in two steps: the record is free (any worker), and its lane has one close less to wait for (its worker),
 * whose id counted or not. */
void weft__resource_free(weft__resource *r);
void weft__resource_settled(weft__lane *lane, int counted);
/* Enters what the lane was given into its list. Home. */
void weft__resources_arrive(weft__lane *lane);
/* From here on nothing can be given to it; what was, has arrived. Home. */
void weft__resources_shut(weft__lane *lane);
/* give.c: moves the resources that the first n ids of the lane's copied argument name to the lane, which has not been
 * started, and puts its own ids there. 0, or what weft_give says, and nothing was moved; -EBUSY also where the
 * streaming form is armed, which this does not wait for. */
int weft__give_to_newborn(weft__lane *lane, unsigned n);

/* By weft__lane_next_end; by its watch, which `tag` is. */
enum weft__supervised { WEFT__NOT_SUPERVISED, WEFT__SUPERVISED, WEFT__WATCHED };

/* Who is told, on the parent's home, that a child is over and everything that it had is given back. The record
 * is freed by whoever calls this; with result given apart, since a killed parent gives its children up before
 * they have ended: -ECANCELED then. */
typedef struct weft__lane_watch {
    void (*over)(struct weft__lane_watch *watch, weft__lane *child, int result);
    uint32_t asked; /* WEFT__SIG_*: what weft__lane_tell_watched was called with */
} weft__lane_watch;

/* ---- annex.c ---- */
/* The lane's annex, made if need be; NULL: no memory. Home, or who makes the lane. */
weft__annex *weft__lane_annex(weft__lane *lane);
/* It goes back to its pool. Any worker; the lane has ended. */
void weft__lane_annex_drop(weft__lane *lane);

/* ---- lanes.c ---- */
static inline void weft__lane_enter(weft__lane *lane, enum weft__lane_phase phase)
{
    weft__store_relaxed(&lane->phase, (uint8_t)phase, "lane.phase");
}
static inline weft__lane *weft__lane_of(weft__crew *crew) { return weft__container(crew, weft__lane, crew); }
/* One reason more for a lane not to move, one less. A lane that may move at all has its annex. Home, or its maker. */
static inline void weft__lane_stay(weft__lane *lane)
{
    if (lane->crew.mobile)
        lane->annex->stays++;
}
static inline void weft__lane_may_go(weft__lane *lane)
{
    if (lane->crew.mobile)
        lane->annex->stays--;
}
weft__lane *weft__lane_self(void); /* of the calling fiber, or NULL */
/* Makes a newborn child of `parent` without starting it; NULL parent: the root.
 * -EAGAIN, -ENOMEM, -ECANCELED, -ESHUTDOWN. */
int weft__lane_make(weft_runtime *rt, weft__lane *parent, int (*fn)(void *), void *arg, const weft_lane_options *opt, const char *name,
                    const char *site, weft__lane **out);
/* weft_lane_spawn_at for a child that the calling fiber's lane supervises. */
int weft__lane_spawn_supervised(weft_id *out, int (*fn)(void *), void *arg, const weft_lane_options *opt, const char *name,
                                const char *site, void *tag);
/* The same for one that is watched. */
int weft__lane_spawn_watched(weft_id *out, int (*fn)(void *), void *arg, const weft_lane_options *opt, const char *name, const char *site,
                             weft__lane_watch *watch);
/* Sends those of its children that are watched by this their WEFT__SIG_*:
 * so many of them now, the others in turns to come. Home. */
void weft__lane_tell_watched(weft__lane *lane, weft__lane_watch *watch, uint32_t flags);
/* Starts a newborn: wherever placement says, or on worker `at`. */
void weft__lane_start(weft__lane *lane, weft__worker *at);
/* The same for a connection that the calling worker has accepted: wherever placement says. */
void weft__lane_start_connection(weft__lane *lane);
/* Strikes an ended lane off its parent's books and frees its record. Any worker. */
void weft__lane_leave(weft__lane *lane);
/* The parent of a newborn that is not started yet will ask for its end by weft__lane_next_end, or
 * hears of it by its watch: it can neither be joined nor detached, and its failure is passed to
 * nobody. 0 or -ENOMEM. On the parent's home. */
int weft__lane_supervise(weft__lane *child, void *tag, enum weft__supervised how);
/* Waits for the next of the calling fiber's supervised child lanes to end, in the order in which they did, and
 * strikes it off: everything it had is given back. 0; -ECANCELED (checked at entry), -ETIMEDOUT; -EBUSY: another
 * fiber waits; -EPERM: not a fiber of `self`. */
int weft__lane_next_end(weft__lane *self, weft_exit *out, void **tag, int64_t deadline);
/* Undoes make before start. Its resources are closed. */
void weft__lane_abandon(weft__lane *lane);
weft_id weft__lane_id(weft__lane *lane);
/* Makes w the lane's home. */
void weft__lane_settle_at(weft__lane *lane, weft__worker *w);
/* Any thread: sets WEFT__SIG_CANCEL or WEFT__SIG_KILL. 0 or -ESRCH. */
int weft__lane_signal(weft_runtime *rt, weft_id id, uint32_t flags);

#endif
