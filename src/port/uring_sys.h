/* The whole of what the io_uring driver asks of the kernel's rings: set-up, enter, register and mapping, behind a table
 * of four entries, so that a test or the simulator can stand in for the kernel; and the one plain call that goes past
 * them. Everything else the driver does goes through the shared rings. */
#ifndef WEFT_PORT_URING_SYS_H
#define WEFT_PORT_URING_SYS_H

#include <stddef.h>
#include <stdint.h>

#include "port/uring_abi.h"

typedef struct weft__ring_sys {
    void *self;
    /* Makes a ring: its descriptor or -errno; *params is filled in as io_uring_setup(2) says. */
    int (*setup)(void *self, unsigned entries, struct io_uring_params *params);
    /* How many submissions were taken, or -errno. */
    int (*enter)(void *self, int ring, unsigned submit, unsigned complete, unsigned flags, const void *arg,
                 size_t size);
    /* 0 or a count, or -errno. */
    int (*reg)(void *self, int ring, unsigned code, const void *arg, unsigned count);
    /* Maps a part of the ring, NULL on failure. The undo: unmap with p NULL ends the ring itself. */
    void *(*map)(void *self, int ring, uint64_t offset, size_t bytes);
    void (*unmap)(void *self, int ring, void *p, size_t bytes);
    /* A send that neither waits nor raises SIGPIPE: a count or -errno. NULL: every send is a submission. */
    int64_t (*send)(void *self, int socket, const void *buf, size_t len);
} weft__ring_sys;

/* The kernel's. */
extern const weft__ring_sys weft__ring_sys_kernel;

#endif
