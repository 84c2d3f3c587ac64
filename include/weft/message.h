/* Messages between lanes. Each lane has one mailbox, bounded, first in first out; its storage belongs to neither
 * lane, so either may die at any moment. A message is sent by copying bytes, or a block is handed over without
 * copying; what lies in a message is a value and never a pointer into a lane's memory.
 *
 * What one lane sends to another arrives in the order it was sent. A message is delivered at most once, and is lost
 * only where its sender asked for that (WEFT_FULL_DROP_OLDEST) or the receiver ends first. A send that succeeded
 * says that the message lies in the mailbox, not that it was read: who needs an answer asks for one (weft_call). */
#ifndef WEFT_MESSAGE_H
#define WEFT_MESSAGE_H

#include <weft/runtime.h>
#include <weft/slice.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weft_message_kind {
    WEFT_MSG_DATA = 0, /* sent by a lane or thread */
    WEFT_MSG_DOWN,     /* a monitored lane has ended: data is a weft_down (link.h) */
    WEFT_MSG_EXIT      /* a linked lane has ended, and this one traps exits: data is a weft_down */
};

/* A message as its holder sees it. Its memory belongs to the lane that received or allocated it, until that hands it
 * on or frees it; what is still there at the lane's end is freed with it. Fields marked [sender] may be set before a
 * message is handed over. */
typedef struct weft_message {
    void *data;      /* size bytes, aligned for anything */
    size_t size;     /* [sender]: may be made smaller */
    weft_id from;    /* the lane that sent it; WEFT_NOID: a thread that is no fiber */
    weft_id to;      /* the alias it was sent to; WEFT_NOID: the lane itself */
    weft_id reply;   /* [sender] where an answer goes: see weft_reply; WEFT_NOID: none is expected */
    uint32_t tag;    /* [sender] for the programs' own use: what it is about */
    int kind;        /* enum weft_message_kind */
} weft_message;

/* What happens when the mailbox is full, by the sender's choice. */
enum weft_full {
    WEFT_FULL_PARK = 0,    /* wait for room until the deadline; senders are let in in the order they came */
    WEFT_FULL_REFUSE,      /* -EAGAIN */
    WEFT_FULL_DROP_OLDEST  /* the oldest messages that nobody has received yet give way */
};

typedef struct weft_send_options {
    int full;          /* enum weft_full */
    int64_t deadline;  /* of WEFT_FULL_PARK; 0: none, in a fiber; on any other thread 0 does not wait (-EAGAIN) */
    uint32_t tag;      /* becomes the message's; ignored by weft_send_msg, whose message has one */
    weft_id reply;     /* likewise: an alias of the sender's, where it waits for an answer */
} weft_send_options;

/* Sends a copy of size bytes (data may be NULL if size is 0). `to`: a lane, or an alias. opt NULL: all zero. Fibers;
 * -EPERM elsewhere. -ESRCH the lane has ended, or ended while the caller waited, or the alias has expired; -EAGAIN
 * full (WEFT_FULL_REFUSE); -ETIMEDOUT still full at the deadline; -ECANCELED; -EMSGSIZE larger than the mailbox will
 * ever take; -ENOMEM; -EINVAL. A sender that waits for room and is let in at the very moment of its deadline or
 * cancellation answers 0: the message has been sent. */
WEFT_API int weft_send(weft_id to, const void *data, size_t size, const weft_send_options *opt);
#define weft_send_with(to, data, size, ...) weft_send((to), (data), (size), &(weft_send_options){__VA_ARGS__})
/* The same from any thread that is no fiber of another runtime. A thread that may wait (WEFT_FULL_PARK with a
 * deadline) sleeps in the runtime's environment; a worker or fiber of another runtime never waits: -EAGAIN.
 * -ESHUTDOWN: the runtime has ended. */
WEFT_API int weft_send_in(weft_runtime *rt, weft_id to, const void *data, size_t size, const weft_send_options *opt);

/* A message of `size` bytes to be filled in and handed over by weft_send_msg or weft_reply_msg. It is charged to the
 * caller's lane until then. Fibers; -ENOMEM, also at the lane's limit of memory; -EPERM. weft_msg_alloc_in: for
 * other threads, charged to nobody. */
WEFT_API int weft_msg_alloc(weft_message **out, size_t size);
WEFT_API int weft_msg_alloc_in(weft_runtime *rt, weft_message **out, size_t size);
/* A message whose bytes are those of a slice: they are shared, not copied, on the way and by whoever gets it, so
 * nobody writes to them. It holds a reference of its own; the slice stays the caller's. As weft_msg_alloc, and the
 * errors of slices. */
WEFT_API int weft_msg_alloc_slice(weft_message **out, weft_slice slice);
/* The bytes of such a message as a slice of the caller's lane, for keeping them beyond the message or passing parts
 * on. -EINVAL the message was not made of a slice; others as weft_slice_sub. */
WEFT_API int weft_msg_slice(weft_message *msg, weft_slice *out);
/* Hands a message over without copying it: one that was allocated, or received and is passed on. The errors are
 * those of weft_send; on any error the message stays with the caller, on success it is gone. -EPERM: another lane
 * holds it, or it brings a mutex that may not come there (weft_mutex_send). */
WEFT_API int weft_send_msg(weft_id to, weft_message *msg, const weft_send_options *opt);
WEFT_API int weft_send_msg_in(weft_runtime *rt, weft_id to, weft_message *msg, const weft_send_options *opt);
/* Gives a message back. NULL is allowed. 0; -EPERM another lane holds it; -EINVAL it was freed or handed over
 * already (as far as its memory still tells). Never checks for cancellation. */
WEFT_API int weft_msg_free(weft_message *msg);

/* Takes the oldest message of the caller's lane. *out belongs to the lane: free it, or pass it on. Several fibers of
 * one lane may wait; each message goes to one of them. -ETIMEDOUT, -ECANCELED, -ENOMEM (the lane's limit of memory:
 * the message stays in the mailbox), -EPERM. */
WEFT_API int weft_receive(weft_message **out, int64_t deadline);
/* Takes the oldest message for which match(msg, arg) is not 0, and leaves the others as they are, in order. match is
 * called by the waiting fiber once for each message; it must neither wait nor keep or free the message. While a call
 * waits, messages that it refused cost nothing more; each new call looks through the mailbox from its front. */
WEFT_API int weft_receive_match(weft_message **out, int (*match)(const weft_message *msg, void *arg), void *arg,
                                int64_t deadline);

/* What lies in the mailbox of the caller's lane: messages and bytes that count against its limits, and how many have
 * ever been dropped to make room. Each pointer may be NULL. -EPERM. */
WEFT_API int weft_mailbox_info(uint32_t *messages, size_t *bytes, uint64_t *dropped);

/* ---- Asking and answering ---- */

/* Sends a request and waits for its answer, which the callee gives by weft_reply. *reply is the answer; free it. A
 * full mailbox is waited for, within the same deadline. An answer that comes after this call has returned reaches
 * nobody: the callee is told -ESRCH. -ESRCH there is no such lane, or it ended before it answered; -ETIMEDOUT;
 * -ECANCELED; others as weft_send. */
WEFT_API int weft_call(weft_id lane, const void *request, size_t size, weft_message **reply, int64_t deadline);
/* The same with a message that was allocated, for requests with a tag or without a copy. On success it is gone, and
 * on an error too if it had been sent: *sent (may be NULL) says whether. */
WEFT_API int weft_call_msg(weft_id lane, weft_message *request, weft_message **reply, int64_t deadline, int *sent);
/* Answers a request. Never waits: there is always room for an answer that somebody waits for. 0; -ESRCH nobody waits
 * for it any more, or it was answered already; -EINVAL the message asks for no answer; -ENOMEM; -EPERM outside a
 * fiber. The request is still the caller's to free. */
WEFT_API int weft_reply(const weft_message *request, const void *data, size_t size);
/* The same with a message handed over, which stays with the caller on an error. */
WEFT_API int weft_reply_msg(const weft_message *request, weft_message *answer);

/* An alias is another address of the caller's lane that can be given up: what is sent to it arrives in the lane's
 * mailbox, with the alias in `to`, until it is closed; from then on it answers -ESRCH. It closes by itself when the
 * lane ends, and with once = 1 when a first message has arrived. -ENOMEM, -EPERM. */
WEFT_API int weft_alias_open(weft_id *out, int once);
/* Closes it, and drops what came through it and lies unreceived in the mailbox. -ESRCH closed already; -EPERM
 * another lane's. */
WEFT_API int weft_alias_close(weft_id alias);

/* ---- Locks ---- */

/* Sends a message, as weft_send, that brings a mutex of the caller's (sync.h) along. On the way the mutex is nobody's
 * and stays locked, as often as the caller had locked it; whoever receives the message takes it out. If the message
 * ends before, with its receiver, say, the mutex goes to whoever waits for it, and his answer is -EOWNERDEAD. The
 * errors of weft_send, and then it is the caller's still; -EPERM, too: the caller does not own it, or it lies in the
 * memory of a lane that the sender or the receiver may outlive, being neither that lane nor a descendant of it, and so
 * it is for whoever passes the message on; -ENOMEM. */
struct weft_mutex;
WEFT_API int weft_mutex_send(struct weft_mutex *m, weft_id to, const void *data, size_t size,
                             const weft_send_options *opt);
/* Makes the calling fiber the owner of the mutex that a message of its lane brought; *out (may be NULL) is which. The
 * message stays the caller's. 0; -EOWNERDEAD: it is the caller's, and its sender had it so; -EINVAL the message brings
 * none, or did; -EPERM another lane's message, or no fiber. */
#define weft_mutex_accept(msg, out) weft_mutex_accept_at((msg), (out), WEFT_HERE)
WEFT_API int weft_mutex_accept_at(weft_message *msg, struct weft_mutex **out, const char *site);

/* ---- Names ---- */

#define WEFT_NAME_MAX 63 /* bytes, the closing zero not counted */

/* Names the caller's lane. A name belongs to one lane of a runtime at a time, a lane may have several, and they end
 * with it: before anybody is told of its death, the name is free again. The text is copied. -EEXIST taken;
 * -ENAMETOOLONG; -EINVAL empty; -ENOMEM; -EPERM. */
WEFT_API int weft_register(const char *name);
/* The same for the caller's own lane or a child of it (-EPERM otherwise; -ESRCH it has ended or is about to). */
WEFT_API int weft_register_as(weft_id lane, const char *name);
/* Takes a name back from the caller's own lane or a child of it. -ESRCH there is no such name; -EPERM. */
WEFT_API int weft_unregister(const char *name);
/* The lane of that name. Any worker; weft_whereis_in: any thread. -ESRCH there is none. */
WEFT_API int weft_whereis(const char *name, weft_id *out);
WEFT_API int weft_whereis_in(weft_runtime *rt, const char *name, weft_id *out);

#ifdef __cplusplus
}
#endif
#endif
