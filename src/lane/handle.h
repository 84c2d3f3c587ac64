/* Resources that are descriptors: sockets, listeners, files, directories. A *handle* is what an id names: one lane's.
 * Behind it is a weft_desc that lives at its home port, and that several handles may share. The descriptor lies in the
 * record of the handle that was there first, the host; a host whose own id is closed stays until the last handle is
 * gone. So the usual handle, alone with its descriptor, is one record.
 *
 * `handles` of the host counts open ids: the last close begins the kernel's. `users` counts records that point at the
 * host, itself included while its id lives; the last one frees the host's record.
 *
 * Home ports. `port` is where ops must go: NULL means the owner's own port, which has or will have the descriptor as
 * its home. It is set in single-io mode, and where a descriptor may be used from several workers: then it is its home
 * from there on, and ops of other workers reach it by its inbox.
 *
 * Owner worker: everything but the host's `own`, which belongs to the home port's thread.
 * Its `handle` may be read by every owner: it changes only at the end of the last close. */
#ifndef WEFT_LANE_HANDLE_H
#define WEFT_LANE_HANDLE_H

#include "lane/realm.h"

typedef struct weft__handle weft__handle;

struct weft__handle {
    weft__resource res;
    weft_task task;            /* carries the close to the port's thread, and the news of its end back */
    weft__worker *closer;      /* who began the close */
    weft_desc *desc;           /* the host's `own` */
    weft_port *port;           /* as above */
    uint32_t busy;             /* calls that wait through it */
    uint8_t last;              /* the close under way is the last handle's */
    uint8_t streams;           /* a socket's: what comes may be on its way by the streaming form, or lie there */

    /* The host's. */
    uint8_t anchored;          /* its home worker's load counts it: others need that port */
    uint32_t handles, users;   /* atomic */
    weft_desc own;
    /* The descriptor is closed, and no handle is left: before the record is freed; any worker; or NULL. */
    void (*over)(weft__handle *host);

    /* Called on the closer's worker once the port has done its part of the close; ends by weft__handle_gone.
     * NULL: nothing to add to that. */
    void (*ended)(weft__handle *h);
};

/* What a request touches of it, on a record that begins with a cache line: the resource's, and then this and what
 * comes first of the descriptor. */
_Static_assert(sizeof(void *) != 8 || (offsetof(weft__handle, own) + offsetof(weft_desc, port)) % WEFT_CACHE_LINE == 0,
    "a request touches three lines of a socket");

#define WEFT__KIND_BIT(kind) (1u << (kind))
#define WEFT__KINDS_SOCKET WEFT__KIND_BIT(WEFT__SOCKET)
#define WEFT__KINDS_LISTENER WEFT__KIND_BIT(WEFT__LISTENER)
#define WEFT__KINDS_FILE WEFT__KIND_BIT(WEFT__FILE)
#define WEFT__KINDS_DIR WEFT__KIND_BIT(WEFT__DIR)
#define WEFT__KINDS_HANDLE (WEFT__KINDS_SOCKET | WEFT__KINDS_LISTENER | WEFT__KINDS_FILE | WEFT__KINDS_DIR)

static inline weft__handle *weft__handle_of(const weft__resource *r)
{
    return weft__container((weft__resource *)(uintptr_t)r, weft__handle, res);
}
static inline weft__handle *weft__handle_host(const weft__handle *h) { return weft__container(h->desc, weft__handle, own); }

/* A fresh record's descriptor: `raw` is the record's from here on. */
void weft__handle_init(weft__handle *h, weft_handle raw, enum weft_desc_kind kind);
/* What every such kind's close does: the id is stale, the ops through it are cancelled;
 * with the last id the kernel's close follows the last op. */
void weft__handle_close(weft__resource *r);
/* Is no other id open on its descriptor? Then there will be none. */
int weft__handle_alone(const weft__handle *h);
/* The end of `ended`. */
void weft__handle_gone(weft__handle *h);
/* A record of this type for the calling fiber's lane, holding `raw`, which is closed if there is none. */
int weft__handle_make(const weft__resource_kind *type, weft_handle raw, enum weft_desc_kind kind, weft__handle **out);
/* As weft__resource_find. _find_of: for who knows the running fiber and wants one kind. */
int weft__handle_find(weft_id id, uint32_t kinds, weft__handle **out);
/* What _find_of would find, if that is certain at a glance, as it nearly always is; NULL: it is not. */
static inline weft__handle *weft__handle_glance(const weft__fiber *f, weft_id id, enum weft__kind kind)
{
    weft_runtime *rt = f->home->rt;
    weft__resource *r = weft__slab_at(&weft__lanes_of(rt)->resources, id.key);
    if (r && weft__slab_named(weft__load_acquire(&r->head.word, "handle.find"), WEFT__NS(rt, kind), id) &&
        weft__load_relaxed(&r->kind, "handle.find") == kind &&
        weft__load_acquire(&r->owner, "handle.find") == f->crew->id.key && !r->arriving) /* as there */
        return weft__handle_of(r);
    return NULL;
}
static inline int weft__handle_find_of(const weft__fiber *f, weft_id id, enum weft__kind kind, weft__handle **out)
{
    *out = weft__handle_glance(f, id, kind);
    return *out ? 0 : weft__handle_find(id, WEFT__KIND_BIT(kind), out);
}
/* `pack`, `copy` and `replaced` of the kinds, as far as the descriptor goes; -EBUSY with ops in flight. */
int weft__handle_pack(weft__handle *h);
void weft__handle_copy(weft__handle *fresh, const weft__handle *of, int shared);
void weft__handle_replaced(weft__resource *r);
void weft__handle_inspect(weft__handle *h, weft_id_info *out);
/* Before its lane moves to another worker: its descriptors leave the port, or stay with it and are reached from afar.
 * Home, before the move. */
void weft__handles_leave(weft__lane *lane);

/* Where its ops go. Owner's worker. */
static inline weft_port *weft__handle_home(const weft__handle *h) { return h->port ? h->port : h->res.lane->crew.home->port; }
/* Whether that is another thread's port. Owner's worker, and the port's thread: for that one it changes only by what
 * itself does, for a lane leaves its worker, and comes to one, on that worker's thread. */
static inline int weft__handle_remote(const weft__handle *h)
{
    if (!h->port)
        return 0;
    weft__worker *home = weft__load_acquire(&h->res.lane->crew.home, "handle.remote");
    return home != weft__whither(home) || !home->owns_port || h->port != home->port;
}

/* A call begins and ends on a handle. A sibling may close the id meanwhile, and the record be another's:
 * not the same, 0 then. */
static inline uint16_t weft__handle_begin(weft__handle *h)
{
    h->busy++;
    return WEFT__GEN(weft__load_relaxed(&h->res.head.word, "handle.begin"));
}
static inline int weft__handle_same(const weft__handle *h, uint16_t gen)
{
    return WEFT__GEN(weft__load_acquire(&h->res.head.word, "handle.same")) == gen;
}
static inline int weft__handle_end(weft__handle *h, uint16_t gen)
{
    int same = weft__handle_same(h, gen);
    if (same) /* else another worker may be counting in it */
        h->busy--;
    return same;
}
/* An op on h->desc, awaited as by weft__await_op. */
int64_t weft__handle_await(weft__handle *h, weft_op *op, int64_t deadline);
/* Of two that are at different ports, of a lane that may move: has one, with which nothing goes on,
 * join the other. -EXDEV. */
int weft__handle_join(weft__handle *a, weft__handle *b);
/* On two of them that are at one port. */
int64_t weft__handle_await_pair(weft__handle *h, weft__handle *h2, weft_op *op, int64_t deadline);

/* The calling worker's port. Fibers only. */
weft_port *weft__handle_port(void);
/* Gives a raw handle back to the system. */
void weft__handle_drop(weft_handle raw, enum weft__kind kind);

#endif
