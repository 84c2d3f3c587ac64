/* Conformance: accepting with no descriptors left. In a program of its own, as it lowers the process's limit. */
#include "bed.h"

#include <fcntl.h>
#include <sys/resource.h>

static unsigned got;
static int handles[64];

static void keep(weft_op *op, int64_t result, weft_buffer *buffer)
{
    (void)op;
    CHECK(result >= 0 && !buffer && got < 64);
    handles[got++] = (int)result;
}

static void multishot_accept_ends_with_the_reason(bed *b)
{
    weft_desc l;
    weft_addr addr;
    struct rlimit old, low;
    bed_listener(b, &l, &addr, AF_INET);
    int client[8];
    for (int i = 0; i < 8; i++)
        client[i] = bed_raw_connect(&addr);
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    int top = dup(0);
    CHECK(top >= 0);
    close(top);
    low = old;
    low.rlim_cur = (rlim_t)top + 3; /* three more */
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    job a = {0};
    got = 0;
    weft_op_accept_multi(&a.op, &l, keep);
    bed_start(b, &a);
    CHECK_EQ(bed_await(b, &a), -EMFILE);
    CHECK_EQ(got, 3);
    job one = {0};
    weft_op_accept(&one.op, &l, NULL);
    CHECK_EQ(bed_run(b, &one), -EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    /* The others are still there. */
    weft_op_accept_multi(&a.op, &l, keep);
    bed_start(b, &a);
    int64_t limit = bed_after(BED_LIMIT);
    while (got < 8) {
        CHECK(bed_now() < limit);
        weft__port_enter(&b->port, limit);
    }
    bed_cancel(b, &a);
    CHECK_EQ(bed_await(b, &a), -ECANCELED);
    for (int i = 0; i < 8; i++) {
        close(client[i]);
        close(handles[i]);
    }
    bed_shut(b, &l);
}

static const bed_case cases[] = {CASE(multishot_accept_ends_with_the_reason)};
BED_MAIN(cases)
