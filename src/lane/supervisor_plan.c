/* Specifications of supervisors and their children: what makes sense, and copies that do not need their author any
 * more. Called by whoever gives them, so that nonsense is refused before anything is started or sent; touches nothing
 * but its arguments. */
#include <errno.h>
#include <string.h>

#include "lane/supervisor.h"

#define DEFAULT_GRACE (5 * WEFT_SECOND)
#define DEFAULT_INTENSITY 1
#define DEFAULT_PERIOD (5 * WEFT_SECOND)
#define INTENSITY_MAX 65536

int weft__charter_read(weft__charter *out, const weft_supervisor_spec *spec)
{
    if (!spec || (unsigned)spec->strategy > WEFT_DYNAMIC || (unsigned)spec->auto_shutdown > WEFT_SHUTDOWN_ALL)
        return -EINVAL;
    if (spec->intensity < WEFT_NO_RESTARTS || spec->intensity > INTENSITY_MAX || spec->period_ns < 0)
        return -EINVAL;
    if ((spec->count && !spec->children) || (spec->strategy == WEFT_DYNAMIC && spec->count != 1))
        return -EINVAL;
    *out = (weft__charter){.strategy = (int)spec->strategy, .auto_shutdown = (int)spec->auto_shutdown,
        .count = spec->count, .period_ns = spec->period_ns ? spec->period_ns : DEFAULT_PERIOD};
    if (spec->intensity != WEFT_NO_RESTARTS)
        out->intensity = spec->intensity ? (uint32_t)spec->intensity : DEFAULT_INTENSITY;
    return 0;
}

static int check_lane(const weft_child_spec *spec)
{
    const weft_lane_options *o = &spec->lane;
    if (o->copy > WEFT_LANE_COPY_MAX || (o->copy && !spec->arg) || (o->stack_size && o->stack_size < WEFT_STACK_MIN))
        return -EINVAL;
    return o->deadline || o->detached || o->linked || o->monitor || o->wait || o->gives ? -EINVAL : 0;
}

/* The specifications that a nested one is in. */
typedef struct around {
    const struct around *next;
    const weft_supervisor_spec *spec;
} around;

static int check(const weft_child_spec *spec, const weft__charter *charter, const around *out);

/* A nested supervisor is looked at as well: a mistake in it shows here and not at its first start.
 * One that is in itself would be started without end. */
static int check_nested(const weft_supervisor_spec *spec, const weft_child_spec *child, const around *out)
{
    weft__charter charter;
    around here = {out, spec};
    if (child->run || child->lane.copy)
        return -EINVAL;
    for (; out; out = out->next)
        if (out->spec == spec)
            return -EINVAL;
    int r = weft__charter_read(&charter, spec);
    for (unsigned i = 0; r == 0 && i < spec->count; i++)
        r = check(&spec->children[i], &charter, &here);
    return r;
}

static int check(const weft_child_spec *spec, const weft__charter *charter, const around *out)
{
    if ((!spec->run && !spec->supervisor) || (unsigned)spec->restart > WEFT_TEMPORARY)
        return -EINVAL;
    if (spec->grace_ns < WEFT_BRUTAL_KILL || spec->start_ns < 0)
        return -EINVAL;
    if (spec->significant && (spec->restart == WEFT_PERMANENT || charter->auto_shutdown == WEFT_SHUTDOWN_NEVER))
        return -EINVAL;
    if (charter->strategy != WEFT_DYNAMIC && (!spec->id || !spec->id[0] || strlen(spec->id) > WEFT_CHILD_ID_MAX))
        return -EINVAL;
    int r = check_lane(spec);
    return r == 0 && spec->supervisor ? check_nested(spec->supervisor, spec, out) : r;
}

int weft__plan_read(weft__plan *out, const weft_child_spec *spec, const weft__charter *charter)
{
    int r = spec ? check(spec, charter, NULL) : -EINVAL;
    if (r < 0)
        return r;
    memset(out, 0, sizeof *out);
    if (charter->strategy != WEFT_DYNAMIC)
        memcpy(out->id, spec->id, strlen(spec->id));
    out->run = spec->run;
    out->supervisor = spec->supervisor;
    out->arg = spec->arg;
    out->grace_ns = spec->grace_ns ? spec->grace_ns : spec->supervisor ? WEFT_NEVER : DEFAULT_GRACE;
    out->start_ns = spec->start_ns;
    out->restart = (uint8_t)spec->restart;
    out->ready = spec->ready || spec->supervisor;
    out->significant = spec->significant != 0;
    out->lane = spec->lane;
    if (spec->lane.copy)
        memcpy(out->copy, spec->arg, spec->lane.copy);
    if (spec->lane.limits) {
        out->limited = 1;
        out->limits = *spec->lane.limits;
    }
    return 0;
}

int weft__plans_read(weft__plan *out, const weft_supervisor_spec *spec, const weft__charter *charter)
{
    for (unsigned i = 0; i < spec->count; i++) {
        int r = weft__plan_read(&out[i], &spec->children[i], charter);
        if (r < 0)
            return r;
        for (unsigned j = 0; j < i; j++)
            if (charter->strategy != WEFT_DYNAMIC && strcmp(out[i].id, out[j].id) == 0)
                return -EINVAL;
    }
    return 0;
}
