/* Ops of files that the kernel can end without waiting for a disk or for somebody else. */
#ifndef WEFT_PORT_AT_ONCE_H
#define WEFT_PORT_AT_ONCE_H

#include <weft/op.h>

/* Whether there are any of that code on this system at all, and how they are carried
 * out in a few words (NULL: none). */
const char *weft__at_once_how(enum weft_opcode code);
/* Tries an OPEN, STAT or PREAD: what weft__op_run_blocking would give, or -EAGAIN: it would have to wait, or nobody can
 * tell whether it would. -EOPNOTSUPP: nobody can, however often it is asked. Then nothing has happened. Any thread. */
int64_t weft__at_once(weft_op *op);
/* The same as the slot of a driver's table. */
int64_t weft__file_at_once(weft_port *port, weft_op *op);
/* Whether that byte of an open file is in the kernel's memory, as far as it tells: a guess, for it may leave at any
 * time. Any thread. */
int weft__at_once_has(int fd, uint64_t offset);
/* A thread that may wait tells what a later STAT of a descriptor like this one may rely on. Any thread. */
void weft__at_once_learn(int fd);

#endif
