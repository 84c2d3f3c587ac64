/* Waiting for whichever of several things comes first.
 *
 *     weft_case cases[] = {WEFT_RECEIVE(&requests, &request), WEFT_PASS(&stop), WEFT_AT(weft_after(WEFT_SECOND))};
 *     int i = weft_select(cases, 3, WEFT_NEVER);
 *
 * Exactly one case happens, and the others leave no trace: nothing is lost, and nothing is done twice. Among those that
 * could happen at once one is drawn, so that none starves; weft_select_ordered takes the first. */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include <weft/channel.h>
#include <weft/message.h>
#include <weft/op.h>
#include <weft/sync.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weft_case_kind {
    WEFT_CASE_NONE = 0,  /* never happens: a case that is switched off */
    WEFT_CASE_SEND,      /* object: a channel, data: the item */
    WEFT_CASE_RECEIVE,   /* object: a channel, data: where the item goes */
    WEFT_CASE_EVENT,     /* object: it is set */
    WEFT_CASE_LOCK,      /* object: a mutex, which the caller owns then; site as in weft_mutex_lock */
    WEFT_CASE_ACQUIRE,   /* object: a semaphore, units */
    WEFT_CASE_FUTURE,    /* object: it was kept; data: void **, gets the value, or NULL */
    WEFT_CASE_LATCH,     /* object: everything is over */
    WEFT_CASE_TIME,      /* deadline has come */
    WEFT_CASE_JOIN,      /* id: a fiber that has ended; result is what it returned */
    WEFT_CASE_LANE,      /* id: a child lane that has ended; likewise, as weft_lane_join */
    WEFT_CASE_MESSAGE,   /* data: weft_message **, gets the oldest message of the caller's lane, as weft_receive */
    /* I/O. These take nothing that another reader would miss; what is not taken stays where it was. */
    WEFT_CASE_READABLE,  /* id: a socket from which weft_read would not wait; result: WEFT_READABLE, WEFT_HANGUP */
    WEFT_CASE_WRITABLE,  /* id: a socket to which weft_write would not wait; result: WEFT_WRITABLE, WEFT_HANGUP */
    WEFT_CASE_ACCEPTABLE, /* id: a listener with a connection to accept, which another may take first; result:
                           * WEFT_READABLE */
    WEFT_CASE_BUFFER,    /* id: a socket, data: weft_buffer *, gets the next buffer; result is its length, as
                          * weft_read_buffer */
    WEFT_CASE_ACCEPT     /* id: a listener, data: weft_id *, gets the next connection; result 0, or an error: out of
                          * descriptors, say */
};

typedef struct weft_case {
    int kind;
    int result;        /* [out] of the case that happened: what the plain call would have answered (a channel's reason,
                        * -EOWNERDEAD...) */
    void *object;
    void *data;
    size_t units;
    int64_t deadline;
    weft_id id;
    const char *site;
} weft_case;

#define WEFT_SEND(channel, item) ((weft_case){.kind = WEFT_CASE_SEND, .object = (channel), .data = (void *)(item)})
#define WEFT_RECEIVE(channel, item) ((weft_case){.kind = WEFT_CASE_RECEIVE, .object = (channel), .data = (item)})
#define WEFT_PASS(event) ((weft_case){.kind = WEFT_CASE_EVENT, .object = (event)})
#define WEFT_LOCK(mutex) ((weft_case){.kind = WEFT_CASE_LOCK, .object = (mutex), .site = WEFT_HERE})
#define WEFT_ACQUIRE(semaphore, n) ((weft_case){.kind = WEFT_CASE_ACQUIRE, .object = (semaphore), .units = (n)})
#define WEFT_EXPECT(future, value) ((weft_case){.kind = WEFT_CASE_FUTURE, .object = (future), .data = (void *)(value)})
#define WEFT_OVER(latch) ((weft_case){.kind = WEFT_CASE_LATCH, .object = (latch)})
#define WEFT_AT(when) ((weft_case){.kind = WEFT_CASE_TIME, .deadline = (when)})
#define WEFT_JOIN(fiber_id) ((weft_case){.kind = WEFT_CASE_JOIN, .id = (fiber_id)})
#define WEFT_JOIN_LANE(lane_id) ((weft_case){.kind = WEFT_CASE_LANE, .id = (lane_id)})
#define WEFT_MESSAGE(msg) ((weft_case){.kind = WEFT_CASE_MESSAGE, .data = (void *)(msg)})
#define WEFT_CAN_READ(sock) ((weft_case){.kind = WEFT_CASE_READABLE, .id = (sock)})
#define WEFT_CAN_WRITE(sock) ((weft_case){.kind = WEFT_CASE_WRITABLE, .id = (sock)})
#define WEFT_CAN_ACCEPT(listener) ((weft_case){.kind = WEFT_CASE_ACCEPTABLE, .id = (listener)})
#define WEFT_BUFFER(sock, buffer) ((weft_case){.kind = WEFT_CASE_BUFFER, .id = (sock), .data = (buffer)})
#define WEFT_ACCEPT(listener, conn) ((weft_case){.kind = WEFT_CASE_ACCEPT, .id = (listener), .data = (conn)})

/* Fibers only. The index of the case that happened; a past deadline tries once. Costs O(n); where some channels are
 * sent to and some received from, each of these cases is compared with those before it. Allocates nothing for up to 16
 * cases, and beyond that from the lane's memory. A mutex is handed over in the order of coming. When it returns,
 * nothing of the other cases is under way: operations of I/O that lose are cancelled, and their end is waited for.
 *
 * I/O cases ask the kernel: where something else is ready, too, that costs a tick when their turn to be tried comes
 * first, so put them last in a weft_select_ordered that is mostly ready. A socket that is closed meanwhile by a
 * sibling, or that breaks, is a case that happens, with the error as its result. Operations with effects of their own
 * (write, connect, files) are no cases: run them in a group (group.h) and join.
 *
 * -ETIMEDOUT; -ECANCELED (checked at entry); -EPERM no fiber; -E2BIG more than WEFT_CASES_MAX; -ENOMEM; -EINVAL no
 * `cases` and n > 0, an unknown kind, no object, no units, no data of a case that takes something (WEFT_MESSAGE,
 * WEFT_BUFFER, WEFT_ACCEPT), the same channel for sending and receiving; -EDEADLK a mutex that the caller owns, or
 * itself; of a fiber or lane to join what weft_join and weft_lane_join answer: -ESRCH, -EPERM, -EBUSY; of an id for I/O
 * what its calls answer: -EBADF, -EPERM, -EINVAL another kind, a file's say, -EBUSY another reader has data under way
 * or waits for the next buffer; -EAGAIN at the lane's limit of operations. */
#define WEFT_CASES_MAX 255
WEFT_API int weft_select(weft_case *cases, unsigned n, int64_t deadline);
WEFT_API int weft_select_ordered(weft_case *cases, unsigned n, int64_t deadline);

#ifdef __cplusplus
}
#endif
#endif
