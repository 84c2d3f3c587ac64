/* When a worker looks at its port: not while it still goes through what the last look brought, but then, however much
 * else there is to run; and in any case after some ticks. Ticks are made short here by the number of their tasks, and
 * either so long in time that no clock decides, or so short that it always does. */
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lane/world.h"
#include "sched/sched.h"

enum { CONNECTIONS = 40, TASKS = 4 };

typedef struct connection {
    int peer; /* a descriptor that the runtime does not know */
    weft_id here, fiber;
} connection;

static int begun, heard;

static uint64_t looks(void)
{
    weft_stats s;
    CHECK_OK(weft_runtime_stats(weft_current(), &s));
    return s.kernel_entries;
}

/* By Unix sockets: what was sent has come when the call returns. */
static void connect_all(connection *c, unsigned n)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char name[32], text[48];
    weft_id listener;
    size_t length = (size_t)snprintf(name, sizeof name, "weft-looks-%d", (int)getpid());
    memcpy(at.sun_path + 1, name, length);
    snprintf(text, sizeof text, "unix:@%s", name);
    CHECK_OK(weft_listen(&listener, text, NULL));
    for (unsigned i = 0; i < n; i++) {
        c[i].peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(c[i].peer >= 0);
        CHECK_EQ(connect(c[i].peer, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)), 0);
        CHECK_OK(weft_accept(listener, &c[i].here, NULL, soon()));
    }
    CHECK_OK(weft_close(listener));
}

static void close_all(connection *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        CHECK_OK(weft_close(c[i].here));
        close(c[i].peer);
    }
}

static int answers(void *arg)
{
    connection *c = arg;
    char byte;
    begun++;
    CHECK_EQ(weft_read(c->here, &byte, 1, soon()), 1);
    heard++;
    CHECK_EQ(weft_write(c->here, &byte, 1, soon()), 1);
    return 0;
}

/* All of them wait when this returns. */
static void start(connection *c, unsigned n)
{
    begun = heard = 0;
    for (unsigned i = 0; i < n; i++)
        CHECK_OK(weft_spawn(&c[i].fiber, answers, &c[i]));
    while (begun < (int)n)
        CHECK_OK(weft_yield());
}

static void ask(connection *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        CHECK_EQ(send(c[i].peer, "x", 1, 0), 1);
}

static void join(connection *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        CHECK_OK(weft_join(c[i].fiber, NULL, soon()));
    CHECK_EQ(heard, (int)n);
}

/* From here on a tick has so few tasks that nothing is learnt from it, so that it stays that way. */
static void shorten_ticks(void)
{
    weft__worker *w = weft__worker_self();
    CHECK_OK(weft_sleep(weft_after(1))); /* for nothing else runs, this ends a tick */
    w->tick_tasks = TASKS;
    CHECK_OK(weft_sleep(weft_after(1)));
    CHECK_EQ(w->tick_tasks, TASKS);
}

/* How many looks it takes until all have answered who are asked at once. */
static int count_looks(void)
{
    connection c[CONNECTIONS];
    connect_all(c, CONNECTIONS);
    shorten_ticks();
    start(c, CONNECTIONS);
    uint64_t before = looks();
    ask(c, CONNECTIONS);
    join(c, CONNECTIONS);
    int n = (int)(looks() - before);
    CHECK_EQ(weft__worker_self()->tick_tasks, TASKS);
    close_all(c, CONNECTIONS);
    return n;
}

static int not_in_between(int argc, char **argv)
{
    (void)argc, (void)argv;
    int n = count_looks();
    if (n >= CONNECTIONS / TASKS)
        TEST_FAIL("%d looks, where a few bring everything", n);
    return 0;
}

/* Where a tick's time is over as soon as it begins, some of them soon are. */
static int not_put_off_for_ever(int argc, char **argv)
{
    (void)argc, (void)argv;
    int n = count_looks();
    if (n < CONNECTIONS / TASKS)
        TEST_FAIL("%d looks for %d answers, where %d tasks make a tick", n, CONNECTIONS, TASKS);
    return 0;
}

/* Work that never ends is no reason to put it off. */
static int news_beside_work(int argc, char **argv)
{
    connection c;
    (void)argc, (void)argv;
    connect_all(&c, 1);
    shorten_ticks();
    for (int round = 0; round < 20; round++) {
        int yields = 0;
        start(&c, 1);
        ask(&c, 1);
        for (; !heard; yields++)
            CHECK_OK(weft_yield());
        CHECK(yields <= 4 * TASKS);
        join(&c, 1);
    }
    close_all(&c, 1);
    return 0;
}

int main(void)
{
    weft_options opt = {.workers = 1, .blocked_ns = -1, .tick_ns = 100 * WEFT_SECOND};
#ifndef WEFT_HOSTILE /* there a look brings two events */
    CHECK_OK(run_main_with(not_in_between, &opt));
#endif
    CHECK_OK(run_main_with(news_beside_work, &opt));
    opt.tick_ns = 1;
    CHECK_OK(run_main_with(not_put_off_for_ever, &opt));
    return 0;
}
