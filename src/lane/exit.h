/* Why a lane ended. Home-worker code. */
#ifndef WEFT_LANE_EXIT_H
#define WEFT_LANE_EXIT_H

#include "lane/lane.h"

/* Records why the lane ends, unless that is recorded. `cause`: the lane whose failure it is, WEFT_NOID for its own. */
void weft__exit_note(weft__lane *lane, enum weft_exit_kind kind, int result, weft_id cause);
/* The main fiber has returned this. */
void weft__exit_returned(weft__lane *lane, int result);
/* Its deadline has passed; it is being killed. */
void weft__exit_expired(weft__lane *lane);
void weft__exit_killed(weft__lane *lane);
void weft__exit_overflowed(weft__lane *lane);
/* A child's failure becomes the lane's, unless it failed itself. */
void weft__exit_inherit(weft__lane *lane, const weft_exit *e);
/* It is about to end: a reason if there is none yet. */
void weft__exit_settle(weft__lane *lane);
void weft__exit_fill(const weft__lane *lane, weft_exit *out);
/* Whether its end is a failure that its parent has to hear of: neither a normal end, nor one that was asked for. */
int weft__exit_failed(const weft__lane *lane);

#endif
