/* Readers and writers. Everything is under the lock but the holders' places in their crews' lists, which belong to
 * their home workers. The line is one: whoever comes stands behind those who wait, so neither sort starves; from its
 * head either one writer or all readers in a row go. */
#include <errno.h>
#include <string.h>

#include "sync/graph.h"
#include "sync/mutex.h"

#define NOBODY ((weft__fiber *)(uintptr_t)2) /* the writer was killed, and its lane is still dying */

enum { READER = 1 };

typedef struct rwlock {
    weft__guard lock;
    uint32_t readers;
    weft__fiber *writer; /* atomic for those who only look */
    weft__queue queue;
    weft__held held;     /* the writer's */
    const char *site;    /* where it was locked for writing (atomic) */
    const char *name;
    uint8_t health;      /* enum weft__lock_health */
} rwlock;

/* One reader's. */
typedef struct hold {
    weft__held held;
    rwlock *rw; /* NULL: not in use */
} hold;

_Static_assert(sizeof(rwlock) <= sizeof(weft_rwlock), "weft_rwlock has room for what it hides");
_Static_assert(sizeof(hold) <= sizeof(weft_read_hold), "weft_read_hold has room for what it hides");

static rwlock *of(weft_rwlock *rw) { return (rwlock *)(void *)rw; }
static int reader_gone(weft__held *h, enum weft__orphan when);
static int writer_gone(weft__held *h, enum weft__orphan when);

static weft__fiber *writer_of(const rwlock *rw) { return weft__load_relaxed(&rw->writer, "rwlock.writer"); }
static void set_writer(rwlock *rw, weft__fiber *f) { weft__store_relaxed(&rw->writer, f, "rwlock.writer"); }

/* ---- serving; under the lock ---- */

static int fits(const rwlock *rw, const weft__node *n)
{
    return rw->health == WEFT__LOCK_LOST || (!writer_of(rw) && ((n->flags & READER) || rw->readers == 0));
}

static int admit(rwlock *rw, const weft__node *n)
{
    if (rw->health == WEFT__LOCK_LOST)
        return -ENOTRECOVERABLE;
    if (n->flags & READER)
        rw->readers++;
    else
        set_writer(rw, n->waiter->fiber);
    return rw->health == WEFT__LOCK_DEAD ? -EOWNERDEAD : 0;
}

static void serve(rwlock *rw, weft__news *news)
{
    weft__node *n;
    while ((n = rw->queue.first) && fits(rw, n))
        if (weft__node_claim(n))
            weft__node_answer(n, admit(rw, n), news);
}

/* A reader or the writer is gone, or somebody left the line. */
static void release(rwlock *rw, int reader, int writer)
{
    weft__news news;
    weft__news_init(&news);
    weft__sync_lock(&rw->lock);
    if (reader)
        rw->readers--;
    if (writer)
        set_writer(rw, NULL);
    serve(rw, &news);
    weft__sync_unlock(&rw->lock);
    weft__news_tell(&news);
}

/* ---- as a thing to wait for ---- */

static int ready(weft__node *n)
{
    rwlock *rw = n->object;
    return !rw->queue.first && fits(rw, n);
}

static int take(weft__node *n, weft__news *news)
{
    (void)news;
    n->answer = admit(n->object, n);
    return 1;
}

static void push(weft__node *n) { weft__queue_push(&((rwlock *)n->object)->queue, n); }

static void finish(weft__node *n)
{
    rwlock *rw = n->object;
    weft__fiber *f = n->waiter->fiber;
    if (n->answer == -ENOTRECOVERABLE)
        return;
    weft__held *h = n->flags & READER ? &((hold *)n->data)->held : &rw->held;
    if (weft__sync_hold(&rw->lock, &h->stake, f) < 0) {
        n->answer = -ENOTRECOVERABLE;
        return;
    }
    if (n->flags & READER) {
        ((hold *)n->data)->rw = rw;
        h->orphaned = reader_gone;
    } else {
        h->orphaned = writer_gone;
        weft__store_relaxed(&rw->site, (const char *)n->data, "rwlock.site");
    }
    weft__held_add(h, f);
}

static void refuse(weft__node *n)
{
    if (n->answer != -ENOTRECOVERABLE)
        release(n->object, n->flags & READER, !(n->flags & READER));
}

static void left(weft__node *n) { release(n->object, 0, 0); }

static const weft__node_kind kind = {ready, take, push, finish, refuse, left, "rwlock", -ENOTRECOVERABLE};

static weft__node node_of(rwlock *rw, unsigned flags, void *data)
{
    return (weft__node){.lock = &rw->lock, .object = rw, .kind = &kind, .data = data, .flags = (uint8_t)flags};
}

/* ---- calls ---- */

static weft__fiber *holder(void *object)
{
    weft__fiber *f = weft__load_acquire(&((rwlock *)object)->writer, "rwlock.holder");
    return f == NOBODY ? NULL : f;
}

static const char *locked_at(void *object) { return weft__load_relaxed(&((rwlock *)object)->site, "rwlock.site"); }

/* Does f hold it in any way? */
static int held_by(const rwlock *rw, const weft__fiber *f)
{
    if (writer_of(rw) == f)
        return 1;
    for (const weft__held *h = f->locks ? f->crew->locks : NULL; h; h = h->next)
        if (h->holder == f && h->orphaned == reader_gone && weft__container(h, const hold, held)->rw == rw)
            return 1;
    return 0;
}

static int lock_in(weft__node *n, weft__fiber *f, int64_t deadline, const char *site)
{
    rwlock *rw = n->object;
    weft__waiter wt;
    int late = weft__sync_late(f, deadline);
    weft__waiter_init(&wt, f, n, 1);
    int r = weft__node_enter(n);
    if (r < 0) {
        weft__waiter_leave(&wt);
        return r;
    }
    weft__sync_lock(&rw->lock);
    int served = ready(n);
    if (served)
        n->answer = admit(rw, n);
    else if (!late)
        r = weft__node_push(n);
    weft__sync_unlock(&rw->lock);
    if (!served && late) {
        weft__waiter_leave(&wt);
        return weft__refuse(f, -ETIMEDOUT);
    }
    if (!served && r == 0) {
        weft__edge e = {.object = rw, .holder = holder, .locked_at = locked_at, .what = "rwlock", .name = rw->name, .site = site};
        r = weft__graph_wait(&wt, &e, deadline);
    }
    if (r == 0)
        finish(n);
    weft__waiter_leave(&wt);
    return r < 0 ? r : n->answer;
}

static int enter(rwlock *rw, weft__fiber **f)
{
    int r = weft__sync_begin(f, 0);
    if (r < 0)
        return r;
    return held_by(rw, *f) ? weft__refuse(*f, -EDEADLK) : 0;
}

int weft_rwlock_read(weft_rwlock *opaque, weft_read_hold *where, int64_t deadline)
{
    weft__sync_used(opaque);
    weft__probe_self();
    rwlock *rw = of(opaque);
    weft__fiber *f;
    int r = enter(rw, &f);
    if (r < 0)
        return r;
    if (!where || ((hold *)(void *)where)->rw)
        return -EINVAL;
    weft__node n = node_of(rw, READER, where);
    return lock_in(&n, f, deadline, NULL);
}

int weft_rwlock_write_at(weft_rwlock *opaque, int64_t deadline, const char *site)
{
    weft__sync_used(opaque);
    weft__probe_self();
    rwlock *rw = of(opaque);
    weft__fiber *f;
    int r = enter(rw, &f);
    if (r < 0)
        return r;
    weft__node n = node_of(rw, 0, (void *)(uintptr_t)site);
    return lock_in(&n, f, deadline, site);
}

static int try_in(rwlock *rw, unsigned flags, void *data)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (held_by(rw, f))
        return weft__refuse(f, -EDEADLK);
    weft__node n = node_of(rw, flags, data);
    return weft__sync_try(&n, f);
}

int weft_rwlock_try_read(weft_rwlock *rw, weft_read_hold *where)
{
    weft__sync_used(rw);
    weft__probe_self();
    return where && !((hold *)(void *)where)->rw ? try_in(of(rw), READER, where) : -EINVAL;
}
int weft_rwlock_try_write_at(weft_rwlock *rw, const char *site)
{
    weft__sync_used(rw);
    weft__probe_self();
    return try_in(of(rw), 0, (void *)(uintptr_t)site);
}

int weft_rwlock_unread(weft_read_hold *where)
{
    hold *h = (hold *)(void *)where;
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    if (!f || !h || !h->rw || h->held.holder != f)
        return -EPERM;
    weft__sync_used(h->rw);
    rwlock *rw = h->rw;
    h->rw = NULL;
    weft__held_remove(&h->held);
    release(rw, 1, 0);
    weft__sync_let_go(&h->held.stake);
    return 0;
}

/* The stake goes on as *stake: the next writer's takes its place. */
static void disown(rwlock *rw, weft__stake *stake)
{
    stake->vat = NULL;
    if (rw->held.stake.vat)
        weft__stake_move(stake, &rw->held.stake);
}

static void end_writing(rwlock *rw)
{
    weft__stake stake;
    disown(rw, &stake);
    weft__sync_lock(&rw->lock);
    if (rw->health == WEFT__LOCK_DEAD)
        rw->health = WEFT__LOCK_LOST;
    weft__sync_unlock(&rw->lock);
    release(rw, 0, 1);
    weft__sync_let_go(&stake);
}

int weft_rwlock_unwrite(weft_rwlock *opaque)
{
    weft__sync_used(opaque);
    rwlock *rw = of(opaque);
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    if (!f || writer_of(rw) != f)
        return -EPERM;
    weft__held_remove(&rw->held);
    end_writing(rw);
    return 0;
}

int weft_rwlock_consistent(weft_rwlock *opaque)
{
    weft__sync_used(opaque);
    rwlock *rw = of(opaque);
    weft__fiber *f = weft__fiber_self();
    weft__probe(f);
    if (!f || writer_of(rw) != f)
        return -EPERM;
    weft__sync_lock(&rw->lock);
    int was = rw->health;
    rw->health = WEFT__LOCK_OK;
    weft__sync_unlock(&rw->lock);
    return was == WEFT__LOCK_DEAD ? 0 : -EINVAL;
}

int weft_rwlock_init(weft_rwlock *opaque, const char *name)
{
    memset(opaque, 0, sizeof *opaque);
    of(opaque)->name = name;
    return 0;
}

/* ---- holders that died; on their home worker ---- */

static int reader_gone(weft__held *h, enum weft__orphan when)
{
    hold *mine = weft__container(h, hold, held);
    if (when == WEFT__ORPHAN_LATER)
        return 1; /* it changed nothing; and the hold may lie on its stack */
    if (when == WEFT__ORPHAN_NOW)
        release(mine->rw, 1, 0);
    else
        mine->rw = NULL;
    weft__sync_let_go(&h->stake);
    return 1;
}

static int writer_gone(weft__held *h, enum weft__orphan when)
{
    rwlock *rw = weft__container(h, rwlock, held);
    weft__stake stake = {.vat = NULL};
    if (when != WEFT__ORPHAN_LATER)
        disown(rw, &stake);
    if (when != WEFT__ORPHAN_EVICTED) {
        weft__sync_lock(&rw->lock);
        rw->health = WEFT__LOCK_DEAD;
        set_writer(rw, NOBODY);
        weft__sync_unlock(&rw->lock);
    }
    if (when == WEFT__ORPHAN_NOW)
        release(rw, 0, 1);
    weft__sync_let_go(&stake);
    return 0;
}
