/* The order of a death (DESIGN rule 5), step by step, and deferred clean-ups: newest first however a fiber ends, under
 * its identity, shielded within the grace, what they submit awaited. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lane/world.h"
#include "port/inflight.h"

/* ---- a log of steps ---- */

enum { STEPS = 32 };

static const char *steps[STEPS];
static int step_count;

static void step(const char *what)
{
    const int i = bump(&step_count) - 1;

    CHECK(i < STEPS);
    __atomic_store_n(&steps[i], what, __ATOMIC_RELEASE);
}

/* Where it stands in the log; it does. */
static int at(const char *what)
{
    for (int i = 0; i < get(&step_count); i++)
        if (strcmp(steps[i], what) == 0)
            return i;
    TEST_FAIL("no step \"%s\"", what);
}

static void forget(void) { put(&step_count, 0); }

static void expect_steps(const char *const *wanted, int n)
{
    CHECK_EQ(get(&step_count), n);
    for (int i = 0; i < n; i++)
        if (strcmp(steps[i], wanted[i]) != 0)
            TEST_FAIL("step %d is \"%s\", not \"%s\"", i, steps[i], wanted[i]);
}

#define EXPECT(...)                                                                                                    \
    expect_steps((const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void log_step(void *arg) { step(arg); }

#define TEXT(literal) ((void *)(uintptr_t)(literal))

/* ---- the whole order ---- */

static int there;
static unsigned short door; /* where the dying lane listens */

static void *page;

static void *map(void *self, size_t bytes, size_t align)
{
    (void)self;
    page = aligned_alloc(align, bytes);
    return page ? memset(page, 0, bytes) : NULL;
}

/* By now its ids are closed: nobody listens there. */
static void unmap(void *self, void *p, size_t bytes)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(test_loopback()), .sin_port = htons(door)};
    weft_id id;

    (void)self, (void)bytes;
    if (door) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno == ECONNREFUSED);
        close(fd);
        CHECK_EQ(weft_whereis("the dying", &id), -ESRCH);
        step("memory");
    }
    free(p);
}

static const weft_vat_kind pages = {.name = "counted", .map = map, .unmap = unmap};

typedef struct last_wish {
    weft_id self, listener;
    char *block;
    const char *what;
} last_wish;

/* Everything that the fiber had is still there and usable. */
static void last_words(void *arg)
{
    last_wish *w = arg; /* on the stack of the dead fiber */
    weft_addr addr;
    weft_id id;

    CHECK(weft_id_equal(weft_self(), w->self));
    CHECK_OK(weft_canceled());
    CHECK_OK(weft_local_addr(w->listener, &addr));
    CHECK_OK(weft_whereis("the dying", &id));
    CHECK(weft_id_equal(id, weft_lane_self()));
    CHECK(strcmp(w->block, "still here") == 0);
    char *more = weft_alloc(100);
    CHECK(more != NULL);
    weft_free(more);
    CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND))); /* what it waits for is waited for */
    CHECK_EQ(weft_spawn(NULL, NULL, NULL), -EINVAL);
    step(w->what);
}

static int inner(void *arg)
{
    (void)arg;
    CHECK_OK(weft_defer(log_step, TEXT("child")));
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER);
    return 0;
}

static void release_buffer(void *arg)
{
    weft__inflight_check(arg, 64, "the buffer of a killed fiber");
    free(arg);
    step("buffer");
}

/* Reads into a buffer of malloc's, which its clean-up frees: never while the kernel has it. */
static int reads(void *arg)
{
    weft_id sock;
    char *buf = malloc(64);

    CHECK(buf != NULL);
    CHECK_OK(weft_defer(release_buffer, buf));
    CHECK_OK(weft_connect(&sock, arg, soon()));
    bump(&there);
    for (;;)
        (void)weft_read(sock, buf, 64, WEFT_NEVER);
    return 0;
}

static int sibling(void *arg)
{
    last_wish *w = arg, mine = *w;

    mine.self = weft_self();
    mine.what = "sibling";
    CHECK_OK(weft_defer(last_words, &mine));
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER);
    return 0;
}

static int dying(void *arg)
{
    last_wish w = {.self = weft_self(), .block = weft_alloc(11), .what = "second"}, first;
    weft_addr addr;
    weft_id c;
    char text[WEFT_ADDR_TEXT];

    (void)arg;
    CHECK(w.block != NULL);
    strcpy(w.block, "still here");
    CHECK_OK(weft_listen(&w.listener, test_address(), NULL));
    CHECK_OK(weft_local_addr(w.listener, &addr));
    CHECK(weft_addr_format(&addr, text, sizeof text) < sizeof text);
    CHECK_OK(weft_register("the dying"));
    first = w;
    first.what = "first";
    CHECK_OK(weft_defer(last_words, &w)); /* so called second */
    CHECK_OK(weft_defer(last_words, &first));
    CHECK_OK(weft_spawn(NULL, sibling, &w));
    CHECK_OK(weft_spawn(NULL, reads, text));
    CHECK_OK(weft_lane_spawn(&c, inner, NULL));
    while (get(&there) < 3)
        weft_yield();
    door = (unsigned short)atoi(strrchr(text, ':') + 1);
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER);
    return 0;
}

static int order(int argc, char **argv)
{
    weft_id l, ref;
    weft_message *m;
    weft_exit e;

    (void)argc, (void)argv;
    forget();
    put(&there, 0);
    door = 0;
    CHECK_OK(weft_lane_spawn_with(&l, dying, NULL, .vat = &pages, .monitor = &ref));
    while (get(&there) < 4)
        weft_yield();
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_receive(&m, soon()));
    step("told");
    CHECK_EQ(weft_msg_down(m)->exit.kind, WEFT_EXIT_KILLED);
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_lane_join_exit(l, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_KILLED);
    CHECK_EQ(e.result, -ECANCELED);
    CHECK(weft_id_equal(e.cause, l));
    CHECK_EQ(get(&step_count), 7);
    CHECK_EQ(at("child"), 0);                 /* (2) before (4) */
    CHECK_EQ(at("second"), at("first") + 1);  /* newest first */
    CHECK(at("sibling") < 5 && at("buffer") < 5);
    CHECK_EQ(at("memory"), 5);                /* (7) after all clean-ups and closes */
    CHECK_EQ(at("told"), 6);                  /* (8) */
    CHECK_EQ(weft_kill(l), -ESRCH);
    return 0;
}

/* ---- clean-ups ---- */

static weft_id me;

static void as_me(void *arg)
{
    CHECK(weft_id_equal(weft_self(), me));
    CHECK_OK(weft_canceled());
    CHECK_OK(weft_sleep(weft_after(1000)));
    step(arg);
}

static void nested(void *arg)
{
    step("outer");
    CHECK_OK(weft_defer(as_me, arg));
}

enum how { RETURNS, CANCELED, KILLED };

static int defers(void *arg)
{
    const enum how how = *(const enum how *)arg;

    me = weft_self();
    CHECK_OK(weft_defer(as_me, TEXT("1")));
    CHECK_OK(weft_defer(nested, TEXT("inner"))); /* deferred by a clean-up: run next */
    CHECK_OK(weft_defer(as_me, TEXT("never")));
    CHECK_OK(weft_undefer(0));
    CHECK_OK(weft_defer(as_me, TEXT("at once")));
    CHECK_OK(weft_undefer(1));
    CHECK_OK(weft_defer(as_me, TEXT("3")));
    bump(&there);
    if (how == KILLED)
        for (;;)
            weft_park(WEFT_NEVER);
    if (how == CANCELED)
        CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    return how == CANCELED ? -ECANCELED : 0;
}

static int whichever(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (enum how how = RETURNS; how <= KILLED; how++) {
        weft_id l;
        int r;
        forget();
        put(&there, 0);
        CHECK_OK(weft_lane_spawn_with(&l, defers, &how, .copy = sizeof how));
        while (!get(&there))
            weft_yield();
        if (how == CANCELED)
            CHECK_OK(weft_cancel(l));
        if (how == KILLED)
            CHECK_OK(weft_kill(l));
        CHECK_OK(weft_lane_join(l, &r, soon()));
        CHECK_EQ(r, how == RETURNS ? 0 : -ECANCELED);
        EXPECT("at once", "3", "outer", "inner", "1");
    }
    return 0;
}

static void sleeps_longer(void *arg)
{
    const int64_t until = weft_after(20 * WEFT_MILLISECOND);

    CHECK_OK(weft_sleep(until));
    CHECK(weft_now() >= until);
    step(arg);
}

static int waits_briefly(void *arg)
{
    (void)arg;
    CHECK_OK(weft_defer(sleeps_longer, TEXT("slept")));
    for (;;) {
        bump(&there);
        weft_park(weft_after(10 * WEFT_MILLISECOND));
    }
}

/* The timer of the wait that a kill ended is not taken for the clean-up's. */
static int while_a_timer_runs(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    forget();
    put(&there, 0);
    CHECK_OK(weft_lane_spawn(&l, waits_briefly, NULL));
    while (!get(&there))
        weft_yield();
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    EXPECT("slept");
    return 0;
}

static int arguments(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_EQ(weft_defer(NULL, NULL), -EINVAL);
    CHECK_EQ(weft_undefer(1), -ESRCH);
    for (int i = 0; i < 1000; i++)
        CHECK_OK(weft_defer(log_step, NULL));
    for (int i = 0; i < 1000; i++)
        CHECK_OK(weft_undefer(0));
    CHECK_EQ(weft_undefer(0), -ESRCH);
    return 0;
}

/* ---- the grace ---- */

static void parks(void *arg)
{
    const int r = weft_park(WEFT_NEVER);

    CHECK_EQ(r, -ECANCELED); /* a killed fiber's does not come back */
    CHECK(arg == NULL);
    step("let go");
}

static int defers_for_ever(void *arg)
{
    CHECK_OK(weft_defer(log_step, TEXT("last")));
    CHECK_OK(weft_defer(parks, arg));
    if (!arg)
        return 0;
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER);
    return 0;
}

static int past_the_grace(int argc, char **argv)
{
    weft_id l;

    (void)argc, (void)argv;
    forget();
    put(&there, 0);
    CHECK_OK(weft_lane_spawn(&l, defers_for_ever, NULL));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    EXPECT("let go", "last");
    forget();
    CHECK_OK(weft_lane_spawn(&l, defers_for_ever, &there));
    while (!get(&there))
        weft_yield();
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    EXPECT("last"); /* the one that parks is stopped, and the next still has its turn */
    return 0;
}

static void in_time(void)
{
    static spy s;
    weft_options opt = {.workers = 2, .env = spy_open(&s), .grace_ns = 20 * WEFT_MILLISECOND, .blocked_ns = -1};

    CHECK_OK(run_main_with(past_the_grace, &opt));
    SPY_SAYS(&s, "deferred clean-ups outlive the grace");
    SPY_SAYS(&s, "defers_for_ever");
    spy_close(&s);
}

/* ---- less usual ends ---- */

static unsigned key;

static int has_locals(void *arg)
{
    (void)arg;
    CHECK_OK(weft_local_set(key, TEXT("local")));
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER);
    return 0;
}

/* Killed by itself, and it returns without having waited. */
static int returns_killed(void *arg)
{
    (void)arg;
    CHECK_OK(weft_defer(log_step, TEXT("deferred")));
    CHECK_OK(weft_kill(weft_lane_self()));
    CHECK_EQ(weft_canceled(), -ECANCELED);
    CHECK_EQ(weft_spawn(NULL, returns_killed, NULL), -ECANCELED);
    CHECK_EQ(weft_lane_spawn(NULL, returns_killed, NULL), -ECANCELED);
    return 7;
}

static int on_supplied(void *arg)
{
    CHECK_OK(weft_defer(log_step, arg));
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER);
    return 0;
}

/* Stacks within a stack. */
static int supplies(void *arg)
{
    _Alignas(16) char stack[3 * 16384];

    (void)arg;
    CHECK_OK(weft_spawn_with(NULL, on_supplied, TEXT("inner"), .stack = stack, .stack_size = sizeof stack / 2));
    CHECK_OK(weft_spawn_with(NULL, on_supplied, TEXT("inner"), .stack = stack + sizeof stack / 2, .stack_size = sizeof stack / 2));
    return on_supplied(TEXT("outer"));
}

static int unusual(int argc, char **argv)
{
    weft_id l;
    weft_exit e;

    (void)argc, (void)argv;
    forget();
    put(&there, 0);
    CHECK_OK(weft_lane_spawn(&l, has_locals, NULL));
    while (!get(&there))
        weft_yield();
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    EXPECT("local");

    forget();
    CHECK_OK(weft_lane_spawn(&l, returns_killed, NULL));
    CHECK_OK(weft_lane_join_exit(l, &e, soon()));
    CHECK_EQ(e.kind, WEFT_EXIT_KILLED);
    CHECK_EQ(e.result, -ECANCELED);
    EXPECT("deferred");

    forget();
    put(&there, 0);
    CHECK_OK(weft_lane_spawn_with(&l, supplies, NULL, .stack_size = 128 << 10));
    while (get(&there) < 3)
        weft_yield();
    CHECK_OK(weft_kill(l));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(get(&step_count), 3);
    return 0;
}

/* ---- where there is no stack for a clean-up ---- */

enum { CROWD = 6 };

static void counts(void *arg)
{
    (void)arg;
    CHECK_OK(weft_sleep(weft_after(1000)));
    bump(&step_count);
}

static int crowded(void *arg)
{
    (void)arg;
    CHECK_OK(weft_defer(counts, NULL));
    bump(&there);
    for (;;)
        weft_park(WEFT_NEVER);
    return 0;
}

static int no_stack_left(int argc, char **argv)
{
    weft_id l[CROWD];

    (void)argc, (void)argv;
    forget();
    put(&there, 0);
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(weft_lane_spawn(&l[i], crowded, NULL));
    while (get(&there) < CROWD)
        weft_yield();
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(weft_kill(l[i]));
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, soon()));
    CHECK_EQ(get(&step_count), CROWD);
    return 0;
}

int main(void)
{
    weft_options few = {.workers = 1, .max_stacks = CROWD + 1};

    CHECK_EQ(weft_defer(log_step, NULL), -EPERM);
    CHECK_EQ(weft_undefer(1), -EPERM);
    CHECK_OK(weft_local_key(&key, log_step));
    for (int i = 0; i < 10; i++)
        run_clean(order, 1 + (unsigned)i % 3);
    run_clean(whichever, 2);
    run_clean(while_a_timer_runs, 2);
    run_clean(arguments, 1);
    in_time();
    run_clean(unusual, 2);
    CHECK_OK(run_main_with(no_stack_left, &few));
    return 0;
}
