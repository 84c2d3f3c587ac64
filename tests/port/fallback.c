/* Fallback is per operation: what a driver turns out unable to do goes the next way, is remembered where that proves
 * the point, and only there. The driver here is the readiness driver pretending to have a ring that refuses what the
 * test says. */
#include "bed.h"

#include <fcntl.h>

#include "port/at_once.h"

static weft_port_driver pretender;
static const weft_port_driver *real;
static int64_t refusal[WEFT_OP_COUNT]; /* 0: the ring can do it */
static unsigned ring_tries;

static enum weft_path pretended_path(weft_port *port, enum weft_opcode code)
{
    enum weft_path path = real->path(port, code);
    return path == WEFT_PATH_READY || path == WEFT_PATH_POOL || weft__at_once_how(code) ? WEFT_PATH_RING : path;
}

static void pretended_submit(weft_port *port, weft_op *op)
{
    if (op->path == WEFT_PATH_RING) {
        ring_tries++;
        if (refusal[op->code])
            weft_port_refuse(port, op, refusal[op->code]);
        else
            weft_port_complete(port, op, 1000);
        return;
    }
    real->submit(port, op);
}

static void open_pretender(bed *b, weft__pool *pool)
{
    static weft__port_owner owner;
    real = weft_driver_epoll();
    pretender = *real;
    pretender.path = pretended_path;
    pretender.submit = pretended_submit;
    owner = b->port.owner;
    ring_tries = 0;
    weft__port_fini(&b->port);
    CHECK_OK(weft__port_init(&b->port, b->env, &pretender, &(weft_port_config){.entries = 8}, &owner, pool));
}

static void ring_then_readiness(bed *b)
{
    weft_desc x;
    int raw;
    char c;
    job r = {0};
    open_pretender(b, b->pool);
    memset(refusal, 0, sizeof refusal);
    bed_pair(&x, &raw, AF_UNIX);
    weft_op_recv(&r.op, &x, &c, 1);
    CHECK_EQ(bed_run(b, &r), 1000); /* the ring does it */
    CHECK_EQ(r.op.path, WEFT_PATH_RING);
    refusal[WEFT_OP_RECV] = -EINVAL;
    bed_start(b, &r);
    bed_settle(b);
    CHECK_EQ(r.ended, 0); /* waits for readiness now */
    CHECK_EQ(r.op.path, WEFT_PATH_READY);
    CHECK_EQ(send(raw, "x", 1, 0), 1);
    CHECK_EQ(bed_await(b, &r), 1);
    CHECK_EQ(ring_tries, 2);
    /* Proven: the ring is not asked again, and only for this op. */
    CHECK_EQ(send(raw, "x", 1, 0), 1);
    CHECK_EQ(bed_run(b, &r), 1);
    CHECK_EQ(ring_tries, 2);
    const char *why;
    CHECK_EQ(weft_port_path(&b->port, WEFT_OP_RECV, &why), WEFT_PATH_READY);
    CHECK(*why);
    CHECK_EQ(weft_port_path(&b->port, WEFT_OP_SEND, NULL), WEFT_PATH_RING);
    weft_op_send(&r.op, &x, "y", 1);
    CHECK_EQ(bed_run(b, &r), 1000);
    CHECK_EQ(ring_tries, 3);
    close(raw);
    bed_shut(b, &x);
}

static void ring_then_pool(bed *b)
{
    job j = {0};
    weft_stat st;
    open_pretender(b, b->pool);
    memset(refusal, 0, sizeof refusal);
    refusal[WEFT_OP_STAT] = -EOPNOTSUPP;
    weft_op_stat(&j.op, NULL, "/", &st, 0);
    CHECK_EQ(bed_run(b, &j), 0);
    CHECK_EQ(j.op.path, WEFT_PATH_POOL);
    CHECK_EQ(bed_run(b, &j), 0);
    CHECK_EQ(ring_tries, 1);
    CHECK_EQ(weft_port_path(&b->port, WEFT_OP_STAT, NULL), WEFT_PATH_POOL);
}

/* An error that the other path gives as well is the op's own fault: nothing is learned from it. */
static void own_faults_prove_nothing(bed *b)
{
    weft_desc x;
    int raw;
    job a = {0};
    open_pretender(b, b->pool);
    memset(refusal, 0, sizeof refusal);
    refusal[WEFT_OP_ACCEPT] = -EINVAL;
    bed_pair(&x, &raw, AF_UNIX);
    for (unsigned i = 1; i < 4; i++) {
        weft_op_accept(&a.op, &x, NULL);
        CHECK_EQ(bed_run(b, &a), -EINVAL); /* it does not listen */
        CHECK_EQ(ring_tries, i);
    }
    close(raw);
    bed_shut(b, &x);
}

static void nowhere_left_to_go(bed *b)
{
    job j = {0};
    weft_stat st;
    open_pretender(b, NULL);
    memset(refusal, 0, sizeof refusal);
    refusal[WEFT_OP_STAT] = -EPERM;
    weft_op_stat(&j.op, NULL, "/", &st, 0);
    CHECK_EQ(bed_run(b, &j), -EPERM); /* no pool: the refusal stands */
    refusal[WEFT_OP_STAT] = 0;
    j.op.flags |= WEFT_OP_OFFLOAD;
    CHECK_EQ(bed_run(b, &j), -ENOTSUP);
}

/* A file of four bytes, under a descriptor of this kind. */
static void four_bytes(weft_desc *f, enum weft_desc_kind kind)
{
    FILE *file = tmpfile();
    CHECK(file && fputs("abcd", file) >= 0 && fflush(file) == 0);
    weft__desc_init(f, fcntl(fileno(file), F_DUPFD_CLOEXEC, 3), kind);
    CHECK(lseek((int)f->handle, 0, SEEK_SET) == 0);
    fclose(file);
}

/* Files go past readiness to the pool, on any driver that would wait for it. */
static void files_are_never_waited_for(bed *b)
{
    weft_desc f;
    char in[4];
    job r = {0};
    struct iovec v = {in, sizeof in};
    four_bytes(&f, WEFT_DESC_FILE);
    weft_op_readv(&r.op, &f, &v, 1);
    CHECK_EQ(bed_run(b, &r), 4);
    CHECK(r.op.path == WEFT_PATH_POOL || r.op.path == WEFT_PATH_RING);
    weft_op_recv(&r.op, &f, in, sizeof in);
    CHECK_EQ(bed_run(b, &r), is_uring(b) ? r.op.result : 0); /* the file's end; a ring may say that it is no socket */
    bed_shut(b, &f);
}

/* A thing of unknown kind that turns out to be a file. */
static void files_in_disguise(bed *b)
{
    weft_desc f;
    char in[4];
    job r = {0};
    struct iovec v = {in, sizeof in};
    four_bytes(&f, WEFT_DESC_OTHER);
    weft_op_readv(&r.op, &f, &v, 1);
    CHECK_EQ(bed_run(b, &r), 4);
    CHECK_EQ(bed_run(b, &r), 0);
    weft_op_poll(&r.op, &f, WEFT_READABLE);
    CHECK_EQ(bed_run(b, &r), WEFT_READABLE); /* always */
    bed_shut(b, &f);
}

static const bed_case cases[] = {
    CASE(ring_then_readiness),
    CASE(ring_then_pool),
    CASE(own_faults_prove_nothing),
    CASE(nowhere_left_to_go),
    CASE(files_are_never_waited_for),
    CASE(files_in_disguise),
};
BED_MAIN(cases)
