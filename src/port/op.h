/* The op table: one row per operation, what every driver and the core need to know of it. */
#ifndef WEFT_PORT_OP_H
#define WEFT_PORT_OP_H

#include <weft/op.h>

/* Which readiness an op waits for on its descriptor. */
enum weft__direction { WEFT__NONE, WEFT__READ, WEFT__WRITE, WEFT__EITHER };

typedef struct weft__op_row {
    const char *name;
    uint8_t direction;   /* enum weft__direction */
    uint8_t cancellable; /* 1: can be ended once the kernel has it; 0: regular files, pool jobs (DESIGN rule 2) */
    uint8_t pooled;      /* 1: the blocking pool can run it when nothing better does */
    uint8_t desc;        /* 1: it needs a descriptor, 2: it may have one */
} weft__op_row;

extern const weft__op_row weft__op_rows[WEFT_OP_COUNT];

/* How many bytes the op asked for, -1 where its result is no count: a soft link goes on only after a full count. */
int64_t weft__op_wanted(const weft_op *op);

/* A RECV or SEND for who sets everything else himself that a port looks at in an op without flags: task.run, key,
 * origin, submitter, through, prompt. A request begins with it, so it writes nothing that is written again. */
static inline void weft__op_io(weft_op *op, enum weft_opcode code, weft_desc *desc, void *buf, size_t len)
{
    op->code = (uint8_t)code;
    op->flags = 0;
    op->state = WEFT_OP_IDLE;
    op->desc = desc;
    op->desc2 = NULL;
    op->io.buf = buf;
    op->io.len = len;
    op->io.offset = -1;
    op->io.flags = 0;
}

#endif
