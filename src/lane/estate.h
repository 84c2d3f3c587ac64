/* What a lane leaves behind when it dies, and who gives it back: one function per kind of thing, called by the lane's
 * end (end.c) on its home worker in the order of DESIGN rule 5. Functions that may take long get a budget of units of
 * about a microsecond and answer 1 when nothing is left, 0 to be called again in a later tick. None of them waits, runs
 * user code (but for one), or fails; what could not be given back is counted. */
#ifndef WEFT_LANE_ESTATE_H
#define WEFT_LANE_ESTATE_H

#include "lane/lane.h"

/* local.c: between steps 4 and 5, its lane-local values; here user code does run. */
void weft__lane_locals_bury(weft__lane *lane);
/* stake.c: who waits from outside for something in its vat is told, who holds something there lets go.
 * A killed lane does that before step 5. */
void weft__vat_evict(weft__lane *lane);
/* Before step 7, the same if it has not been done: 1: nobody has anything there any more; 0: the last one to go sends
 * the lane its end message. The second waits, for threads only: a root whose runtime closes. */
int weft__vat_clear(weft__lane *lane);
void weft__vat_clear_now(weft__lane *lane);
/* vat.c: step 7, the pages of its vat. */
int weft__vat_bury(weft__lane *lane, unsigned budget);
/* slice.c: step 7, its references to shared blocks. */
int weft__holdings_bury(weft__lane *lane, unsigned budget);
/* alarm.c: step 7, before the memory that they lie in: none is set any more, and none rings from the first call on. */
int weft__alarms_bury(weft__lane *lane, unsigned budget);
/* mailbox.c: as the lane begins to die (no fiber of it will run again):
 * later sends answer -ESRCH, parked senders are told so. */
void weft__mailbox_shut(weft__lane *lane);
/* mailbox.c: step 7, the messages that nobody took. */
int weft__mailbox_bury(weft__lane *lane, unsigned budget);
/* tie.c: step 6, its names are free again. */
void weft__names_bury(weft__lane *lane);
/* tie.c: whether the parent of this lane, which is about to end, monitors it or is linked with it:
 * its failure is told that way then. */
int weft__ties_watched(weft__lane *lane);
/* tie.c: step 8, everything else is back: links and monitors are told. */
void weft__ties_end(weft__lane *lane, const weft_exit *why);
/* account.c: after step 7. */
void weft__account_bury(weft__lane *lane);

#endif
