/* Calls that have their answer at once, in a loop: others get their turn, and the loop can be killed. */
#include <signal.h>
#include <weft/file.h>
#include <weft/signal.h>

#include "cases.h"

typedef struct looper {
    int (*call)(weft_id sock, weft_id other);
    const char *name;
} looper;

static int sends_nothing(weft_id sock, weft_id other)
{
    (void)other;
    return (int)weft_write(sock, "", 0, SOON);
}

static int reads_nothing(weft_id sock, weft_id other)
{
    char c;
    (void)other;
    return (int)weft_read(sock, &c, 0, SOON);
}

static int writes_no_vector(weft_id sock, weft_id other)
{
    (void)other;
    return (int)weft_writev(sock, NULL, 0, SOON);
}

static int reads_no_vector(weft_id sock, weft_id other)
{
    (void)other;
    return (int)weft_readv(sock, NULL, 0, SOON);
}

/* The peer has closed: 0 for ever. */
static int reads_the_end(weft_id sock, weft_id other)
{
    weft_buffer buffer;
    (void)sock;
    return (int)weft_read_buffer(other, &buffer, SOON);
}

static weft_id theirs; /* the end of a pair that is read */

static int begun; /* of the lane that loops */

static int loops(void *arg)
{
    const looper *l = *(looper *const *)arg;
    char text[WEFT_ADDR_TEXT];
    weft_id a, b, peer, listener = listen_here(text);
    connect_pair(&a, &b);
    CHECK_OK(weft_connect(&peer, text, SOON));
    CHECK_OK(weft_accept(listener, &theirs, NULL, SOON));
    CHECK_OK(weft_close(peer));
    __atomic_store_n(&begun, 1, __ATOMIC_RELEASE);
    for (;;)
        l->call(a, theirs);
}

static int others_get_their_turn(void *arg)
{
    static const looper calls[] = {
        {sends_nothing, "sends_nothing"},
        {reads_nothing, "reads_nothing"},
        {writes_no_vector, "writes_no_vector"},
        {reads_no_vector, "reads_no_vector"},
        {reads_the_end, "reads_the_end"},
    };
    (void)arg;
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        const looper *l = &calls[i];
        weft_id lane;
        weft_exit why;
        fprintf(stderr, "  %s\n", l->name);
        __atomic_store_n(&begun, 0, __ATOMIC_RELEASE);
        CHECK_OK(weft_lane_spawn_with(&lane, loops, &l, .copy = sizeof l));
        while (!__atomic_load_n(&begun, __ATOMIC_ACQUIRE))
            CHECK_OK(weft_yield());
        CHECK_OK(weft_kill(lane)); /* one worker: that this runs says that the other gave it up */
        CHECK_OK(weft_lane_join_exit(lane, &why, SOON));
        CHECK_EQ(why.kind, WEFT_EXIT_KILLED);
    }
    return 0;
}

/* Calls that refuse because their fiber was cancelled. */
static int connects(void)
{
    weft_id out;
    return weft_connect(&out, "127.0.0.1:9", SOON);
}

static int waits_for_a_signal(void)
{
    static const int signals[] = {SIGUSR1, 0};
    return weft_signal_wait(signals, SOON);
}

static int reads_a_buffer(void)
{
    weft_buffer buffer;
    return (int)weft_read_buffer(theirs, &buffer, SOON);
}

static int refused_for_ever(void *arg)
{
    int (*call)(void) = *(int (**)(void))arg;
    weft_id peer;
    connect_pair(&peer, &theirs);
    CHECK_OK(weft_cancel(weft_self()));
    while (weft_canceled() == 0)
        weft_yield();
    __atomic_store_n(&begun, 1, __ATOMIC_RELEASE);
    for (;;)
        CHECK_EQ(call(), -ECANCELED);
}

static int the_cancelled_do_not_hold_the_worker(void *arg)
{
    static int (*const calls[])(void) = {connects, waits_for_a_signal, reads_a_buffer};
    (void)arg;
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        weft_id lane;
        weft_exit why;
        __atomic_store_n(&begun, 0, __ATOMIC_RELEASE);
        CHECK_OK(weft_lane_spawn_with(&lane, refused_for_ever, (void *)(uintptr_t)&calls[i], .copy = sizeof calls[i]));
        while (!__atomic_load_n(&begun, __ATOMIC_ACQUIRE))
            CHECK_OK(weft_yield());
        CHECK_OK(weft_kill(lane));
        CHECK_OK(weft_lane_join_exit(lane, &why, SOON));
        CHECK_EQ(why.kind, WEFT_EXIT_KILLED);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {CASE(others_get_their_turn), CASE(the_cancelled_do_not_hold_the_worker)};
    weft_options opt = {.workers = 1, .blocked_ns = -1};
    (void)argc, (void)argv;
    for (unsigned i = 0; i < 2; i++)
        run_case(&cases[i], &opt);
    return 0;
}
