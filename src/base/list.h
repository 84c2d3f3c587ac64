/* Intrusive lists. None of them is thread-safe. weft__tasks: a FIFO of tasks by their own `next`; weft__link:
 * doubly linked, circular. */
#ifndef WEFT_BASE_LIST_H
#define WEFT_BASE_LIST_H

#include <weft/types.h>

typedef struct weft__tasks {
    weft_task *head;
    weft_task **tail; /* NULL before the first push: an all-zero list is empty */
} weft__tasks;

static inline int weft__tasks_empty(const weft__tasks *l) { return l->head == NULL; }

static inline void weft__tasks_push(weft__tasks *l, weft_task *t)
{
    t->next = NULL;
    if (l->head)
        *l->tail = t;
    else
        l->head = t;
    l->tail = &t->next;
}

static inline void weft__tasks_push_front(weft__tasks *l, weft_task *t)
{
    if (!l->head)
        l->tail = &t->next;
    t->next = l->head;
    l->head = t;
}

static inline weft_task *weft__tasks_pop(weft__tasks *l)
{
    weft_task *t = l->head;
    if (t)
        l->head = t->next;
    return t;
}

/* Moves all of `from` behind `to`. */
static inline void weft__tasks_splice(weft__tasks *to, weft__tasks *from)
{
    if (!from->head)
        return;
    if (to->head)
        *to->tail = from->head;
    else
        to->head = from->head;
    to->tail = from->tail;
    from->head = NULL;
}

typedef struct weft__link {
    struct weft__link *next, *prev;
} weft__link;

static inline void weft__link_init(weft__link *l) { l->next = l->prev = l; }
static inline int weft__link_alone(const weft__link *l) { return l->next == l; }

static inline void weft__link_before(weft__link *at, weft__link *l)
{
    l->next = at;
    l->prev = at->prev;
    at->prev->next = l;
    at->prev = l;
}

static inline void weft__link_remove(weft__link *l)
{
    l->next->prev = l->prev;
    l->prev->next = l->next;
    l->next = l->prev = l;
}

/* A stack of tasks that any thread pushes and one drains at once: the inbox of workers and ports. */
#include "base/atomic.h"

/* Returns 1 if the inbox was empty before: the pusher that has to wake the owner. Pairs with weft__inbox_drain. */
static inline int weft__inbox_push(void **inbox, weft_task *t, const char *name)
{
    void *old = weft__load_relaxed(inbox, name);
    do
        t->next = old;
    while (!weft__cas_seq(inbox, &old, (void *)t, name));
    return old == NULL;
}

/* Takes everything, in the order it was pushed. The exchange acquires what each pusher wrote before its push. */
static inline weft_task *weft__inbox_drain(void **inbox, const char *name)
{
    if (!weft__load_relaxed(inbox, name))
        return NULL;
    weft_task *t = weft__exchange_seq(inbox, NULL, name), *out = NULL;
    while (t) {
        weft_task *next = t->next;
        t->next = out;
        out = t;
        t = next;
    }
    return out;
}

#endif
