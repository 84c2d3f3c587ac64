/* Buffers that a port lends: their sizes and numbers where the configuration says something odd, and readers on
 * another worker than the port's, whose ends give back what they kept. */
#include <pthread.h>
#include <sched.h>

#include "cases.h"

static int get(const int *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static void put(int *p, int v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

/* Everything sent comes in order, whatever room a buffer has. */
static int every_byte(size_t first, size_t then)
{
    weft_id a, b;
    weft_buffer buffer;
    unsigned char out[512], in[512];
    size_t got = 0;
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (unsigned char)(i * 7);
    connect_pair(&a, &b);
    CHECK_ERR(weft_read_buffer(b, &buffer, WEFT_NOW), -ETIMEDOUT); /* armed: what comes is kept until it is asked for */
    CHECK_OK(weft_write_all(a, out, first, NULL, SOON));
    CHECK_OK(weft_sleep(weft_after(5 * WEFT_MILLISECOND)));
    CHECK_OK(weft_write_all(a, out + first, then, NULL, SOON));
    CHECK_OK(weft_close(a));
    CHECK_OK(weft_sleep(weft_after(5 * WEFT_MILLISECOND)));
    while (weft_read_buffer(b, &buffer, SOON) > 0) {
        CHECK(got + buffer.len <= sizeof in);
        CHECK(buffer.len <= 128); /* 100, rounded up as ports do */
        memcpy(in + got, buffer.data, buffer.len);
        got += buffer.len;
        weft_port_release(&buffer);
    }
    CHECK_EQ(got, first + then);
    CHECK(memcmp(in, out, got) == 0);
    return 0;
}

static int small_pieces_stay_in_their_buffers(void *arg)
{
    (void)arg;
    return every_byte(128, 20) || every_byte(148, 1) || every_byte(1, 127) || every_byte(1, 148);
}

/* More buffers than any table had been made for are taken, kept, and given back by the lane's end. */
static int keeps(void *arg)
{
    weft_id a, b;
    weft_buffer buffer;
    (void)arg;
    connect_pair(&a, &b);
    char piece[64];
    memset(piece, 'k', sizeof piece);
    for (int i = 0; i < 120; i++) {
        CHECK_OK(weft_write_all(a, piece, sizeof piece, NULL, SOON));
        CHECK(weft_read_buffer(b, &buffer, SOON) > 0);
    }
    return 0;
}

static int many_are_kept(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        weft_id lane;
        CHECK_OK(weft_lane_spawn(&lane, keeps, NULL));
        CHECK_OK(weft_lane_join(lane, NULL, SOON));
    }
    return 0;
}

/* Nobody reads meanwhile: what the record has no room for goes to a ring as large as the number of buffers. */
static int more_than_the_record_holds(void *arg)
{
    (void)arg;
    weft_id a, b;
    weft_buffer buffer;
    size_t sent = 0, got = 0;
    static char piece[16384];
    connect_pair(&a, &b);
    CHECK_ERR(weft_read_buffer(b, &buffer, WEFT_NOW), -ETIMEDOUT);
    for (int i = 0; i < 8; i++, sent += sizeof piece)
        CHECK_OK(weft_write_all(a, piece, sizeof piece, NULL, SOON));
    CHECK_OK(weft_close(a));
    CHECK_OK(weft_sleep(weft_after(5 * WEFT_MILLISECOND)));
    while (weft_read_buffer(b, &buffer, SOON) > 0) {
        got += buffer.len;
        weft_port_release(&buffer);
    }
    CHECK_EQ(got, sent);
    return 0;
}

/* ---- on another worker ---- */

enum { BUFFERS = 8, SIZE = 256, CANDIDATES = 4 };

static int begun, given, over;
static weft_id far, gift;

static int reads_and_keeps(void)
{
    far = weft_lane_self();
    put(&begun, 2);
    while (!get(&given))
        CHECK_OK(weft_sleep(weft_after(100 * WEFT_MICROSECOND)));
    weft_buffer buffer;
    size_t got = 0;
    while (got < BUFFERS / 2 * SIZE) {
        ssize_t n = weft_read_buffer(gift, &buffer, SOON);
        CHECK(n > 0);
        got += (size_t)n;
    }
    return 0;
}

/* The first to run is the reader. */
static int candidate(void *arg)
{
    (void)arg;
    int none = 0;
    if (__atomic_compare_exchange_n(&begun, &none, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        CHECK_EQ(reads_and_keeps(), 0);
    __atomic_add_fetch(&over, 1, __ATOMIC_ACQ_REL);
    return 0;
}

/* A thread of no runtime: what it spawns goes to all workers in turn, or to whoever has nothing to do. */
static void *spawns(void *rt)
{
    for (unsigned i = 0; i < CANDIDATES; i++) {
        weft_lane_options opt = {.detached = 1};
        CHECK_OK(weft_lane_spawn_in(rt, NULL, candidate, NULL, &opt));
    }
    return NULL;
}

/* Until one of them runs; this worker is kept busy, so it is on another. */
static void wait_for_reader(void)
{
    pthread_t t;
    put(&begun, 0);
    put(&given, 0);
    put(&over, 0);
    CHECK_EQ(pthread_create(&t, NULL, spawns, weft_current()), 0);
    CHECK_EQ(pthread_join(t, NULL), 0);
    while (get(&begun) < 2)
        sched_yield();
}

static int echo_one(weft_id a, weft_id b, char c)
{
    weft_buffer buffer;
    CHECK_EQ(weft_write(a, &c, 1, SOON), 1);
    CHECK_EQ(weft_read_buffer(b, &buffer, SOON), 1);
    CHECK_EQ(*(char *)buffer.data, c);
    weft_port_release(&buffer);
    return 0;
}

/* A port with few buffers, half of which a lane of the other worker takes and keeps, again and again. */
static int kept_by_a_reader_from_afar(void *arg)
{
    (void)arg;
    static char bytes[BUFFERS / 2 * SIZE];
    weft_id c, d;
    connect_pair(&c, &d); /* not read yet: the first reader of this port's buffers is one from afar */
    for (int round = 0; round < 4; round++) {
        weft_id a, b, shared;
        connect_pair(&a, &b);
        CHECK_OK(weft_dup(b, &shared));
        wait_for_reader();
        CHECK_OK(weft_give(shared, far, &gift, SOON));
        CHECK_OK(weft_write_all(a, bytes, sizeof bytes, NULL, SOON));
        put(&given, 1);
        while (get(&over) < CANDIDATES)
            CHECK_OK(weft_sleep(weft_after(100 * WEFT_MICROSECOND)));
        CHECK_OK(weft_close(a));
        CHECK_OK(weft_close(b));
    }
    return echo_one(c, d, 'x'); /* there is a buffer for it */
}

int main(int argc, char **argv)
{
    static const struct {
        test_case test;
        unsigned size, count;
    } cases[] = {
        {CASE(small_pieces_stay_in_their_buffers), 100, 0},
        {CASE(many_are_kept), 64, 100},
        {CASE(more_than_the_record_holds), 64, 65536},
        {CASE(kept_by_a_reader_from_afar), SIZE, BUFFERS},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_options opt = {.workers = 2, .blocked_ns = -1};
        opt.port_config.buffer_size = cases[i].size;
        opt.port_config.buffer_count = cases[i].count;
        if (argc < 2 || strcmp(argv[1], cases[i].test.name) == 0)
            run_case(&cases[i].test, &opt);
    }
    return 0;
}
