/* The list of all ops in flight in this process, for checked builds. Any thread; one spin lock.
 *
 * Ranges are not copied: they are read from the op when asked, as an op in flight may not be changed by anybody. */
#include "port/inflight.h"

typedef int weft__inflight_empty_unit; /* an ordinary build has nothing here */

#ifdef WEFT_CHECKED

#include <string.h>

#include "base/check.h"
#include "base/spin.h"

static weft__spin lock;
static weft_op *ops;
static size_t count;

void weft__inflight_add(weft_op *op)
{
    weft__spin_lock(&lock);
    op->check_prev = NULL;
    op->check_next = ops;
    if (ops)
        ops->check_prev = op;
    ops = op;
    count++;
    weft__spin_unlock(&lock);
}

void weft__inflight_remove(weft_op *op)
{
    weft__spin_lock(&lock);
    if (op->check_prev)
        op->check_prev->check_next = op->check_next;
    else
        ops = op->check_next;
    if (op->check_next)
        op->check_next->check_prev = op->check_prev;
    count--;
    weft__spin_unlock(&lock);
}

size_t weft__inflight_count(void)
{
    weft__spin_lock(&lock);
    size_t n = count;
    weft__spin_unlock(&lock);
    return n;
}

typedef struct range {
    const void *p;
    size_t n;
    const char *what;
} range;

static int overlap(const void *a, size_t an, const void *b, size_t bn)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return an && bn && x < y + bn && y < x + an;
}

static range text(const char *path) { return (range){path, path ? strlen(path) + 1 : 0, "path"}; }

/* The op's `i`-th range, or one with `what` NULL after the last. */
static range range_of(const weft_op *op, uint32_t i)
{
    if (i == 0)
        return (range){op, sizeof *op, "op"};
    switch (op->code) {
    case WEFT_OP_RECV:
    case WEFT_OP_SEND:
    case WEFT_OP_PREAD:
    case WEFT_OP_PWRITE:
    case WEFT_OP_READDIR:
        if (i == 1)
            return (range){op->io.buf, op->io.len, "buffer"};
        break;
    case WEFT_OP_READV:
    case WEFT_OP_WRITEV:
        if (i == 1)
            return (range){op->vec.iov, op->vec.count * sizeof *op->vec.iov, "vector array"};
        if (i - 2 < op->vec.count)
            return (range){op->vec.iov[i - 2].iov_base, op->vec.iov[i - 2].iov_len, "vector"};
        break;
    case WEFT_OP_ACCEPT:
        if (i == 1 && op->accept.peer)
            return (range){op->accept.peer, sizeof *op->accept.peer, "address"};
        break;
    case WEFT_OP_CONNECT:
        if (i == 1)
            return (range){op->connect.addr, sizeof *op->connect.addr, "address"};
        break;
    case WEFT_OP_OPEN:
        if (i == 1)
            return text(op->open.path);
        break;
    case WEFT_OP_STAT:
        if (i == 1)
            return text(op->stat.path);
        if (i == 2)
            return (range){op->stat.out, sizeof *op->stat.out, "status"};
        break;
    default:
        break;
    }
    return (range){NULL, 0, NULL};
}

/* A report is written without malloc or stdio: it may come from anywhere. */
typedef struct line {
    char s[512];
    size_t n;
} line;

static void put(line *l, const char *s)
{
    while (*s && l->n < sizeof l->s)
        l->s[l->n++] = *s++;
}

static void put_hex(line *l, uintptr_t v)
{
    char digits[2 * sizeof v + 3];
    size_t i = sizeof digits - 1;
    digits[i] = 0;
    do
        digits[--i] = "0123456789abcdef"[v & 15];
    while (v >>= 4);
    digits[--i] = 'x';
    digits[--i] = '0';
    put(l, digits + i);
}

static void put_range(line *l, const void *p, size_t n)
{
    put(l, "[");
    put_hex(l, (uintptr_t)p);
    put(l, ", ");
    put_hex(l, (uintptr_t)p + n);
    put(l, ")");
}

static _Noreturn void report(const weft_op *op, range r, const void *p, size_t n, const char *what)
{
    line l = {.n = 0};
    put(&l, "memory in flight given back: ");
    put(&l, what ? what : "memory");
    put(&l, " ");
    put_range(&l, p, n);
    put(&l, " overlaps the ");
    put(&l, r.what);
    put(&l, " ");
    put_range(&l, r.p, r.n);
    put(&l, " of op ");
    put(&l, weft_op_name((enum weft_opcode)op->code));
    put(&l, " submitted by ");
    put(&l, op->submitter ? op->submitter : "an unnamed submitter");
    weft__panic_text(l.s, l.n);
}

void weft__inflight_check(const void *p, size_t n, const char *what)
{
    weft__spin_lock(&lock);
    for (weft_op *op = ops; op; op = op->check_next) {
        range r;
        for (uint32_t i = 0; (r = range_of(op, i)).what; i++)
            if (overlap(p, n, r.p, r.n)) {
                weft__spin_unlock(&lock); /* whoever prints may use ops */
                report(op, r, p, n, what);
            }
    }
    weft__spin_unlock(&lock);
}

#endif
