/* Limits of a lane: whoever hands something out charges it here first, and gives the charge back when it is returned.
 * A lane without limits has no account, and a charge costs it one test. Any worker; the lane exists. */
#ifndef WEFT_LANE_ACCOUNT_H
#define WEFT_LANE_ACCOUNT_H

#include "lane/lane.h"

/* 0; at the limit -EAGAIN, of memory -ENOMEM, and nothing is charged. */
static inline int weft__charge(weft__lane *lane, enum weft__charge_kind what, size_t n)
{
    weft__account *a = lane->crew.account;
    return a ? weft__account_charge(a, what, n) : 0;
}

static inline void weft__discharge(weft__lane *lane, enum weft__charge_kind what, size_t n)
{
    weft__account *a = lane->crew.account;
    if (a)
        weft__account_discharge(a, what, n);
}

/* What a lane's mailbox may hold: its own limits, else the runtime's; 0: no limit. */
void weft__mailbox_limits(weft__lane *lane, uint32_t *messages, size_t *bytes);

/* ---- for the birth and the end of lanes ---- */

/* Room for one more child of `parent` and for its first fiber; waits for it until opt->wait if a fiber asks.
 * 0, or what charging says. */
int weft__account_admit(weft__lane *parent, const weft_lane_options *opt);
/* Undoes admit: the child was not made. */
void weft__account_expel(weft__lane *parent);
/* The account of a fresh lane that was admitted: 0 or -ENOMEM. */
int weft__account_open(weft__lane *lane, const weft_lane_options *opt);
/* The child is struck off its parent's books. */
static inline void weft__account_leave(weft__lane *parent) { weft__discharge(parent, WEFT__CHARGE_LANES, 1); }

#endif
