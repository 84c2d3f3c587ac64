/* A whole program, unmodified, in the simulator: weft_main with an echo server of one lane a connection and its
 * clients, sleeping fibers, cancellation and deadlines, in every mode. The same seed gives the same hash. */
#include <errno.h>

#include <weft/sim.h>
#include <weft/weft.h>

#include "test.h"

enum { CLIENTS = 5, ROUNDS = 3, MESSAGE = 700, FILE_BYTES = 1000 };

static char address[64];

static int session(void *arg)
{
    weft_id conn = *(weft_id *)arg;
    char buf[512];

    for (;;) {
        ssize_t n = weft_read(conn, buf, sizeof buf, WEFT_NEVER);

        if (n <= 0)
            return (int)n;
        int r = weft_write_all(conn, buf, (size_t)n, NULL, WEFT_NEVER);
        if (r < 0)
            return r;
    }
}

static int serve(void *arg) { return weft_accept_each(*(weft_id *)arg, session, NULL); }

static int talk(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    unsigned char out[MESSAGE], in[MESSAGE];
    weft_id sock;

    CHECK_OK(weft_connect(&sock, address, WEFT_NEVER));
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t done;

        for (size_t i = 0; i < sizeof out; i++)
            out[i] = (unsigned char)(seed * 31 + round * 7 + i);
        CHECK_OK(weft_write_all(sock, out, sizeof out, &done, WEFT_NEVER));
        CHECK_OK(weft_read_all(sock, in, sizeof in, &done, WEFT_NEVER));
        CHECK_EQ(done, sizeof in);
        CHECK(memcmp(out, in, sizeof in) == 0);
        CHECK_EQ(weft_sleep(weft_after((int64_t)(1 + seed) * WEFT_SECOND)), 0);
    }
    CHECK_OK(weft_close(sock));
    return 0;
}

/* A file in pieces, whatever of it is in memory; a sibling that is cancelled in the middle. */
static int reads_file(void *arg)
{
    unsigned char piece[90];
    uint64_t at = 0;
    ssize_t n;

    while ((n = weft_pread(*(weft_id *)arg, piece, sizeof piece, at, WEFT_NEVER)) > 0)
        for (ssize_t i = 0; i < n; i++, at++)
            CHECK_EQ(piece[i], at % 251);
    CHECK(n == -ECANCELED || at == FILE_BYTES);
    return (int)n;
}

static int files(void *arg)
{
    weft_id file, fiber[3];
    int result;

    (void)arg;
    CHECK_OK(weft_open(&file, "/data", WEFT_OPEN_READ, 0, WEFT_NEVER));
    for (unsigned i = 0; i < 3; i++)
        CHECK_OK(weft_spawn(&fiber[i], reads_file, &file));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_cancel(fiber[1]));
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(weft_join(fiber[i], &result, WEFT_NEVER));
        CHECK(result == 0 || (i == 1 && result == -ECANCELED));
    }
    CHECK_OK(weft_close(file));
    CHECK_EQ(weft_pread(file, &result, 1, 0, WEFT_NEVER), -EBADF);
    return 0;
}

/* A reader whose peer says nothing: its deadline of an hour passes in no time. */
static int bored(void *arg)
{
    const int64_t start = weft_now();
    weft_id sock;
    char byte;

    (void)arg;
    CHECK_OK(weft_connect(&sock, address, WEFT_NEVER));
    CHECK_EQ(weft_read(sock, &byte, 1, weft_after(3600 * WEFT_SECOND)), -ETIMEDOUT);
    CHECK(weft_now() - start >= 3600 * WEFT_SECOND);
    CHECK(weft_now() - start < 3601 * WEFT_SECOND);
    CHECK_OK(weft_close(sock));
    return 0;
}

static int start(int argc, char **argv)
{
    weft_id listener, accepting, lane[CLIENTS + 2];
    unsigned char data[FILE_BYTES];
    weft_addr at;
    int result;

    (void)argc, (void)argv;
    for (unsigned i = 0; i < FILE_BYTES; i++)
        data[i] = (unsigned char)(i % 251);
    CHECK_OK(weft_sim_file("/data", data, sizeof data));
    CHECK_OK(weft_listen(&listener, "127.0.0.1:0", NULL));
    CHECK_OK(weft_local_addr(listener, &at));
    weft_addr_format(&at, address, sizeof address);
    CHECK_OK(weft_spawn(&accepting, serve, &listener));
    for (unsigned i = 0; i < CLIENTS; i++)
        CHECK_OK(weft_lane_spawn_with(&lane[i], talk, &i, .copy = sizeof i));
    CHECK_OK(weft_lane_spawn(&lane[CLIENTS], bored, NULL));
    CHECK_OK(weft_lane_spawn(&lane[CLIENTS + 1], files, NULL));
    for (unsigned i = 0; i < CLIENTS + 2; i++) {
        CHECK_OK(weft_lane_join(lane[i], &result, WEFT_NEVER));
        CHECK_EQ(result, 0);
    }
    CHECK_OK(weft_cancel(accepting));
    CHECK_OK(weft_join(accepting, &result, WEFT_NEVER));
    CHECK_EQ(result, 0);
    return 0;
}

static int program(void *arg)
{
    const weft_options *opt = arg;

    return weft_main(start, 0, NULL, opt);
}

static weft_sim_result run(uint64_t seed, enum weft_mode mode)
{
    weft_options opt = {.mode = mode, .workers = 3};
    weft_sim_result r;

    CHECK_EQ(weft_sim_run(&(weft_sim_options){.seed = seed}, program, &opt, &r), 0);
    CHECK_EQ(r.threads_left, 0);
    CHECK_EQ(r.handles_left, 0);
    CHECK_EQ(r.ops_left, 0);
    return r;
}

int main(int argc, char **argv)
{
    const uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 0) : 100;
    static const enum weft_mode modes[] = {WEFT_SHARED, WEFT_SINGLE_IO, WEFT_PER_CORE};

#ifdef WEFT_BIND_DIRECT
    SKIP("the environment is bound directly");
#endif
    for (uint64_t seed = 1; test_again(seed - 1, seeds); seed++)
        for (unsigned m = 0; m < 3; m++) {
            const weft_sim_result r = run(seed, modes[m]);

            if (seed <= 5)
                CHECK_EQ(run(seed, modes[m]).hash, r.hash);
        }
    return 0;
}
