/* Why lanes end: what is recorded, which ends are failures, how it is said. The first reason stands: what a lane does
 * after it was told to end is no reason any more. Home-worker code, but for weft_exit_format. */
#include <errno.h>

#include "base/check.h"
#include "lane/exit.h"
#include "lane/realm.h"
#include "sched/text.h"

void weft__exit_note(weft__lane *lane, enum weft_exit_kind kind, int result, weft_id cause)
{
    if (lane->why != WEFT__EXIT_NONE)
        return;
    lane->why = (uint8_t)kind;
    lane->result = result;
    lane->cause = cause;
}

/* The main fiber has returned this. */
void weft__exit_returned(weft__lane *lane, int result)
{
    int stopped = result == -ECANCELED || result == -ETIMEDOUT;
    if (result >= 0)
        weft__exit_note(lane, WEFT_EXIT_NORMAL, result, WEFT_NOID);
    else if (lane->expired && stopped)
        weft__exit_note(lane, WEFT_EXIT_DEADLINE, result, WEFT_NOID);
    else if (lane->crew.cancelled && result == -ECANCELED)
        weft__exit_note(lane, WEFT_EXIT_CANCELED, result, WEFT_NOID);
    else
        weft__exit_note(lane, WEFT_EXIT_ERROR, result, WEFT_NOID);
}

void weft__exit_expired(weft__lane *lane)
{
    lane->expired = 1;
    if (lane->why == WEFT_EXIT_NORMAL) { /* its main fiber was done, but not the lane */
        lane->why = WEFT__EXIT_NONE;
        weft__exit_note(lane, WEFT_EXIT_DEADLINE, -ETIMEDOUT, WEFT_NOID);
    }
}

void weft__exit_killed(weft__lane *lane)
{
    if (lane->why == WEFT_EXIT_NORMAL)
        lane->why = WEFT__EXIT_NONE; /* its main fiber was done, the lane was not */
    weft__exit_note(lane, WEFT_EXIT_KILLED, -ECANCELED, WEFT_NOID);
}

void weft__exit_overflowed(weft__lane *lane)
{
    if (lane->why == WEFT_EXIT_NORMAL)
        lane->why = WEFT__EXIT_NONE;
    weft__exit_note(lane, WEFT_EXIT_OVERFLOW, -EFAULT, WEFT_NOID);
}

void weft__exit_inherit(weft__lane *lane, const weft_exit *e)
{
    if (lane->why == WEFT_EXIT_NORMAL || lane->why == WEFT_EXIT_CANCELED)
        lane->why = WEFT__EXIT_NONE;
    weft__exit_note(lane, (enum weft_exit_kind)e->kind, e->result, e->cause);
}

void weft__exit_settle(weft__lane *lane)
{
    weft__exit_note(lane, WEFT_EXIT_CANCELED, -ECANCELED, WEFT_NOID); /* it never came to run */
}

void weft__exit_fill(const weft__lane *lane, weft_exit *out)
{
    out->lane = lane->crew.id;
    out->cause = lane->cause.gen ? lane->cause : lane->crew.id;
    out->kind = lane->why;
    out->result = lane->result;
}

int weft__exit_failed(const weft__lane *lane)
{
    return !lane->family && lane->why != WEFT__EXIT_NONE && lane->why != WEFT_EXIT_NORMAL && lane->why != WEFT_EXIT_CANCELED;
}

/* ---- how it is said ---- */

/* Adds to a text that may be longer than its buffer. */
#define ADD(...) n += weft__format(buf + (n < size ? n : size), n < size ? size - n : 0, __VA_ARGS__)

size_t weft_exit_format(const weft_exit *e, char *buf, size_t size)
{
    size_t n = 0;
    if (e->cause.gen && e->lane.gen && !weft_id_equal(e->cause, e->lane))
        ADD("ended because a child lane ");
    switch (e->kind) {
    case WEFT_EXIT_NORMAL:
        ADD("ended normally");
        break;
    case WEFT_EXIT_ERROR:
        ADD("failed: %s (%d)", weft_strerror(e->result), e->result);
        break;
    case WEFT_EXIT_CANCELED:
        ADD("was cancelled");
        break;
    case WEFT_EXIT_KILLED:
        ADD("was killed");
        break;
    case WEFT_EXIT_OVERFLOW:
        ADD("overflowed a stack");
        break;
    case WEFT_EXIT_DEADLINE:
        ADD("ran out of time: its deadline had passed");
        break;
    case WEFT_EXIT_LIMIT:
        ADD("could not begin: %s (%d)", weft_strerror(e->result), e->result);
        break;
    default:
        ADD("had ended before");
    }
    return n;
}
