/* A kernel for the ring driver that does nothing by itself: the test sees each submission taken and answers it when
 * and as it likes. */
#ifndef WEFT_TESTS_PORT_FAKE_RING_H
#define WEFT_TESTS_PORT_FAKE_RING_H

#include <linux/io_uring.h>

#include "port/uring_bed.h"

#define FAKE_TAKEN 65536

typedef struct fake_ring fake_ring;
struct fake_ring {
    weft__ring_sys sys;
    /* What the kernel is like; set before open. */
    int setup_error;          /* all set-ups fail with it */
    uint32_t unknown_flags;   /* set-up flags that answer -EINVAL */
    uint32_t features;
    int no_buffer_ring;
    int missing_op;           /* this opcode is not there, says the probe */

    /* The ring. */
    struct io_uring_params params;
    struct {
        uint32_t sq_head, sq_tail, sq_flags, cq_head, cq_tail;
    } *shared;
    void *rings;
    struct io_uring_sqe *sqes;
    struct io_uring_buf *buffers;
    uint32_t buffer_mask;
    uint16_t buffer_head;

    /* What was taken and not answered yet, in order; user_data 0 once answered. */
    struct io_uring_sqe taken[FAKE_TAKEN];
    unsigned count;
    unsigned cancels; /* cancels seen */
    struct io_uring_sqe wake;
    int wake_armed;
    /* The driver's deadline, which goes off when the test says so. */
    struct {
        int armed;
        int64_t ns;
        unsigned set, moved; /* how often it was submitted, and changed without an answer */
        int refused;         /* what its submission answers; 0: nothing, it stays */
        int late;            /* what its next change answers; 0: nothing. -ENOENT: it goes off just before */
    } standing;

    /* The next entries answer these, oldest first; 0 ends the script. */
    int script[16];
    unsigned take_at_most; /* in one entry, 0: all */
    /* Called when an entry would have to wait; it may complete something. */
    void (*on_wait)(fake_ring *f);
    void *ctx;
    unsigned entries, waits, setups, registered, unmapped, closed;
    uint32_t last_flags;

    /* Completions that did not fit: the kernel's overflow list. */
    struct io_uring_cqe *overflow;
    unsigned overflowed;
};

/* A kernel that can do all that the driver needs. What it is like may be changed until a port is opened on it. */
fake_ring *fake_ring_new(void);
int fake_ring_open(bed *b, fake_ring *f, const weft_port_config *config);
void fake_ring_free(fake_ring *f);
/* Both: a new one with a port on it. */
fake_ring *fake_ring_fresh(bed *b, const weft_port_config *config);
/* Closes the port, which has to have given everything back, and frees the ring. */
void fake_ring_finish(bed *b, fake_ring *f);
/* A socket that nobody but the fake hears of. */
weft_desc fake_stream(void);

/* Posts a completion. */
void fake_ring_post(fake_ring *f, uint64_t user_data, int32_t res, uint32_t flags);
/* The driver's deadline has come. */
void fake_ring_goes_off(fake_ring *f);
/* The submission taken for an op that is still open, or NULL. */
struct io_uring_sqe *fake_ring_find(fake_ring *f, const weft_op *op);
/* Answers an op's submission; IORING_CQE_F_MORE in flags leaves it open. */
void fake_ring_answer(fake_ring *f, const weft_op *op, int32_t res, uint32_t flags);
/* Takes a provided buffer, puts `len` bytes `fill` into it and returns the flags that name it. */
uint32_t fake_ring_take_buffer(fake_ring *f, char fill, unsigned len);

#endif
