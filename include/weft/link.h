/* How lanes learn of each other's end: monitors (one side watches, by message), links (both sides, and a failure of
 * one ends the other), and rights granted to lanes that are not the parent.
 *
 * Whoever is told of a lane's end is told after everything that the lane had is given back: memory, descriptors,
 * locks, names. A failed lane ends its parent too, unless the parent joins, monitors, links or supervises it (see
 * lane.h).
 *
 * All calls here are for fibers: -EPERM on other threads. Lanes of one runtime only. */
#ifndef WEFT_LINK_H
#define WEFT_LINK_H

#include <weft/lane.h>
#include <weft/message.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a WEFT_MSG_DOWN or WEFT_MSG_EXIT message carries. */
typedef struct weft_down {
    weft_id ref;    /* the monitor; WEFT_NOID for a link */
    weft_exit exit; /* whose end, and why */
} weft_down;

/* Watches a lane: when it ends, the caller's lane gets exactly one WEFT_MSG_DOWN message. *ref (may be NULL) names
 * the monitor. A lane that has ended already is answered at once in the same way, with the kind WEFT_EXIT_UNKNOWN
 * unless its exit record has come and still exists. The message has been paid for by this call: it comes whatever
 * the state of memory, does not count in the mailbox, and is never dropped. Several monitors of one lane are several
 * messages. -ENOMEM; -EINVAL the caller's own lane, or no lane's id. */
WEFT_API int weft_monitor(weft_id lane, weft_id *ref);
/* Ends a monitor of the caller's lane: no message comes from it any more. With flush, one that has come and was not
 * received yet is removed as well. 0; -ESRCH it has fired (with flush: and the message has been received) or never
 * existed. */
WEFT_API int weft_demonitor(weft_id ref, int flush);
/* The weft_down in a message, or NULL if it is of another kind. Any thread that may look at the message. */
WEFT_API const weft_down *weft_msg_down(const weft_message *msg);

/* Ties the caller's lane and another: if either ends otherwise than normally, the other is cancelled with the same
 * cause, unless it traps exits; then it gets a WEFT_MSG_EXIT message instead, and that for a normal end too. Linking
 * twice is linking once. 0; -ESRCH the other has ended (nothing else happens); -ENOMEM; -EINVAL the caller's own
 * lane. */
WEFT_API int weft_link(weft_id lane);
/* Unties them: once this returns, an end of the other has no effect on the caller's lane that it has not had before.
 * -ESRCH not linked. */
WEFT_API int weft_unlink(weft_id lane);
/* Whether the ends of linked lanes become messages to the caller's lane (1) or end it (0, as at first). Cancelling
 * and killing it directly are not trapped. -ENOMEM. */
WEFT_API int weft_trap_exit(int on);

/* Rights over a lane that its parent has by itself. LOOK: to ask what it has (weft_lane_usage_of), which all lanes
 * above it may. */
enum weft_right { WEFT_RIGHT_CANCEL = 1, WEFT_RIGHT_KILL = 2, WEFT_RIGHT_JOIN = 4, WEFT_RIGHT_LOOK = 8 };

/* Gives lane `to` these rights (enum weft_right, or'ed; 0 takes all back) over `lane`, which is the caller's own or
 * a child of it. The rights end with either lane. -EPERM not the caller's to give; -ESRCH either has ended; -EINVAL
 * unknown rights, or to itself; -ENOMEM. */
WEFT_API int weft_grant(weft_id lane, weft_id to, unsigned rights);

#ifdef __cplusplus
}
#endif
#endif
