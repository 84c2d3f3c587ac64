/* A supervision tree as text. The asking fiber goes through it, one supervisor at a time, so no supervisor ever waits
 * for another. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "fiber/contain.h"
#include "lane/supervisor.h"
#include "sched/text.h"

#define DEPTH_MAX 16
#define PAGE 8u
#define LINE_MAX_ 512

typedef struct writer {
    void (*line)(struct writer *w, const char *text);
    weft_runtime *rt;
    char *buf;
    size_t size, length;
    int64_t deadline;
} writer;

static const char *const strategies[] = {"one-for-one", "one-for-all", "rest-for-one", "dynamic"};
static const char *const restarts[] = {"permanent", "transient", "temporary"};
static const char *const states[] = {"stopped", "starting", "running", "stopping", "restarting", "dying"};

static size_t write_supervisor(char *line, size_t size, const weft__supervisor_view *v)
{
    const weft__charter *c = &v->charter;
    return weft__format(line, size, "%s, %u of %u restarts in %lld ms, %u running", strategies[c->strategy], v->recent,
                        c->intensity, (long long)(c->period_ns / WEFT_MILLISECOND), v->counts.active);
}

static size_t write_child(char *line, size_t size, const weft_child_info *i, unsigned depth)
{
    static const char spaces[2 * DEPTH_MAX + 1] = "                                ";
    char at[32] = "";
    if (i->lane.gen)
        weft__format(at, sizeof at, " [%u.%u]", i->lane.key, i->lane.gen);
    const char *name = i->id[0] ? i->id : i->name;
    size_t n = weft__format(line, size, "%s%s%s %s, %s", spaces + 2 * (DEPTH_MAX - depth), name, at,
                            states[i->state], restarts[i->restart]);
    if (i->significant && n < size)
        n += weft__format(line + n, size - n, ", significant");
    if (i->restarts && n < size)
        n += i->restarts == 1 ? weft__format(line + n, size - n, ", restarted once")
                              : weft__format(line + n, size - n, ", restarted %u times", i->restarts);
    if (i->last.lane.gen && n < size) {
        n += weft__format(line + n, size - n, ", last ");
        if (n < size)
            n += weft_exit_format(&i->last, line + n, size - n);
    }
    return n;
}

static int write_children(writer *w, weft_id supervisor, unsigned depth);

/* A nested supervisor says for itself what it is, behind what its own supervisor says of it. */
static int write_one(writer *w, const weft_child_info *i, unsigned depth)
{
    char line[LINE_MAX_];
    const weft__supervisor_view *v;
    weft_message *msg;
    size_t n = write_child(line, sizeof line, i, depth);
    if (!i->supervisor || !i->lane.gen || depth >= DEPTH_MAX) {
        w->line(w, line);
        return 0;
    }
    int r = weft__supervisor_look(i->lane, 0, 0, &msg, &v, w->deadline);
    if (r == 0) {
        if (n + 2 < sizeof line) {
            memcpy(line + n, ": ", 3);
            write_supervisor(line + n + 2, sizeof line - n - 2, v);
        }
        weft_msg_free(msg);
    } else if (n < sizeof line) {
        weft__format(line + n, sizeof line - n, "%s", r == -ESRCH ? ": gone" : ": busy");
    }
    w->line(w, line);
    if (r == -ECANCELED)
        return r;
    return r == 0 ? write_children(w, i->lane, depth + 1) : 0;
}

static int write_children(writer *w, weft_id supervisor, unsigned depth)
{
    uint64_t after = 0;
    for (;;) {
        const weft__supervisor_view *v;
        weft_message *msg;
        int r = weft__supervisor_look(supervisor, after, PAGE, &msg, &v, w->deadline);
        if (r < 0)
            return r == -ECANCELED ? r : 0; /* it has ended since, or is busy: what is written stands */
        unsigned n = v->n;
        for (unsigned i = 0; i < n && r == 0; i++) {
            after = v->child[i].serial;
            r = write_one(w, &v->child[i], depth);
        }
        weft_msg_free(msg);
        if (r < 0 || n < PAGE)
            return r;
    }
}

static int write_tree(writer *w, weft_id supervisor)
{
    char line[LINE_MAX_];
    const weft__supervisor_view *v;
    weft_message *msg;
    int r = weft__supervisor_look(supervisor, 0, 0, &msg, &v, w->deadline);
    if (r < 0)
        return r;
    size_t n = weft__format(line, sizeof line, "supervisor [%u.%u]: ", supervisor.key, supervisor.gen);
    write_supervisor(line + n, sizeof line - n, v);
    weft_msg_free(msg);
    w->line(w, line);
    return write_children(w, supervisor, 1);
}

static void append(writer *w, const char *text)
{
    size_t at = w->length < w->size ? w->length : w->size;
    w->length += weft__format(w->buf + at, w->size - at, "%s\n", text);
}

ssize_t weft_supervisor_format(weft_id supervisor, char *buf, size_t size, int64_t deadline)
{
    weft__probe_more(2);
    writer w = {.line = append, .buf = buf, .size = size, .deadline = deadline};
    if (size && !buf)
        return -EINVAL;
    if (size)
        buf[0] = 0;
    int r = write_tree(&w, supervisor);
    return r < 0 ? r : (ssize_t)w.length;
}

static void say(writer *w, const char *text) { weft__say(w->rt, WEFT_LOG_INFO, "%s", text); }

int weft_supervisor_print(weft_id supervisor, int64_t deadline)
{
    weft__probe_more(2);
    weft__lane *self = weft__lane_self();
    writer w = {.line = say, .rt = self ? self->rt : NULL, .deadline = deadline};
    return self ? write_tree(&w, supervisor) : -EPERM;
}
