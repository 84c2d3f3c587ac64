/* Limits of lanes: their accounts, admission of newborns, the public calls. Accounts come from a slab;
 * which worker frees one does not matter. */
#include "lane/account.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/estate.h"
#include "lane/realm.h"

/* ---- birth and end ---- */

static weft__account *take_account(weft_runtime *rt)
{
    weft__lane_pools *here = weft__lane_pools_here(rt);
    return here ? weft__slab_get(&here->accounts) : weft__slab_get_shared(&weft__lanes_of(rt)->accounts);
}

static void put_account(weft_runtime *rt, weft__account *a)
{
    weft__lane_pools *here = weft__lane_pools_here(rt);
    if (here)
        weft__slab_put(&here->accounts, a);
    else
        weft__slab_put_shared(&weft__lanes_of(rt)->accounts, a);
}

int weft__account_admit(weft__lane *parent, const weft_lane_options *opt)
{
    int64_t wait = opt ? opt->wait : 0;
    int r = weft__account_charge_by(parent->crew.account, WEFT__CHARGE_LANES, 1, wait);
    if (r < 0)
        return r;
    weft__account *common = weft__runtime_account(parent->rt);
    r = common ? weft__stack_admit(common, parent->rt, NULL, wait) : 0;
    if (r == 0)
        r = weft__account_charge_by(common, WEFT__CHARGE_FIBERS, 1, wait);
    if (r < 0)
        weft__account_leave(parent);
    return r;
}

void weft__account_expel(weft__lane *parent)
{
    weft__account_discharge(weft__runtime_account(parent->rt), WEFT__CHARGE_FIBERS, 1);
    weft__account_leave(parent);
}

int weft__account_open(weft__lane *lane, const weft_lane_options *opt)
{
    weft__account *common = weft__runtime_account(lane->rt), *a;
    lane->crew.account = common;
    lane->crew.prepaid = common != NULL;
    if (opt && opt->limits) {
        a = take_account(lane->rt);
        if (!a)
            return -ENOMEM;
        weft__account_init(a, lane->rt, opt->limits, common);
        int r = weft__stack_meter_init(&a->stacks, lane->rt, opt->limits->stack_bytes);
        if (r < 0) {
            put_account(lane->rt, a);
            return r;
        }
        a->ops_wait = opt->limits->ops_wait != 0 || (common && common->ops_wait);
        a->used[WEFT__CHARGE_FIBERS] = 1;
        lane->crew.account = a;
        lane->crew.prepaid = 1;
    }
    return 0;
}

void weft__account_bury(weft__lane *lane)
{
    weft__account *a = lane->crew.account;
    if (!a)
        return;
    if (lane->crew.prepaid) /* it was never to run */
        weft__account_discharge(a, WEFT__CHARGE_FIBERS, 1);
    lane->crew.prepaid = 0;
    lane->crew.account = NULL;
    if (a->common)
        return;
    put_account(lane->rt, a);
}

/* Senders ask, on any thread and perhaps after the lane's end: so it is not the account that is read, and may be
 * another lane's annex: then the mailbox that they make is not used. */
void weft__mailbox_limits(weft__lane *lane, uint32_t *messages, size_t *bytes)
{
    const weft_options *o = &lane->rt->opt;
    const weft__annex *annex = weft__load_acquire(&lane->annex, "mail.limits");
    uint32_t own = annex ? weft__load_relaxed(&annex->mail_messages, "mail.limits") : 0;
    *messages = own ? own : o->max_messages;
    own = annex ? weft__load_relaxed(&annex->mail_bytes, "mail.limits") : 0;
    *bytes = own ? own : o->max_message_bytes;
}

/* ---- the public call ---- */

int weft_room(enum weft_room kind, size_t n, int64_t deadline)
{
    static const enum weft__charge_kind kinds[] = {[WEFT_ROOM_FIBERS] = WEFT__CHARGE_FIBERS, [WEFT_ROOM_LANES] = WEFT__CHARGE_LANES,
                                                   [WEFT_ROOM_IDS] = WEFT__CHARGE_IDS, [WEFT_ROOM_OPS] = WEFT__CHARGE_OPS,
                                                   [WEFT_ROOM_VAT] = WEFT__CHARGE_VAT};
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if ((unsigned)kind >= sizeof kinds / sizeof *kinds || !n)
        return -EINVAL;
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    if (!f->crew->account)
        return 0;
    int r = weft__account_charge_by(f->crew->account, kinds[kind], n, deadline > 0 ? deadline : 0);
    if (r < 0)
        return r;
    weft__account_reserve(f->home, f->crew->account, kinds[kind], n);
    return 0;
}
