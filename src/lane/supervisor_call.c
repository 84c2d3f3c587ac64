/* What others ask of a running supervisor: the public calls, which run in the asking fiber, and the answers, which the
 * supervisor's fiber gives. Requests and answers are messages and hold values only; a specification travels as a plan.
 *
 * Looking at a supervisor is answered wherever it waits; what changes something waits its turn (`pending`). */
#include <errno.h>
#include <string.h>

#include <weft/vat.h>

#include "base/check.h"
#include "fiber/contain.h"
#include "lane/exit.h"
#include "lane/realm.h"
#include "lane/supervisor.h"

#define REQUEST 0x53757056u
#define READY 0x53757052u
#define LOOK_MAX 32u /* children in one answer */
#define RETRY (10 * WEFT_MILLISECOND)

enum op { OP_START, OP_DYNAMIC, OP_TERMINATE, OP_TERMINATE_LANE, OP_RESTART, OP_DELETE, OP_LOOK, OP_CHILD };

typedef struct request {
    uint32_t magic;
    int op;
    weft_id lane;
    uint64_t after;
    uint32_t max, copied;
    void *arg;
    weft__plan plan; /* OP_START; else its id or copy are what is meant */
} request;

typedef struct answer {
    int result;
    weft_id lane;
} answer;

typedef struct ready {
    uint32_t magic;
    int result;
} ready;

/* ---- answering: the supervisor's fiber ---- */

/* Whoever waits for an answer gets one, be it late. */
static void reply(const weft_message *msg, const void *data, size_t size)
{
    while (weft_reply(msg, data, size) == -ENOMEM && weft_sleep(weft_after(RETRY)) == 0)
        ;
}

void weft__supervisor_refuse(const weft_message *msg, int error)
{
    answer a = {.result = error};
    reply(msg, &a, sizeof a);
}

static int start(weft__supervisor *s, weft__child *c, weft_id *lane)
{
    int r = weft__child_start(s, c);
    if (r >= 0) {
        *lane = c->lane;
        if (r == WEFT__IGNORED && (s->pattern || c->plan->restart == WEFT_TEMPORARY))
            weft__child_remove(s, c);
        return 0;
    }
    return r;
}

/* A new child that could not be started is forgotten, at the latest when it has died. */
static int start_new(weft__supervisor *s, weft__child *c, weft_id *lane)
{
    int r = start(s, c, lane);
    if (r < 0 && c->lane.gen)
        c->forget = 1;
    else if (r < 0)
        weft__child_remove(s, c);
    return r;
}

/* Why a known child cannot be started or deleted now. */
static int occupied(const weft__child *c)
{
    if (c->state == WEFT_CHILD_DYING)
        return -EBUSY;
    return c->lane.gen ? -EALREADY : c->due ? -EAGAIN : 0;
}

static int serve_start(weft__supervisor *s, request *q, weft_id *lane)
{
    weft__plan *p = &q->plan;
    weft__child *c = s->pattern ? NULL : weft__child_named(s, p->id);
    if (s->pattern)
        return -ENOTSUP;
    if (c)
        return occupied(c) == 0 ? -EEXIST : occupied(c) == -EAGAIN ? -EALREADY : occupied(c);
    if (p->significant && s->charter.auto_shutdown == WEFT_SHUTDOWN_NEVER)
        return -EINVAL;
    int r = weft__child_add(s, p, p->lane.copy ? (void *)p->copy : p->arg, p->lane.copy, &c);
    return r < 0 ? r : start_new(s, c, lane);
}

static int serve_dynamic(weft__supervisor *s, request *q, weft_id *lane)
{
    weft__child *c;
    if (!s->pattern)
        return -ENOTSUP;
    int r = weft__child_add(s, NULL, q->copied ? (void *)q->plan.copy : q->arg, q->copied, &c);
    return r < 0 ? r : start_new(s, c, lane);
}

static int terminate(weft__supervisor *s, weft__child *c)
{
    c->due = 0;
    int r = weft__child_stop(s, c);
    if (r < 0)
        return r;
    c->state = WEFT_CHILD_STOPPED;
    if (s->pattern || c->plan->restart == WEFT_TEMPORARY)
        weft__child_remove(s, c);
    return 0;
}

static int lane_exists(weft__supervisor *s, weft_id id)
{
    weft__lane *lane = weft__slab_at(&weft__lanes_of(s->rt)->lanes, id.key);
    return id.ns == WEFT__NS(s->rt, WEFT__LANE) && lane &&
           WEFT__GEN(weft__load_acquire(&lane->head.word, "supervisor.lane")) == id.gen;
}

static int serve_lane(weft__supervisor *s, weft_id lane)
{
    if (!s->pattern)
        return -ENOTSUP;
    weft__child *c = weft__child_of_lane(s, lane);
    return c ? terminate(s, c) : lane_exists(s, lane) ? -ENOENT : 0;
}

/* What is asked of a child by its id. */
static int serve_named(weft__supervisor *s, const request *q, weft_id *lane)
{
    if (s->pattern)
        return -ENOTSUP;
    weft__child *c = weft__child_named(s, q->plan.id);
    if (!c)
        return -ENOENT;
    if (q->op == OP_TERMINATE)
        return terminate(s, c);
    int r = occupied(c);
    if (r < 0)
        return r;
    if (q->op == OP_RESTART)
        return start(s, c, lane);
    weft__child_remove(s, c);
    return 0;
}

void weft__supervisor_serve(weft__supervisor *s, const weft_message *msg)
{
    request *q = msg->data;
    answer a = {.lane = WEFT_NOID};
    if (q->op == OP_START)
        a.result = serve_start(s, q, &a.lane);
    else if (q->op == OP_DYNAMIC)
        a.result = serve_dynamic(s, q, &a.lane);
    else if (q->op == OP_TERMINATE_LANE)
        a.result = serve_lane(s, q->lane);
    else
        a.result = serve_named(s, q, &a.lane);
    reply(msg, &a, sizeof a);
}

static void count(const weft__supervisor *s, weft_child_counts *out)
{
    *out = (weft_child_counts){.specs = s->pattern ? 1 : s->known, .active = s->active};
    for (weft__link *l = s->children.next; l != &s->children; l = l->next) {
        if (weft__container(l, weft__child, link)->plan->supervisor)
            out->supervisors++;
        else
            out->workers++;
    }
}

/* With `id` that child alone, else those after a serial. */
static void fill_view(weft__supervisor *s, weft__supervisor_view *v, uint64_t after, unsigned room, const char *id)
{
    memset(v, 0, sizeof *v);
    v->charter = s->charter;
    v->recent = weft__supervisor_recent(s);
    count(s, &v->counts);
    for (weft__link *l = s->children.next; l != &s->children && v->n < room; l = l->next) {
        weft__child *c = weft__container(l, weft__child, link);
        if (c->serial > after && (!id || strcmp(c->plan->id, id) == 0))
            weft__child_describe(c, &v->child[v->n++]);
    }
}

static void answer_look(weft__supervisor *s, const weft_message *msg, const request *q)
{
    const char *id = q->op == OP_CHILD ? q->plan.id : NULL;
    unsigned room = q->max < s->known ? q->max : s->known;
    weft_message *out;
    int r = id && s->pattern ? -ENOTSUP : id && !weft__child_named(s, id) ? -ENOENT : 0;
    if (r == 0)
        r = weft_msg_alloc(&out, sizeof(weft__supervisor_view) + room * sizeof(weft_child_info));
    if (r < 0) {
        weft__supervisor_refuse(msg, r);
        return;
    }
    fill_view(s, out->data, q->after, room, id);
    if (weft_reply_msg(msg, out) < 0)
        weft_msg_free(out);
}

int weft__supervisor_asks(weft__supervisor *s, const weft_message *msg, int *done)
{
    const request *q = msg->data;
    if (msg->kind != WEFT_MSG_DATA || msg->size != sizeof *q || q->magic != REQUEST || !msg->reply.gen)
        return 0;
    *done = q->op == OP_LOOK || q->op == OP_CHILD;
    if (*done)
        answer_look(s, msg, q);
    return 1;
}

int weft__supervisor_ready(const weft_message *msg, int *result)
{
    const ready *m = msg->data;
    if (msg->kind != WEFT_MSG_DATA || msg->size != sizeof *m || m->magic != READY)
        return 0;
    *result = m->result;
    return 1;
}

/* ---- asking: any fiber ---- */

int weft_child_ready(int result)
{
    weft__probe_more(1);
    weft__lane *self = weft__lane_self();
    weft__lane *parent = self ? weft__load_relaxed(&self->parent, "supervisor.ready") : NULL;
    if (!parent || parent == self || !weft__load_relaxed(&parent->tends, "supervisor.ready"))
        return -EPERM;
    weft__mailbox *box;
    int r = weft__mailbox_find(self->rt, parent->crew.id, &box);
    if (r < 0)
        return r;
    weft__msg *m = weft__msg_take(self->rt, sizeof(ready));
    if (!m)
        return -ENOMEM;
    *(ready *)(void *)m->content = (ready){READY, result < 0 ? result : 0};
    m->pub.from = weft__lane_id(self);
    weft__mail_news news;
    weft__mail_news_init(&news);
    if (weft__mailbox_post(box, m, &news)) /* counts for nothing in the mailbox, and so neither waits nor is dropped */
        weft__mail_tell(box, &news);
    return 0;
}

static int ask(weft_id supervisor, request *q, weft_id *lane, int64_t deadline)
{
    weft_message *msg;
    q->magic = REQUEST;
    int r = weft_call(supervisor, q, sizeof *q, &msg, deadline);
    if (r < 0)
        return r;
    answer a = {.result = -EINVAL};
    if (msg->size == sizeof a)
        memcpy(&a, msg->data, sizeof a);
    weft_msg_free(msg);
    if (a.result == 0 && lane)
        *lane = a.lane;
    return a.result;
}

static int name_child(request *q, const char *id)
{
    size_t n = id ? strlen(id) : 0;
    if (!n)
        return -EINVAL;
    if (n > WEFT_CHILD_ID_MAX)
        return -ENOENT;
    memcpy(q->plan.id, id, n + 1);
    return 0;
}

static int ask_named(weft_id supervisor, enum op op, const char *id, weft_id *lane, int64_t deadline)
{
    request q = {.op = (int)op};
    int r = name_child(&q, id);
    return r < 0 ? r : ask(supervisor, &q, lane, deadline);
}

int weft_supervisor_start_child(weft_id supervisor, const weft_child_spec *spec, weft_id *out, int64_t deadline)
{
    weft__probe_more(1);
    /* What the supervisor allows, it says itself. */
    static const weft__charter any = {.auto_shutdown = WEFT_SHUTDOWN_ANY};
    request q = {.op = OP_START};
    int r = weft__plan_read(&q.plan, spec, &any);
    return r < 0 ? r : ask(supervisor, &q, out, deadline);
}

int weft_supervisor_start_dynamic(weft_id supervisor, void *arg, size_t copy, weft_id *out, int64_t deadline)
{
    weft__probe_more(1);
    request q = {.op = OP_DYNAMIC, .arg = arg, .copied = (uint32_t)copy};
    if (copy > WEFT_LANE_COPY_MAX || (copy && !arg))
        return -EINVAL;
    if (copy)
        memcpy(q.plan.copy, arg, copy);
    return ask(supervisor, &q, out, deadline);
}

int weft_supervisor_terminate_child(weft_id supervisor, const char *id, int64_t deadline)
{
    weft__probe_more(1);
    return ask_named(supervisor, OP_TERMINATE, id, NULL, deadline);
}

int weft_supervisor_restart_child(weft_id supervisor, const char *id, weft_id *out, int64_t deadline)
{
    weft__probe_more(1);
    return ask_named(supervisor, OP_RESTART, id, out, deadline);
}

int weft_supervisor_delete_child(weft_id supervisor, const char *id, int64_t deadline)
{
    weft__probe_more(1);
    return ask_named(supervisor, OP_DELETE, id, NULL, deadline);
}

int weft_supervisor_terminate_lane(weft_id supervisor, weft_id lane, int64_t deadline)
{
    weft__probe_more(1);
    request q = {.op = OP_TERMINATE_LANE, .lane = lane};
    return ask(supervisor, &q, NULL, deadline);
}

/* An answer that is a view, or the error it is instead. */
static int view(weft_id supervisor, request *q, weft_message **msg, const weft__supervisor_view **out, int64_t deadline)
{
    q->magic = REQUEST;
    int r = weft_call(supervisor, q, sizeof *q, msg, deadline);
    if (r < 0)
        return r;
    answer a = {.result = -EINVAL};
    if ((*msg)->size >= sizeof **out) {
        *out = (*msg)->data;
        return 0;
    }
    if ((*msg)->size == sizeof a)
        memcpy(&a, (*msg)->data, sizeof a);
    weft_msg_free(*msg);
    return a.result;
}

int weft__supervisor_look(weft_id supervisor, uint64_t after, unsigned max, weft_message **msg,
                          const weft__supervisor_view **out, int64_t deadline)
{
    request q = {.op = OP_LOOK, .after = after, .max = max < LOOK_MAX ? max : LOOK_MAX};
    return view(supervisor, &q, msg, out, deadline);
}

int weft_supervisor_children(weft_id supervisor, uint64_t after, weft_child_info *out, unsigned max, int64_t deadline)
{
    weft__probe_more(1);
    const weft__supervisor_view *v;
    weft_message *msg;
    unsigned n = 0, got;
    do {
        int r = weft__supervisor_look(supervisor, after, max - n, &msg, &v, deadline);
        if (r < 0)
            return r;
        got = v->n;
        if (got)
            memcpy(out + n, v->child, got * sizeof *out);
        n += got;
        after = got ? out[n - 1].serial : after;
        weft_msg_free(msg);
    } while (got == LOOK_MAX && n < max);
    return (int)n;
}

int weft_supervisor_child(weft_id supervisor, const char *id, weft_child_info *out, int64_t deadline)
{
    weft__probe_more(1);
    const weft__supervisor_view *v = NULL;
    weft_message *msg;
    request q = {.op = OP_CHILD, .max = 1};
    int r = name_child(&q, id);
    if (r == 0)
        r = view(supervisor, &q, &msg, &v, deadline);
    if (r < 0)
        return r;
    *out = v->child[0];
    weft_msg_free(msg);
    return 0;
}

int weft_supervisor_count(weft_id supervisor, weft_child_counts *out, int64_t deadline)
{
    weft__probe_more(1);
    const weft__supervisor_view *v;
    weft_message *msg;
    int r = weft__supervisor_look(supervisor, 0, 0, &msg, &v, deadline);
    if (r < 0)
        return r;
    *out = v->counts;
    weft_msg_free(msg);
    return 0;
}
