/* Resources that are descriptors: sockets, listeners, files, directories. What they have in common is a weft_desc
 * that lives at its home port, and a close that has to reach it there.
 *
 * Owner worker: everything but `desc`, which belongs to the home port's thread once the first op was submitted on it.
 * Its `handle` may be read by the owner as long as the id is valid: it changes only at the end of the close. */
#ifndef WEFT_LANE_HANDLE_H
#define WEFT_LANE_HANDLE_H

#include "lane/lane.h"

typedef struct weft__handle weft__handle;

struct weft__handle {
    weft__resource res;
    weft_desc desc;
    weft_task task;        /* carries the close to the port's thread, and the news of its end back */
    weft__worker *closer;  /* who began the close */
    /* Called on the closer's worker once the kernel's close is done; ends by weft__resource_gone. NULL: nothing to
     * add to that. */
    void (*ended)(weft__handle *h);
};

#define WEFT__KIND_BIT(kind) (1u << (kind))
#define WEFT__KINDS_SOCKET WEFT__KIND_BIT(WEFT__SOCKET)
#define WEFT__KINDS_LISTENER WEFT__KIND_BIT(WEFT__LISTENER)
#define WEFT__KINDS_FILE WEFT__KIND_BIT(WEFT__FILE)
#define WEFT__KINDS_DIR WEFT__KIND_BIT(WEFT__DIR)
#define WEFT__KINDS_HANDLE (WEFT__KINDS_SOCKET | WEFT__KINDS_LISTENER | WEFT__KINDS_FILE | WEFT__KINDS_DIR)

/* A fresh record's descriptor: `raw` is the record's from here on. */
void weft__handle_init(weft__handle *h, weft_handle raw, enum weft_desc_kind kind);
/* What every such kind's close does: the id is stale, the ops on it are cancelled, the kernel's close follows the
 * last of them. */
void weft__handle_close(weft__resource *r);
/* A record of this type for the calling fiber's lane, holding `raw`, which is closed if there is none. */
int weft__handle_make(const weft__resource_kind *type, weft_handle raw, enum weft_desc_kind kind, weft__handle **out);
/* As weft__resource_find. */
int weft__handle_find(weft_id id, uint32_t kinds, weft__handle **out);
/* The calling worker's port. Fibers only. */
weft_port *weft__handle_port(void);
/* Gives a raw handle back to the system. */
void weft__handle_drop(weft_handle raw);

#endif
