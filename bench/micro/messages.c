/* What messages and ties cost: to itself, there and back and one way on one worker and across workers, calls, names,
 * monitors. Prints the median and the spread of several rounds in ns, and for one-way messages across workers how
 * many wake-ups a message took. */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { ROUNDS = 9, MANY = 100000 };

static double sample[ROUNDS];

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what)
{
    qsort(sample, ROUNDS, sizeof sample[0], by_value);
    printf("%-52s %9.1f ns  [%.1f, %.1f]\n", what, sample[ROUNDS / 2], sample[1], sample[ROUNDS - 2]);
    fflush(stdout);
}

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", weft_strerror(r));
        exit(1);
    }
}

static void take(void)
{
    weft_message *m;
    must(weft_receive(&m, WEFT_NEVER));
    must(weft_msg_free(m));
}

static int started;

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* On this worker, or on the other: then this one does not let go until the lane has begun there (the second newborn
 * wakes a thief, who takes the first). */
static weft_id lane_at(int (*fn)(void *), int pinned)
{
    weft_id l, second;
    __atomic_store_n(&started, 0, __ATOMIC_RELEASE);
    must(weft_lane_spawn_with(&l, fn, NULL, .pinned = pinned));
    if (pinned)
        return l;
    must(weft_lane_spawn(&second, nothing, NULL));
    while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE))
        ;
    must(weft_lane_join(second, NULL, WEFT_NEVER));
    return l;
}

/* Sends each message back, by the same block; tag 1 ends it. */
static int echo(void *arg)
{
    weft_message *m;
    (void)arg;
    __atomic_store_n(&started, 1, __ATOMIC_RELEASE);
    for (;;) {
        must(weft_receive(&m, WEFT_NEVER));
        if (m->tag == 1)
            return weft_msg_free(m);
        if (m->reply.gen) {
            must(weft_reply(m, m->data, m->size));
            must(weft_msg_free(m));
        } else {
            must(weft_send_msg(m->from, m, NULL));
        }
    }
}

/* Takes what comes until tag 1, which it answers. */
static int sink(void *arg)
{
    weft_message *m;
    (void)arg;
    __atomic_store_n(&started, 1, __ATOMIC_RELEASE);
    for (;;) {
        must(weft_receive(&m, WEFT_NEVER));
        if (m->tag == 1)
            break;
        must(weft_msg_free(m));
    }
    must(weft_send(m->from, NULL, 0, NULL));
    return weft_msg_free(m);
}

static void to_itself(size_t size)
{
    static char text[4096];
    char what[64];
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weft_now();
        for (long i = 0; i < MANY; i++) {
            must(weft_send(weft_lane_self(), text, size, NULL));
            take();
        }
        sample[round] = (double)(weft_now() - begin) / MANY;
    }
    snprintf(what, sizeof what, "to itself, copied, %zu bytes", size);
    report(what);
}

static void there_and_back(int pinned, int call)
{
    const char *where = pinned ? "one worker" : "two workers";
    char what[64];
    weft_id l = lane_at(echo, pinned);
    long n = pinned ? MANY : MANY / 10;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weft_now();
        for (long i = 0; i < n; i++) {
            weft_message *m;
            if (call) {
                must(weft_call(l, "request", 8, &m, WEFT_NEVER));
                must(weft_msg_free(m));
            } else {
                must(weft_send(l, "message", 8, NULL));
                take();
            }
        }
        sample[round] = (double)(weft_now() - begin) / (double)n;
    }
    must(weft_send_with(l, NULL, 0, .tag = 1));
    must(weft_lane_join(l, NULL, WEFT_NEVER));
    snprintf(what, sizeof what, "%s, %s", call ? "call and reply" : "there and back", where);
    report(what);
}

static void one_way(int pinned)
{
    weft_stats before, after;
    char what[64];
    must(weft_runtime_stats(weft_current(), &before));
    for (int round = 0; round < ROUNDS; round++) {
        weft_id l = lane_at(sink, pinned);
        int64_t begin = weft_now();
        for (long i = 0; i < MANY; i++)
            must(weft_send(l, "message", 8, NULL));
        must(weft_send_with(l, NULL, 0, .tag = 1));
        take();
        sample[round] = (double)(weft_now() - begin) / MANY;
        must(weft_lane_join(l, NULL, WEFT_NEVER));
    }
    must(weft_runtime_stats(weft_current(), &after));
    snprintf(what, sizeof what, "one way, %s", pinned ? "one worker" : "two workers");
    report(what);
    printf("%-52s %9.4f parks a message\n", "", (double)(after.parks - before.parks) / (ROUNDS * (double)MANY));
}

static void lanes(int monitored)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weft_now();
        for (long i = 0; i < MANY / 4; i++) {
            weft_id l, ref;
            must(weft_lane_spawn_with(&l, nothing, NULL, .pinned = 1, .monitor = monitored ? &ref : NULL));
            if (monitored)
                take();
            must(weft_lane_join(l, NULL, WEFT_NEVER));
        }
        sample[round] = (double)(weft_now() - begin) / (MANY / 4);
    }
    report(monitored ? "spawn, end, DOWN, join of a monitored lane" : "spawn, end, join of a lane");
}

static void names(void)
{
    weft_id l;
    must(weft_register("somebody"));
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = weft_now();
        for (long i = 0; i < MANY; i++)
            must(weft_whereis("somebody", &l));
        sample[round] = (double)(weft_now() - begin) / MANY;
    }
    report("looking up a name");
}

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    to_itself(8);
    to_itself(1000);
    there_and_back(1, 0);
    there_and_back(0, 0);
    there_and_back(1, 1);
    there_and_back(0, 1);
    one_way(1);
    one_way(0);
    lanes(0);
    lanes(1);
    names();
    return 0;
}

int main(int argc, char **argv)
{
    weft_options opt = {.workers = 2};
    return weft_main(start, argc, argv, &opt);
}
