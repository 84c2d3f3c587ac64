/* Supervisors with a lane of their own: the parent makes the lane, sends it what to do, and waits for the answer. */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "fiber/contain.h"
#include "lane/exit.h"
#include "lane/supervisor.h"

#define BOOT 0x53757042u

typedef struct boot {
    uint32_t magic;
    weft__charter charter;
    weft__plan plans[];
} boot;

typedef struct starting {
    weft_message *msg;
    int told; /* the parent knows that it failed */
} starting;

/* ---- the lane ---- */

static int is_boot(const weft_message *msg, void *arg)
{
    (void)arg;
    return msg->size >= sizeof(boot) && ((const boot *)msg->data)->magic == BOOT && msg->reply.gen;
}

static void started(void *ctx, int result)
{
    starting *st = ctx;
    int r = weft_reply(st->msg, &result, sizeof result);
    st->told = result < 0 && r == 0;
}

static int supervisor_main(void *arg)
{
    (void)arg;
    starting st = {0};
    weft_id cause = WEFT_NOID;
    int r = weft_receive_match(&st.msg, is_boot, NULL, WEFT_NEVER);
    if (r < 0)
        return r;
    const boot *b = st.msg->data;
    r = weft__supervise_plans(&b->charter, b->plans, started, &st, &cause);
    if (r == -ENOTRECOVERABLE)
        weft__exit_note(weft__lane_self(), WEFT_EXIT_ERROR, r, cause);
    return st.told ? 0 : r;
}

/* ---- its parent ---- */

static int make_boot(const weft_supervisor_spec *spec, weft_message **out)
{
    weft__charter charter;
    int r = weft__charter_read(&charter, spec);
    if (r == 0)
        r = weft_msg_alloc(out, sizeof(boot) + charter.count * sizeof(weft__plan));
    if (r < 0)
        return r;
    boot *b = (*out)->data;
    b->magic = BOOT;
    b->charter = charter;
    r = weft__plans_read(b->plans, spec, &charter);
    if (r < 0)
        weft_msg_free(*out);
    return r;
}

/* It did not start; nothing of it is left when this returns, unless it is still dying at the deadline. */
static void give_up(weft_id lane, int64_t deadline)
{
    weft_scope shield;
    weft_shield_enter(&shield, WEFT_NEVER);
    if (weft_lane_join(lane, NULL, deadline) < 0)
        weft_lane_detach(lane);
    weft_shield_leave(&shield);
}

static int boot_lane(weft_id lane, weft_message *msg, int64_t deadline)
{
    weft_message *reply;
    int sent = 0, result;
    int r = weft_call_msg(lane, msg, &reply, deadline, &sent);
    if (r < 0) {
        if (!sent)
            weft_msg_free(msg);
        weft_cancel(lane);
        give_up(lane, r == -ESRCH ? WEFT_NEVER : WEFT_NOW);
        return r;
    }
    memcpy(&result, reply->data, sizeof result);
    weft_msg_free(reply);
    if (result < 0)
        give_up(lane, deadline);
    return result;
}

int weft_supervisor_start(weft_id *out, const weft_supervisor_spec *spec, const weft_lane_options *opt,
                          int64_t deadline)
{
    weft__probe_more(1);
    weft_lane_options with = opt ? *opt : (weft_lane_options){0};
    weft_message *msg;
    weft_id lane;
    if (!weft__fiber_self())
        return -EPERM;
    if (!out || with.copy || with.detached)
        return -EINVAL;
    int r = make_boot(spec, &msg);
    if (r < 0)
        return r;
    r = weft_lane_spawn_at(NULL, &lane, supervisor_main, NULL, &with, "supervisor", WEFT_HERE);
    if (r < 0) {
        weft_msg_free(msg);
        return r;
    }
    r = boot_lane(lane, msg, deadline);
    if (r == 0)
        *out = lane;
    return r;
}

int weft_supervisor_stop(weft_id supervisor, int64_t deadline)
{
    weft__probe_more(1);
    int r = weft_cancel(supervisor);
    if (r < 0 && r != -ESRCH) /* it may have ended, and want to be joined */
        return r;
    return weft_lane_join(supervisor, NULL, deadline);
}
