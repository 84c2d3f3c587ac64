/* What ids name: listing and describing. Only what the caller's own worker may read is told: its lane, that lane's
 * fibers and resources, and of child lanes what does not change. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/kind.h"
#include "lane/handle.h"
#include "lane/realm.h"
#include "lane/share.h"
#include "sched/text.h"

/* ---- listing ---- */

typedef struct listing {
    weft_id *ids;
    unsigned max, count;
} listing;

static void add(listing *l, weft_id id)
{
    if (l->count < l->max)
        l->ids[l->count] = id;
    l->count++;
}

static void add_children(listing *l, weft__lane *lane)
{
    weft__spin_lock(&lane->lock);
    for (weft__link *i = lane->children.next; i != &lane->children; i = i->next)
        add(l, weft__lane_id(weft__container(i, weft__lane, siblings)));
    weft__spin_unlock(&lane->lock);
}

static void add_resources(listing *l, weft__lane *lane)
{
    weft__resources_arrive(lane);
    for (weft__link *i = lane->resources.next; i != &lane->resources; i = i->next) {
        weft__resource *r = weft__container(i, weft__resource, link);
        if (weft__kind_public(r->kind))
            add(l, weft__resource_id(r));
    }
}

static void add_monitors(listing *l, weft__lane *lane)
{
    weft__knot *k = weft__load_acquire(&lane->ties, "inspect.ties");
    if (!k || weft__is_mark(k))
        return;
    weft__spin_lock(&weft__ties_of(lane->rt)->lock);
    for (weft__link *i = k->ends.next; i != &k->ends; i = i->next) {
        const weft__tie_end *end = weft__container(i, weft__tie_end, link);
        if (end->tie->kind == WEFT__TIE_MONITOR && end == &end->tie->ends[1])
            add(l, weft__tie_id(lane->rt, end->tie));
    }
    weft__spin_unlock(&weft__ties_of(lane->rt)->lock);
}

static void add_aliases(listing *l, weft__lane *lane)
{
    weft__mailbox *box = weft__load_acquire(&lane->mail, "inspect.mail");
    if (!box || weft__is_mark(box))
        return;
    for (weft__link *i = box->aliases.next; i != &box->aliases; i = i->next)
        add(l, weft__alias_id(weft__container(i, weft__alias, link)));
}

int weft_id_list(weft_id *ids, unsigned max)
{
    weft__lane *lane = weft__lane_self();
    listing l = {ids, max, 0};
    if (!lane)
        return -EPERM;
    if (max && !ids)
        return -EINVAL;
    for (weft__link *i = lane->crew.fibers.next; i != &lane->crew.fibers; i = i->next)
        add(&l, weft__fiber_id(weft__container(i, weft__fiber, siblings)));
    add_children(&l, lane);
    add_resources(&l, lane);
    for (const weft__holding *h = weft__holdings_of(lane); h; h = h->next)
        add(&l, weft__holding_id(h));
    add_aliases(&l, lane);
    add_monitors(&l, lane);
    return (int)l.count;
}

/* ---- looking ---- */

static const char *fiber_state(const weft__fiber *f)
{
    static const char *const waits[] = {[WEFT__WAIT_NONE] = "waiting", [WEFT__WAIT_OP] = "waiting for an operation",
                                        [WEFT__WAIT_READY] = "waiting for an operation",
                                        [WEFT__WAIT_PARK] = "parked", [WEFT__WAIT_SLEEP] = "sleeping", [WEFT__WAIT_JOIN] = "joining",
                                        [WEFT__WAIT_CHILD] = "joining"};
    static const char *const states[] = {[WEFT__NEWBORN] = "newborn", [WEFT__RUNNING] = "running", [WEFT__READY] = "ready",
                                         [WEFT__ENDED] = "ended"};
    if (f->state != WEFT__WAITING)
        return states[f->state];
    return f->waiting < sizeof waits / sizeof *waits && waits[f->waiting] ? waits[f->waiting] : "waiting";
}

static int look_at_fiber(weft__fiber *self, weft_id id, weft_id_info *out)
{
    weft__fiber *f;
    int r = weft__fiber_find(self->home, id, &f);
    if (r < 0)
        return r;
    if (f->crew != self->crew)
        return -EPERM;
    weft__lane *lane = weft__lane_of(f->crew);
    out->owner = weft__lane_id(lane);
    out->owner_name = lane->crew.name;
    out->name = f->name;
    out->site = f->site;
    out->state = fiber_state(f);
    return 0;
}

static uint32_t moves_of(const weft__lane *lane)
{
    return lane->crew.mobile ? weft__load_relaxed(&lane->annex->moves, "inspect.moves") : 0;
}

static void look_at_own_lane(weft__lane *lane, weft_id_info *out)
{
    weft__lane *parent = lane == weft__lanes_of(lane->rt)->root ? NULL : lane->parent;
    out->owner = parent ? parent->crew.id : WEFT_NOID;
    out->owner_name = parent ? parent->crew.name : NULL;
    if (parent)
        weft__lane_id(parent);
    out->name = lane->crew.name;
    out->site = lane->crew.site;
    out->state = lane->crew.killed ? "being killed" : lane->crew.cancelled ? "cancelled" : "alive";
    out->worker = lane->crew.home->index;
    out->moves = moves_of(lane);
}

/* A child stays in the list, and its name with it, while we have our lock. */
static int look_at_child(weft__lane *self, weft_id id, weft_id_info *out)
{
    int r;
    const weft__lane *lane = weft__slab_at(&weft__lanes_of(self->rt)->lanes, id.key);
    if (!lane)
        return -ESRCH;
    weft__spin_lock(&self->lock);
    if (!weft__slab_is(weft__load_acquire(&lane->head.word, "inspect.lane"), id.gen))
        r = -ESRCH;
    else if (weft__load_relaxed(&lane->parent, "inspect.lane") != self)
        r = -EPERM;
    else
        r = weft__link_alone(&lane->siblings) ? -ESRCH : 0;
    if (r == 0) {
        out->name = lane->crew.name;
        out->site = lane->crew.site;
        out->state = lane->detached == WEFT__ORPHAN ? "ended" : lane->detached ? "detached child" : "child";
        const weft__worker *home = weft__home_of(&lane->crew.home);
        out->worker = home ? home->index : 0; /* unborn */
        out->moves = moves_of(lane);
    }
    weft__spin_unlock(&self->lock);
    out->owner = self->crew.id;
    out->owner_name = self->crew.name;
    return r;
}

static int look_at_lane(weft__lane *self, weft_id id, weft_id_info *out)
{
    if (!weft_id_equal(id, weft__lane_id(self)))
        return look_at_child(self, id, out);
    look_at_own_lane(self, out);
    return 0;
}

static void look_at_owner(weft__lane *self, weft_id_info *out)
{
    out->owner = weft__lane_id(self);
    out->owner_name = self->crew.name;
}

static int look_at_holding(weft__lane *self, weft_id id, weft_id_info *out)
{
    weft__holding *h;
    int r = weft__holding_find(id, (enum weft__kind)WEFT__NS_KIND(id.ns), &h);
    if (r < 0)
        return r;
    look_at_owner(self, out);
    out->bytes = h->kind == WEFT__ROPE ? h->length : h->span.length;
    out->state = h->kind == WEFT__BLOCK ? "being filled" : "immutable";
    return 0;
}

static int look_at_alias(weft__lane *self, weft_id id, weft_id_info *out)
{
    weft__mailbox *box;
    weft__alias *a;
    int r = weft__alias_find(self->rt, id, &a, &box);
    if (r < 0)
        return r;
    if (box != weft__load_acquire(&self->mail, "inspect.mail"))
        return -EPERM;
    look_at_owner(self, out);
    out->state = a->call ? "a call's" : "open";
    return 0;
}

static int look_at_monitor(weft__lane *self, weft_id id, weft_id_info *out)
{
    weft__tie_realm *realm = weft__ties_of(self->rt);
    const weft__tie *t = weft__slab_at(&realm->ties, id.key);
    int r = -ESRCH;
    weft__spin_lock(&realm->lock);
    if (t && WEFT__GEN(weft__load_relaxed(&t->head.word, "inspect.tie")) == id.gen && t->kind == WEFT__TIE_MONITOR && t->ends[1].knot)
        r = t->ends[1].knot->lane == self ? 0 : -EPERM;
    if (r == 0)
        out->watched = t->ends[0].knot->owner;
    weft__spin_unlock(&realm->lock);
    look_at_owner(self, out);
    out->state = "watching";
    return r;
}

static int look_at_resource(weft_id id, weft_id_info *out)
{
    weft__resource *r;
    int result = weft__resource_find(id, ~0u, &r);
    if (result < 0)
        return result;
    look_at_owner(r->lane, out);
    out->state = "open";
    if (WEFT__KINDS_HANDLE & WEFT__KIND_BIT(r->kind))
        weft__handle_inspect(weft__handle_of(r), out);
    if (r->type->inspect)
        r->type->inspect(r, out);
    return 0;
}

/* The op by which a descriptor's kind is judged. */
static enum weft_opcode usual_op(unsigned kind)
{
    switch (kind) {
    case WEFT__LISTENER:
        return WEFT_OP_ACCEPT;
    case WEFT__FILE:
        return WEFT_OP_PREAD;
    case WEFT__DIR:
        return WEFT_OP_READDIR;
    default:
        return WEFT_OP_RECV;
    }
}

void weft__handle_inspect(weft__handle *h, weft_id_info *out)
{
    weft_port *port = weft__handle_home(h);
    out->handles = weft__load_relaxed(&weft__handle_host(h)->handles, "inspect.handles");
    out->ops = h->busy;
    out->driver = port->driver->name;
    out->via = weft_runtime_path(h->res.lane->rt, usual_op(h->res.kind), NULL);
    if (h->res.kind != WEFT__SOCKET && h->res.kind != WEFT__LISTENER)
        return;
    if (port->driver->address && port->driver->address(port, h->desc->handle, 0, &out->local) < 0)
        out->local = (weft_addr){0};
    if (h->res.kind == WEFT__SOCKET && port->driver->address && port->driver->address(port, h->desc->handle, 1, &out->peer) < 0)
        out->peer = (weft_addr){0}; /* it is not connected any more */
}

static int look(weft__fiber *self, weft_id id, weft_id_info *out)
{
    weft__lane *lane = weft__lane_of(self->crew);
    switch (weft__kind_in(out->kind)) {
    case WEFT__IN_FIBERS:
        return look_at_fiber(self, id, out);
    case WEFT__IN_LANES:
        return look_at_lane(lane, id, out);
    case WEFT__IN_RESOURCES:
        return look_at_resource(id, out);
    case WEFT__IN_HOLDINGS:
        return look_at_holding(lane, id, out);
    case WEFT__IN_ALIASES:
        return look_at_alias(lane, id, out);
    case WEFT__IN_TIES:
        return look_at_monitor(lane, id, out);
    default:
        return weft__kind_rows[out->kind].right == WEFT__RIGHT_ADDRESS ? -ESRCH : -EBADF;
    }
}

int weft_id_inspect(weft_id id, weft_id_info *out)
{
    weft__fiber *self = weft__fiber_self();
    weft_id_info found;
    if (!self)
        return -EPERM;
    if (!out)
        return -EINVAL;
    memset(&found, 0, sizeof found);
    found.id = id;
    found.kind = weft_id_kind(id);
    found.next_ns = WEFT_NEVER;
    if (!weft__id_is_ours(self->home->rt, id))
        return -EBADF;
    int r = look(self, id, &found);
    if (r == 0)
        *out = found;
    return r;
}

/* ---- as text ---- */

enum { WHERE_MAX = 256 }; /* two addresses, a pathname each */

typedef struct line {
    char *buf;
    size_t size, len;
} line;

static void say(line *l, const char *fmt, ...) WEFT_PRINTF(2, 3);

static void say(line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    size_t at = l->len < l->size ? l->len : l->size;
    l->len += weft__vformat(l->buf ? l->buf + at : NULL, l->size - at, fmt, ap);
    va_end(ap);
}

/* Record and life, both from a small number: what is shown is for people, not for calls. */
static void say_id(line *l, weft_id id)
{
    say(l, " %u.%u", id.key - WEFT__KEY_BASE, (unsigned)id.gen - WEFT__GEN_FIRST + 1);
}

static void say_where(line *l, const weft_id_info *i)
{
    char text[WHERE_MAX];
    weft__resource *r;
    if (i->local.family != WEFT_ADDR_NONE && weft__resource_find(i->id, ~0u, &r) == 0 && r->type->where) {
        r->type->where(i, text, sizeof text);
        say(l, " %s", text);
    }
    if (i->path[0])
        say(l, " %s", i->path);
    if (i->name)
        say(l, " \"%s\"", i->name);
    if (i->site)
        say(l, " (spawned at %s)", i->site);
}

static const char *via_name(enum weft_path via)
{
    static const char *const names[] = {[WEFT_PATH_NONE] = "none", [WEFT_PATH_RING] = "ring", [WEFT_PATH_READY] = "readiness",
                                        [WEFT_PATH_POOL] = "blocking pool", [WEFT_PATH_CALL] = "call", [WEFT_PATH_SIM] = "simulated"};
    return (unsigned)via < sizeof names / sizeof *names ? names[via] : "other";
}

int weft_id_describe(weft_id id, char *buf, size_t size)
{
    weft_id_info i;
    int r = weft_id_inspect(id, &i);
    if (r < 0)
        return r;
    if (size && !buf)
        return -EINVAL;
    line l = {buf, size, 0};
    say(&l, "%s", weft_id_kind_name(id));
    say_id(&l, id);
    say_where(&l, &i);
    if (i.owner.gen) {
        say(&l, i.kind == WEFT_ID_LANE ? ", child of \"%s\"" : ", lane \"%s\"", i.owner_name ? i.owner_name : "");
        say_id(&l, i.owner);
    }
    say(&l, ", %s", i.state);
    if (i.moves)
        say(&l, ", at worker %u after %u move%s", i.worker, i.moves, i.moves == 1 ? "" : "s");
    if (i.watched.gen) {
        say(&l, " lane");
        say_id(&l, i.watched);
    }
    if (weft__kind_in(i.kind) == WEFT__IN_HOLDINGS)
        say(&l, ", %zu bytes", i.bytes);
    if (i.handles > 1)
        say(&l, ", shared by %u ids", i.handles);
    if (i.ops)
        say(&l, ", %u in flight", i.ops);
    if (i.kind == WEFT_ID_TIMER && i.next_ns != WEFT_NEVER)
        say(&l, ", due in %lld ns", (long long)(i.next_ns - weft_now()));
    if (i.driver)
        say(&l, ", %s by %s", i.driver, via_name(i.via));
    return (int)l.len;
}
