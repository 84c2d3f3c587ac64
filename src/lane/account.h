/* Limits of a lane: whoever hands something out charges it here first, and gives the charge back when it is returned. A lane without limits
 * has no account, and a charge costs it one test. Home-worker code. */
#ifndef WEFT_LANE_ACCOUNT_H
#define WEFT_LANE_ACCOUNT_H

#include <errno.h>

#include "lane/lane.h"

enum weft__charge_kind {
    WEFT__CHARGE_FIBERS, WEFT__CHARGE_LANES, WEFT__CHARGE_IDS, WEFT__CHARGE_OPS, WEFT__CHARGE_VAT, WEFT__CHARGE_STACK, WEFT__CHARGE_KINDS
};

typedef struct weft__account {
    size_t used[WEFT__CHARGE_KINDS], limit[WEFT__CHARGE_KINDS]; /* limit 0: none */
    weft_limits limits;
} weft__account;

/* 0; at the limit -EAGAIN, of memory -ENOMEM, and nothing is charged. */
static inline int weft__charge(weft__lane *lane, enum weft__charge_kind what, size_t n)
{
    weft__account *a = lane->account;
    if (!a)
        return 0;
    if (a->limit[what] && (n > a->limit[what] || a->used[what] > a->limit[what] - n))
        return what == WEFT__CHARGE_VAT || what == WEFT__CHARGE_STACK ? -ENOMEM : -EAGAIN;
    a->used[what] += n;
    return 0;
}

static inline void weft__discharge(weft__lane *lane, enum weft__charge_kind what, size_t n)
{
    if (lane->account)
        lane->account->used[what] -= n;
}

#endif
