/* Mailboxes from the inside: message blocks, mailboxes, aliases, senders that wait. All of them come from pools of
 * the runtime and lie in no lane's memory, so a sender may hold on to a mailbox whose lane is just dying: a
 * mailbox's record stays a mailbox, and its lock and owner tell.
 *
 * Locks: a mailbox has one, held for a few instructions. A thread holds one mailbox's lock at a time, and may take
 * it while it holds the tie lock (tie.h), never the other way round. */
#ifndef WEFT_LANE_MAIL_H
#define WEFT_LANE_MAIL_H

#include <weft/message.h>

#include "base/check.h"
#include "base/list.h"
#include "base/spin.h"
#include "fiber/fiber.h"
#include "sched/slab.h"

typedef struct weft__lane weft__lane;
typedef struct weft__mailbox weft__mailbox;
typedef struct weft__alias weft__alias;

/* ---- Blocks ---- */

#define WEFT__MSG_CLASSES 10 /* of 128 << class bytes, header included; what is larger has a mapping of its own */
#define WEFT__MSG_MAGIC 0x6d657373u

enum weft__msg_state { WEFT__MSG_FREE, WEFT__MSG_LOOSE, WEFT__MSG_HELD, WEFT__MSG_GONE };

/* A message block. GONE: in a mailbox or on its way; LOOSE: a thread's that is no fiber; HELD: a lane's, in the list
 * of its mailbox. */
typedef struct weft__msg {
    /* In a mailbox (its lock), or in what a lane holds (home); while free: next block, next chain. */
    weft__link link;
    weft_runtime *rt;
    weft__mailbox *holder; /* HELD: whose */
    weft__alias *call;     /* a request on its way: its caller's, until it is in the mailbox */
    uint64_t seq;          /* in the order of arrival */
    size_t bytes;          /* of the whole block */
    size_t counted;        /* bytes that it counts for in the mailbox */
    uint32_t magic;
    uint8_t state;         /* enum weft__msg_state (atomic: bad use is looked for by other threads) */
    uint8_t class;
    uint8_t system;        /* counts for nothing and is never dropped */
    uint8_t pinned;        /* a matcher looks at it */
    uint8_t doomed;        /* was dropped while a matcher looked at it */
    uint8_t charged;       /* HELD: to the lane's limit of memory */
    uint8_t draining, drained; /* its lane is dead, and what takes long about it is begun, is done */
    uint8_t sliced;        /* content is a weft__span: a reference to shared bytes, which pub.data points to */
    uint8_t carries;       /* its last words are a weft__cargo */
    weft_message pub;
    _Alignas(16) unsigned char content[];
} weft__msg;

static inline weft__msg *weft__msg_of(weft_message *m) { return weft__container(m, weft__msg, pub); }

/* Free blocks of one class: chains of `link.next`, chained by `link.prev`. */
typedef struct weft__msg_shelf {
    weft__link *head, *spare;
    unsigned count;
} weft__msg_shelf;

/* A block whose content has room for size bytes, LOOSE, its public part filled in; NULL: no memory. Any thread that
 * may touch the runtime. */
weft__msg *weft__msg_take(weft_runtime *rt, size_t size);
void weft__msg_give(weft__msg *m);
/* What takes long about giving back a large block that nobody uses any more, in steps: 1 once the rest is quick, 0
 * when the budget is used up. */
int weft__msg_drain(weft__msg *m, unsigned *budget);
/* A lock that travels with the message, whose block must have room for this behind its bytes: nobody's until it is
 * taken out; if the message ends before, it has lost its owner. */
typedef struct weft__cargo {
    weft__held *held;
    /* In whose memory it lies: the message goes to nobody who may outlive that; NULL: in no lane's. */
    const weft__lane *keeper;
} weft__cargo;
/* held NULL: takes it out. */
void weft__msg_carry(weft__msg *m, weft__held *held, const weft__lane *keeper);
weft__held *weft__msg_cargo(const weft__msg *m);
/* May what it carries come to that lane, which is alive? */
int weft__msg_may_reach(const weft__msg *m, const weft__lane *to);
/* How many bytes it may have at most, and what it counts for in its holder's limit of memory. */
size_t weft__msg_room(const weft__msg *m);
size_t weft__msg_weight(const weft__msg *m);

/* ---- Mailboxes ---- */

struct weft__mailbox {
    weft__slab_head head;
    weft__spin lock;
    /* Guarded by the lock. */
    weft_id owner;             /* WEFT_NOID: it has none any more */
    weft__worker *home;        /* of the receivers; set by them, and as the lane moves */
    weft__link queue;          /* weft__msg.link, oldest first */
    uint32_t count, max_count;
    size_t bytes, max_bytes;
    uint64_t arrived, dropped; /* how many ever */
    weft__link senders;        /* weft__sender.link: they wait for room */
    weft__link calls;          /* weft__alias.at_callee: requests that were taken in and are not answered */
    weft__link answered;       /* weft__alias.at_answered: calls whose fibers are to be woken */
    uint32_t waiting;          /* receivers */
    uint8_t shut;              /* the lane is dying: nothing is taken any more */
    uint8_t signalled;         /* `wake` is on its way home */
    uint8_t orphan;            /* the lane is gone; the arrival of `wake` frees it */
    /* Home. */
    weft_runtime *rt;
    weft__lane *lane;
    weft__link receivers;      /* fibers that wait for a message */
    weft__link held;           /* weft__msg.link: allocated or received, and not freed */
    weft__link aliases;        /* weft__alias.link */
    weft_task wake;
};

/* An address of a lane that can be given up: of a call that waits for its answer, or opened by the program. Valid
 * while its generation is the id's; that changes under the lock of the owner's mailbox only. */
struct weft__alias {
    weft__slab_head head;
    weft__mailbox *box;    /* the owner's (atomic) */
    weft__link link;       /* in box->aliases; home */
    weft__link at_answered; /* in box->answered, or alone; box's lock */
    weft__link at_callee;  /* in callee->calls, or alone; the callee's lock */
    weft__mailbox *callee; /* where the request went; home */
    weft__fiber *fiber;    /* of a call: who waits, or NULL; home */
    weft__msg *answer;     /* box's lock, as the rest */
    int error;             /* there will be no answer */
    uint8_t call, once, spent;
};

/* One that waits for room in a mailbox. In a record of its own, since the news that it was let in may arrive after
 * it has given up. */
typedef struct weft__sender {
    weft__slab_head head;
    weft__link link;       /* in box->senders; its lock */
    weft__msg *msg;
    weft_runtime *rt;
    weft__mailbox *box;
    weft__fiber *fiber;    /* NULL: a thread, or nobody waits any more (atomic); home */
    weft__worker *home;    /* where it began to wait; NULL: a thread */
    weft_task task;
    weft_parker parker;
    int result;            /* box's lock; then `over` */
    uint32_t over;         /* let in or turned away (atomic) */
    uint32_t refs;         /* a thread's: its own, and of who tells it (atomic) */
} weft__sender;

/* What is to be done once a mailbox's lock is released. */
typedef struct weft__mail_news {
    weft__link told;       /* senders that are let in or turned away */
    weft__link dropped;    /* messages to be freed */
    weft__worker *wake;    /* receivers or callers wait there */
} weft__mail_news;

/* mailbox.c */
/* The mailbox of the lane that `id` names, made if need be. 0; -ESRCH; -ENOMEM. Any thread that may touch the
 * runtime. What it answers may be another lane's by the time its lock is taken: compare `owner`. */
int weft__mailbox_find(weft_runtime *rt, weft_id id, weft__mailbox **out);
/* That of a lane which is known to exist. -ENOMEM; -ESRCH it is dying. */
int weft__mailbox_of(weft__lane *lane, weft__mailbox **out);
void weft__mail_news_init(weft__mail_news *n);
/* Acts on it, with no lock held. `box` is touched only if n->wake says so. */
void weft__mail_tell(weft__mailbox *box, weft__mail_news *n);
/* Puts a message in, whatever its size; shut is for the caller to look at. Under the lock. */
void weft__mailbox_add(weft__mailbox *box, weft__msg *m, weft__mail_news *n);
/* Takes one out and lets senders in that have room now. Under the lock. */
void weft__mailbox_remove(weft__mailbox *box, weft__msg *m, weft__mail_news *n);
void weft__mailbox_admit(weft__mailbox *box, weft__mail_news *n);
/* Somebody at home has something to look at. Under the lock. */
void weft__mailbox_alarm(weft__mailbox *box, weft__mail_news *n);
int weft__mailbox_fits(const weft__mailbox *box, const weft__msg *m);
/* Is `to` the box's lane, or a living alias of it? Under the lock. 0 or -ESRCH. */
int weft__mailbox_accepts(weft__mailbox *box, weft_id to);
/* A message of the runtime's own, which counts for nothing: 1, or 0 if the box is shut; then it is freed. May be
 * called under the tie lock; then `n` is told later. */
int weft__mailbox_post(weft__mailbox *box, weft__msg *m, weft__mail_news *n);
/* Home: message m is the lane's from now on, and no longer. hold: -ENOMEM at the lane's limit of memory, unless
 * `must`. */
int weft__msg_hold(weft__mailbox *box, weft__msg *m, int must);
void weft__msg_release(weft__msg *m);
/* The box whose lane is dying: calls that it has not answered are told, and it is freed. Home; after everything else
 * of the lane. */
void weft__mailbox_end(weft__lane *lane);

/* Where receivers and callers are told from now on: the lane's new home, or that it is bound for one. Home. */
void weft__mailbox_redirect(weft__lane *lane, weft__worker *home);
/* Who waits for a message, in the frame of its fiber. Home. */
typedef struct weft__receiver {
    weft__link link;      /* in box->receivers, or alone */
    weft__mailbox *box;
    weft__fiber *fiber;
    int (*match)(const weft_message *msg, void *arg); /* NULL: takes anything */
    void *arg;
    uint64_t seen;        /* looked at all messages up to this one */
    weft__msg *got;
    int error;            /* there was one, but it could not be taken */
    uint8_t looks;        /* it waits for other things, too: it is nudged and takes nothing before it has looked */
} weft__receiver;

/* mail_receive.c, for who waits for other things, too. The oldest message, after those who waited before:
 * 0, -EAGAIN none, -ENOMEM. */
int weft__mail_take(weft__mailbox *box, weft__msg **out);
/* Is there one? If not, the receiver waits, if it is not NULL. */
int weft__mail_await(weft__mailbox *box, weft__receiver *r);
void weft__mail_forgo(weft__receiver *r);

/* mail_receive.c: gives waiting receivers what has come, and wakes callers. Home. */
void weft__mailbox_deliver(weft__mailbox *box);

/* mail_send.c */
/* Sends a message that is LOOSE, or HELD by the caller's lane. Waits only if the caller is a fiber of rt, or no
 * worker at all. On failure it is what it was, or was LOOSE and is HELD now. The caller has a guest's place if it is
 * no worker of rt. */
int weft__mail_send(weft_runtime *rt, weft_id to, weft__msg *m, int full, int64_t deadline);
/* May the caller, whose lane is `self` (NULL: no fiber), hand this message over? 0, -EINVAL, -EPERM. */
int weft__msg_check(weft__lane *self, const weft__msg *m);
/* A copy of size bytes, LOOSE. -EINVAL, -ENOMEM. */
int weft__msg_copy(weft_runtime *rt, const void *data, size_t size, weft__msg **out);
/* Gives back what no send took, LOOSE or HELD. */
void weft__msg_discard(weft__msg *m);
/* Tells one that it was let in or turned away; no lock held. */
void weft__sender_tell(weft__sender *s);

/* mail_call.c */
int weft__alias_make(weft__mailbox *box, int call, int once, weft__alias **out);
weft_id weft__alias_id(const weft__alias *a);
/* The mailbox of an alias's owner. 0 or -ESRCH. */
int weft__alias_find(weft_runtime *rt, weft_id id, weft__alias **alias, weft__mailbox **box);
/* A message has come through it: what is for one message only takes no more. Owner's lock. */
void weft__alias_use(weft__mailbox *box, weft_id id);
/* An answer for a call, which lives: 0, or -ESRCH: it has one already. Owner's lock. */
int weft__alias_answer(weft__alias *a, weft__mailbox *box, weft__msg *m, weft__mail_news *n);
/* Gives up an alias and frees it. Home. */
void weft__alias_end(weft__alias *a);
/* There will be no answer: the call, if it still waits, answers `error`. Any thread, no lock held. */
void weft__alias_fail(weft_runtime *rt, weft_id id, int error);

/* ---- Pools ---- */

/* Per runtime (weft__lane_realm.mail). */
typedef struct weft__mail_realm {
    weft__slab boxes, aliases, senders;
    weft__spin lock;                       /* guards the next two */
    weft__link *depot[WEFT__MSG_CLASSES];  /* chains of free blocks */
    struct weft__msg_chunk *chunks;        /* what they are cut from */
    uint32_t sleeping;                     /* threads that wait for room (atomic) */
} weft__mail_realm;

/* Per worker (weft__lane_pools.mail). */
typedef struct weft__mail_pools {
    weft__slab_cache boxes, aliases, senders;
    weft__msg_shelf shelves[WEFT__MSG_CLASSES];
} weft__mail_pools;

int weft__mail_open(weft__mail_realm *realm, const weft_env *env, unsigned shift, unsigned chunks);
void weft__mail_close(weft__mail_realm *realm, const weft_env *env);
void weft__mail_enter(weft__mail_pools *pools, weft__mail_realm *realm);
void weft__mail_leave(weft__mail_pools *pools, weft__mail_realm *realm);
/* The calling thread's pools, or NULL if it is no worker of rt. */
weft__mail_pools *weft__mail_pools_of(weft_runtime *rt);
weft__mail_realm *weft__mail_of(weft_runtime *rt);

#endif
