/* Reads that are asked to end while the port has more of them than its queue holds: some it can end on the spot, in the
 * middle of the call or the message that asks, of others the kernel has to say so. Each answers the same, and nobody
 * runs or ends before its turn. */
#include "cases.h"

enum { READERS = 12, ENTRIES = 4 };

typedef struct reader {
    weft_id fiber, sock, peer;
    int64_t deadline;
    ssize_t result;
    int began;
} reader;

static int reads(void *arg)
{
    reader *r = arg;
    char byte;
    r->began = 1;
    r->result = weft_read(r->sock, &byte, 1, r->deadline);
    return 0;
}

static void wait_for_all(reader r[READERS])
{
    for (int i = 0; i < READERS; i++)
        while (!r[i].began)
            CHECK_OK(weft_yield());
}

static void begin(reader r[READERS], int64_t deadline)
{
    for (int i = 0; i < READERS; i++) {
        r[i] = (reader){.deadline = deadline, .result = 1};
        connect_pair(&r[i].sock, &r[i].peer);
    }
    for (int i = 0; i < READERS; i++)
        CHECK_OK(weft_spawn(&r[i].fiber, reads, &r[i]));
    wait_for_all(r);
}

static void end(reader r[READERS], ssize_t expected)
{
    for (int i = 0; i < READERS; i++) {
        CHECK_OK(weft_join(r[i].fiber, NULL, SOON));
        CHECK_EQ(r[i].result, expected);
    }
}

static int by_their_deadline(void *arg)
{
    (void)arg;
    reader r[READERS];
    begin(r, weft_after(WEFT_MILLISECOND));
    end(r, -ETIMEDOUT);
    begin(r, WEFT_NOW);
    end(r, -ETIMEDOUT);
    return 0;
}

static int by_a_cancel(void *arg)
{
    (void)arg;
    reader r[READERS];
    begin(r, SOON);
    for (int i = 0; i < READERS; i++)
        CHECK_OK(weft_cancel(r[i].fiber));
    end(r, -ECANCELED);
    return 0;
}

static int by_a_close(void *arg)
{
    (void)arg;
    reader r[READERS];
    begin(r, SOON);
    for (int i = READERS; i-- > 0;) /* the last ones stand in line still */
        CHECK_OK(weft_close(r[i].sock));
    end(r, -ECANCELED);
    return 0;
}

/* And where nobody asks, all of them get into the queue in time. */
static int by_what_they_wait_for(void *arg)
{
    (void)arg;
    reader r[READERS];
    begin(r, SOON);
    for (int i = 0; i < READERS; i++)
        CHECK_OK(weft_write_all(r[i].peer, "x", 1, NULL, SOON));
    end(r, 1);
    return 0;
}

static int doomed(void *arg)
{
    (void)arg;
    reader r[READERS];
    begin(r, WEFT_NEVER);
    CHECK_OK(weft_kill(weft_lane_self()));
    for (;;)
        weft_yield(); /* one of these it does not come back from */
}

static int by_a_kill(void *arg)
{
    (void)arg;
    weft_id lane;
    int result = 1;
    CHECK_OK(weft_lane_spawn(&lane, doomed, NULL));
    CHECK_OK(weft_lane_join(lane, &result, SOON));
    CHECK_EQ(result, -ECANCELED);
    return 0;
}

static const test_case cases[] = {
    CASE(by_their_deadline), CASE(by_a_cancel), CASE(by_a_close), CASE(by_what_they_wait_for), CASE(by_a_kill),
};

int main(int argc, char **argv)
{
    const weft_options opt = {.port_config = {.entries = ENTRIES}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc < 2 || strcmp(argv[1], cases[i].name) == 0)
            run_case(&cases[i], &opt);
    return 0;
}
