/* Checked builds abort, with the op's name, when memory in flight is given back. Broken on purpose here, in a child
 * each time. */
#include "bed.h"
#include "child.h"
#include "port/inflight.h"

typedef struct scene {
    bed b;
    weft_desc x;
    int raw;
    job j;
    char buf[256], far[64];
    struct iovec v[2];
    weft_addr peer;
} scene;
static scene s;

static void set_up(void)
{
    bed_open(&s.b, NULL);
    bed_pair(&s.x, &s.raw, AF_INET);
    s.j.op.submitter = NULL;
}

static int acts(void *fn)
{
    set_up();
    (*(void (**)(void))fn)();
    return 0;
}

/* Runs fn in a child, which must abort and say that, or end well where `says` is NULL. */
static void child(void (*fn)(void), const char *says)
{
    char text[2048];
    const int status = child_says(acts, &fn, text, sizeof text);

    if (!says) {
        if (!ended_well(status))
            TEST_FAIL("a child that did nothing wrong ended with %x: %s", status, text);
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        SKIP("%s", text);
    if (ended_well(status))
        TEST_FAIL("nobody noticed: \"%s\" was expected", says);
    if (!strstr(text, says))
        TEST_FAIL("\"%s\" is not in: %s", says, text);
}

static void receive(void)
{
    weft_op_recv(&s.j.op, &s.x, s.buf, sizeof s.buf);
    s.j.op.submitter = "the reader";
    bed_start(&s.b, &s.j);
}

static void buffer_given_back(void)
{
    receive();
    weft__inflight_check(s.buf + 255, 1, "the last byte");
}

static void op_given_back(void)
{
    receive();
    weft__inflight_check(&s.j, 1 + sizeof s.j.op, "a frame");
}

static void vector_given_back(void)
{
    s.v[0] = (struct iovec){s.buf, 10};
    s.v[1] = (struct iovec){s.far, 10};
    weft_op_readv(&s.j.op, &s.x, s.v, 2);
    bed_start(&s.b, &s.j);
    weft__inflight_check(s.far, 64, "stack of fiber 7");
}

static void vector_array_given_back(void)
{
    s.v[0] = (struct iovec){s.buf, 10};
    weft_op_readv(&s.j.op, &s.x, s.v, 1);
    bed_start(&s.b, &s.j);
    weft__inflight_check(s.v, 1, "vat page");
}

static void address_given_back(void)
{
    weft_addr a;
    weft_desc l;
    bed_listener(&s.b, &l, &a, AF_INET);
    weft_op_accept(&s.j.op, &l, &s.peer);
    bed_start(&s.b, &s.j);
    weft__inflight_check(&s.peer, sizeof s.peer, "stack");
}

/* Submitted elsewhere and not yet taken in: in flight all the same. */
static void remote_op_given_back(void)
{
    weft_op_send(&s.j.op, &s.x, s.buf, 3);
    weft__port_start_remote(&s.b.port, &s.j.op);
    weft__inflight_check(s.buf, 1, "buffer");
}

/* A chain's later ops count from the start. */
static void chained_op_given_back(void)
{
    static job first;
    weft_op_recv(&first.op, &s.x, s.far, 1);
    weft_op_recv(&s.j.op, &s.x, s.buf, 1);
    weft_op_then(&first.op, &s.j.op, 0);
    weft__port_start(&s.b.port, &first.op);
    weft__inflight_check(s.buf, 1, "buffer");
}

static void nothing_wrong(void)
{
    receive();
    weft__inflight_check(s.buf + 256, 16, "the neighbour");
    weft__inflight_check(s.far, sizeof s.far, "something else");
    weft__inflight_check(s.buf, 0, "nothing");
    bed_cancel(&s.b, &s.j);
    bed_await(&s.b, &s.j);
    weft__inflight_check(s.buf, sizeof s.buf, "what has ended");
    weft__inflight_check(&s, sizeof s, "all of it");
    CHECK_EQ(weft__inflight_count(), 0);
    close(s.raw);
    bed_shut(&s.b, &s.x);
    bed_close(&s.b);
}

int main(void)
{
    set_up(); /* skips here where there is no such port */
    close(s.raw);
    bed_shut(&s.b, &s.x);
    bed_close(&s.b);
    child(nothing_wrong, NULL);
    child(buffer_given_back, "the last byte");
    child(buffer_given_back, "of op recv submitted by the reader");
    child(op_given_back, "overlaps the op");
    child(vector_given_back, "stack of fiber 7");
    child(vector_given_back, "of op readv");
    child(vector_array_given_back, "vector array");
    child(address_given_back, "of op accept");
    child(remote_op_given_back, "of op send");
    child(chained_op_given_back, "of op recv");
    return 0;
}
