/* A select from the inside. Its cases are of two sorts: objects, which have a lock and a queue and may be served by
 * anybody, and those that the fiber's own worker tells of and that are taken only after the select has claimed
 * itself for them (select_home.c): joins, messages, I/O. */
#ifndef WEFT_SYNC_SELECT_H
#define WEFT_SYNC_SELECT_H

#include <weft/select.h>

#include "lane/handle.h"
#include "lane/mail.h"
#include "lane/realm.h"
#include "sync/wait.h"

/* Answers of the steps of a select that are no case's index and no errno. */
enum { WEFT__SELECT_AGAIN = -100000, WEFT__SELECT_NONE = -100001 };

/* What an I/O case has beside its op. */
typedef struct weft__io {
    weft__sitter sitter;   /* WEFT_CASE_BUFFER */
    weft__handle *handle;  /* of the op, while it is under way */
    uint16_t gen;
} weft__io;

typedef struct weft__selection {
    weft__waiter waiter;   /* first: the fiber waits on it */
    weft_case *cases;
    unsigned n;
    int ordered;
    int plain;             /* there is nothing to look into before cases are tried */
    int64_t at;            /* the earliest of its times, and which case that is */
    int at_case;
    weft__fiber *fiber;
    weft__node *nodes;
    uint8_t *order;
    unsigned homes;        /* cases that our own worker tells of */
    unsigned io;           /* of them, those that ask the kernel */
    unsigned slots;        /* of racers and ios that are taken; a case's is in its node's `want` */
    weft__racer *racers;
    weft__io *ios;
    weft__race race;
    weft__mailbox *box;
    weft__receiver mail;
} weft__selection;

static inline int weft__case_is_io(const weft_case *c)
{
    return c->kind >= WEFT_CASE_READABLE && c->kind <= WEFT_CASE_ACCEPT;
}
static inline int weft__case_is_home(const weft_case *c)
{
    return c->kind >= WEFT_CASE_JOIN && c->kind <= WEFT_CASE_ACCEPT;
}

/* What such a case is about: 0, or what the plain call would refuse it with. After the fiber has been suspended it
 * is asked anew. */
int weft__home_find(weft__selection *s, unsigned i);
/* Has it happened? Without asking the kernel. */
int weft__home_ready(const weft__selection *s, unsigned i);
/* An I/O case, asking the kernel without waiting: 1 and its result is set; 0; an error of the select. Suspends for a
 * tick. */
int weft__io_try(weft__selection *s, unsigned i);
/* From here on the fiber is nudged if one of them happens; 0, or an error or AGAIN, and it is not. */
int weft__homes_enter(weft__selection *s, int64_t deadline);
/* The ops, once the other cases are queued. */
void weft__homes_start(weft__selection *s);
/* And not any more: when this returns no op is under way. */
void weft__homes_leave(weft__selection *s);
/* The select is claimed for it, or it was found to have happened with nothing entered: a join is over from here on. */
void weft__home_take(weft__selection *s, unsigned i);
/* And nothing is entered any more: 0 and its result is set; AGAIN: others were quicker; an error of the select. */
int weft__home_conclude(weft__selection *s, unsigned i);

#endif
