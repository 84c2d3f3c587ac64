/* The public calls of link.h, and ties made at birth. For fibers. */
#include <errno.h>

#include "base/check.h"
#include "lane/exit.h"
#include "lane/realm.h"

weft_id weft__tie_id(weft_runtime *rt, const weft__tie *t)
{
    uint32_t word = weft__load_relaxed(&t->head.word, "tie.id");
    return (weft_id){t->head.key, WEFT__NS(rt, WEFT__MONITOR), WEFT__GEN(word)};
}

static weft__spin *lock_of(weft_runtime *rt) { return &weft__ties_of(rt)->lock; }

int weft__ties_family(weft__lane *self, weft_id id)
{
    if (weft_id_equal(id, weft__lane_id(self)))
        return 0;
    if (id.ns != WEFT__NS(self->rt, WEFT__LANE))
        return weft__id_refused(self->rt, id);
    weft__lane *lane = weft__slab_at(&weft__lanes_of(self->rt)->lanes, id.key);
    if (!lane || !id.gen)
        return -ESRCH;
    int r = -ESRCH;
    weft__spin_lock(&self->lock); /* a stranger's record may change hands while we look */
    if (weft__slab_is(weft__load_acquire(&lane->head.word, "tie.family"), id.gen))
        r = weft__load_relaxed(&lane->parent, "tie.family") == self ? 0 : -EPERM;
    weft__spin_unlock(&self->lock);
    return r;
}

/* ---- monitors ---- */

/* Why a lane ended that is dead by now: known for a child whose end has been told to this parent and which was not
 * joined yet. */
static void past_end(weft__lane *self, weft_id id, weft_exit *out)
{
    *out = (weft_exit){.lane = id, .cause = id, .kind = WEFT_EXIT_UNKNOWN};
    if (weft__ties_family(self, id) < 0)
        return;
    weft__lane *lane = weft__slab_at(&weft__lanes_of(self->rt)->lanes, id.key);
    if (lane->told)
        weft__exit_fill(lane, out);
}

/* The lane is dead already. */
static void fire_at_once(weft__lane *self, weft__mailbox *box, weft_id id, weft__tie *t)
{
    weft__mail_news news;
    weft__msg *m = t->note;
    weft_down *down = (void *)m->content;
    t->note = NULL;
    down->ref = weft__tie_id(self->rt, t);
    past_end(self, id, &down->exit);
    m->pub.kind = WEFT_MSG_DOWN;
    m->pub.from = id;
    weft__spin_lock(lock_of(self->rt));
    weft__tie_loosen(self->rt, t);
    weft__spin_unlock(lock_of(self->rt));
    weft__mail_news_init(&news);
    weft__mailbox_post(box, m, &news);
    weft__mail_tell(box, &news);
    weft__tie_free(self->rt, t);
}

/* Both lanes live as far as is known: fastens t between them, unless they do not. 0 or -ESRCH: which end is dead,
 * from 1. */
static int fasten(weft__lane *self, weft__tie *t, weft__knot *subject, weft_id id, weft__knot *own)
{
    weft__spin_lock(lock_of(self->rt));
    int lives = weft__knot_lives(subject, id);
    if (lives)
        weft__tie_fasten(t, subject, own);
    weft__spin_unlock(lock_of(self->rt));
    return lives ? 0 : -ESRCH;
}

static int monitor(weft__lane *self, weft_id id, weft_id *ref)
{
    weft_runtime *rt = self->rt;
    weft__mailbox *box;
    weft__knot *own, *subject;
    int r = weft__mailbox_of(self, &box);
    if (r == 0)
        r = weft__knot_find(rt, weft__lane_id(self), &own);
    if (r < 0)
        return r;
    int found = weft__knot_find(rt, id, &subject);
    if (found == -ENOMEM || found == -EINVAL)
        return found;
    weft__tie *t = weft__tie_make(rt, WEFT__TIE_MONITOR, 1);
    if (!t)
        return -ENOMEM;
    if (ref)
        *ref = weft__tie_id(rt, t);
    if (found < 0 || fasten(self, t, subject, id, own) < 0)
        fire_at_once(self, box, id, t);
    return 0;
}

int weft_monitor(weft_id lane, weft_id *ref)
{
    weft__lane *self = weft__lane_self();
    if (!self)
        return -EPERM;
    if (!lane.gen || weft_id_equal(lane, weft__lane_id(self)))
        return -EINVAL;
    return monitor(self, lane, ref);
}

/* A DOWN message of that monitor which lies unreceived: removed, 0; -ESRCH. */
static int flush(weft__lane *self, weft_id ref)
{
    weft__mailbox *box;
    weft__mail_news news;
    weft__msg *found = NULL;
    if (weft__mailbox_of(self, &box) < 0)
        return -ESRCH;
    weft__mail_news_init(&news);
    weft__spin_lock(&box->lock);
    /* From the end: it is young as a rule. */
    for (weft__link *l = box->queue.prev; l != &box->queue && !found; l = l->prev) {
        weft__msg *m = weft__container(l, weft__msg, link);
        const weft_down *down = weft_msg_down(&m->pub);
        if (down && m->pub.kind == WEFT_MSG_DOWN && weft_id_equal(down->ref, ref))
            found = m;
    }
    if (found)
        weft__mailbox_remove(box, found, &news);
    weft__spin_unlock(&box->lock);
    weft__mail_tell(box, &news);
    if (found)
        weft__msg_give(found);
    return found ? 0 : -ESRCH;
}

int weft_demonitor(weft_id ref, int and_flush)
{
    weft__lane *self = weft__lane_self();
    if (!self)
        return -EPERM;
    weft_runtime *rt = self->rt;
    if (ref.ns != WEFT__NS(rt, WEFT__MONITOR))
        return weft__id_refused(rt, ref);
    weft__tie *t = weft__slab_at(&weft__ties_of(rt)->ties, ref.key);
    int r = -ESRCH;
    weft__spin_lock(lock_of(rt));
    if (t && ref.gen == WEFT__GEN(weft__load_relaxed(&t->head.word, "demonitor")) && t->kind == WEFT__TIE_MONITOR && t->ends[1].knot) {
        r = t->ends[1].knot->lane == self ? 0 : -EPERM;
        if (r == 0)
            weft__tie_loosen(rt, t);
    }
    weft__spin_unlock(lock_of(rt));
    if (r == 0)
        weft__tie_free(rt, t);
    return r == -ESRCH && and_flush ? flush(self, ref) : r;
}

const weft_down *weft_msg_down(const weft_message *msg)
{
    return msg && (msg->kind == WEFT_MSG_DOWN || msg->kind == WEFT_MSG_EXIT) ? msg->data : NULL;
}

/* ---- links ---- */

static int link_with(weft__lane *self, weft_id id)
{
    weft_runtime *rt = self->rt;
    weft__knot *own, *other;
    int r = weft__knot_find(rt, id, &other);
    if (r == 0)
        r = weft__knot_find(rt, weft__lane_id(self), &own);
    if (r < 0)
        return r;
    weft__tie *t = weft__tie_make(rt, WEFT__TIE_LINK, 1);
    if (!t)
        return -ENOMEM;
    weft__spin_lock(lock_of(rt));
    int lives = weft__knot_lives(other, id), linked = lives && weft__tie_between(own, other, WEFT__TIE_LINK);
    if (lives && !linked)
        weft__tie_fasten(t, own, other);
    weft__spin_unlock(lock_of(rt));
    if (!lives || linked)
        weft__tie_free(rt, t);
    return lives ? 0 : -ESRCH;
}

/* A lane that is not the caller's: 0, -EPERM, -EINVAL. */
static int other_lane(weft_id lane, weft__lane **self)
{
    *self = weft__lane_self();
    if (!*self)
        return -EPERM;
    return !lane.gen || weft_id_equal(lane, weft__lane_id(*self)) ? -EINVAL : 0;
}

int weft_link(weft_id lane)
{
    weft__lane *self;
    int r = other_lane(lane, &self);
    return r < 0 ? r : link_with(self, lane);
}

int weft_unlink(weft_id lane)
{
    weft__lane *self;
    weft__knot *other, *own;
    int r = other_lane(lane, &self);
    if (r < 0)
        return r;
    weft_runtime *rt = self->rt;
    r = weft__knot_find(rt, lane, &other);
    if (r == 0)
        r = weft__knot_find(rt, weft__lane_id(self), &own);
    if (r < 0)
        return r;
    weft__spin_lock(lock_of(rt));
    weft__tie *t = weft__knot_lives(other, lane) ? weft__tie_between(own, other, WEFT__TIE_LINK) : NULL;
    if (t)
        weft__tie_loosen(rt, t);
    weft__spin_unlock(lock_of(rt));
    if (!t)
        return -ESRCH;
    weft__tie_free(rt, t);
    return 0;
}

int weft_trap_exit(int on)
{
    weft__lane *self = weft__lane_self();
    weft__mailbox *box;
    weft__knot *own;
    if (!self)
        return -EPERM;
    int r = weft__mailbox_of(self, &box); /* where the messages go */
    if (r == 0)
        r = weft__knot_find(self->rt, weft__lane_id(self), &own);
    if (r < 0)
        return r;
    weft__spin_lock(lock_of(self->rt));
    own->traps = on != 0;
    weft__spin_unlock(lock_of(self->rt));
    return 0;
}

int weft__ties_at_birth(weft__lane *self, weft__lane *newborn, const weft_lane_options *opt)
{
    weft_id id = weft__lane_id(newborn);
    int r = opt->linked ? link_with(self, id) : 0;
    if (r == 0 && opt->monitor)
        r = monitor(self, id, opt->monitor);
    return r;
}

void weft__ties_undo(weft__lane *newborn)
{
    weft_runtime *rt = newborn->rt;
    weft__knot *k = weft__load_acquire(&newborn->ties, "ties.undo");
    while (k && !weft__is_mark(k)) {
        weft__spin_lock(lock_of(rt));
        weft__tie *t = weft__link_alone(&k->ends) ? NULL : weft__container(k->ends.next, weft__tie_end, link)->tie;
        if (t)
            weft__tie_loosen(rt, t);
        weft__spin_unlock(lock_of(rt));
        if (!t)
            return;
        weft__tie_free(rt, t);
    }
}

/* ---- grants ---- */

static int change_grant(weft__lane *self, weft__knot *subject, weft_id lane, weft__knot *holder, weft_id to, unsigned rights)
{
    weft_runtime *rt = self->rt;
    weft__tie *fresh = rights ? weft__tie_make(rt, WEFT__TIE_GRANT, 0) : NULL, *spare = fresh;
    if (rights && !fresh)
        return -ENOMEM;
    weft__spin_lock(lock_of(rt));
    int lives = weft__knot_lives(subject, lane) && weft__knot_lives(holder, to);
    weft__tie *t = lives ? weft__tie_between(subject, holder, WEFT__TIE_GRANT) : NULL;
    if (t && rights) {
        t->rights = rights;
    } else if (t) {
        weft__tie_loosen(rt, t);
        spare = t;
    } else if (lives && rights) {
        fresh->rights = rights;
        weft__tie_fasten(fresh, subject, holder);
        spare = NULL;
    }
    weft__spin_unlock(lock_of(rt));
    if (spare)
        weft__tie_free(rt, spare);
    return lives ? 0 : -ESRCH;
}

int weft_grant(weft_id lane, weft_id to, unsigned rights)
{
    weft__lane *self = weft__lane_self();
    weft__knot *subject, *holder;
    if (!self)
        return -EPERM;
    if (rights & ~(unsigned)(WEFT_RIGHT_CANCEL | WEFT_RIGHT_KILL | WEFT_RIGHT_JOIN | WEFT_RIGHT_LOOK) || weft_id_equal(lane, to))
        return -EINVAL;
    int r = weft__ties_family(self, lane);
    if (r == 0)
        r = weft__knot_find(self->rt, lane, &subject);
    if (r == 0)
        r = weft__knot_find(self->rt, to, &holder);
    return r < 0 ? r : change_grant(self, subject, lane, holder, to, rights);
}
