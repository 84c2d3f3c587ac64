/* Chains of ops: the next one starts when the one before has ended. Home thread.
 *
 * Invariant: every op of a chain is in the port's books from the moment the first is submitted, so a cancel or a
 * close finds those that still wait for their turn. An op that waits has link_prev set. */
#include <errno.h>

#include "base/check.h"
#include "port/op.h"
#include "port/port.h"

int weft__chain_goes_on(const weft_op *op, int64_t result)
{
    if (op->flags & WEFT_OP_LINK_HARD)
        return 1;
    if (result < 0)
        return 0;
    int64_t wanted = weft__op_wanted(op);
    return wanted < 0 || result == wanted;
}

void weft__chain_drop(weft_port *port, weft_op *op)
{
    while (op) {
        weft_op *next = op->flags & WEFT_OP_LINK ? op->link : NULL;
        if (next)
            next->link_prev = NULL;
        op->link = NULL; /* finish has nothing to follow: the loop does */
        weft__port_finish(port, op, -ECANCELED);
        op = next;
    }
}

void weft__chain_turn(weft_port *port, weft_op *op)
{
    op->wait_next = NULL;
    if (port->turn_head)
        port->turn_tail->wait_next = op;
    else
        port->turn_head = op;
    port->turn_tail = op;
    if (port->turning)
        return; /* a caller further up this stack starts it */
    port->turning = 1;
    while ((op = port->turn_head)) {
        port->turn_head = op->wait_next;
        weft__port_launch(port, op);
    }
    port->turning = 0;
}
