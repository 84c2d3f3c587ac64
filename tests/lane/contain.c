/* A lane that overflows a stack dies alone, with everything it had;
 * and where that would not be safe the process ends with a report. */

#include "child.h"
#include "descriptors.h"
#include "fiber/contain.h"
#include "lane/world.h"

static volatile unsigned far_too_deep = UINT32_MAX;
static int cleaned, child_ended, bystander_turns, stop;

/* ---- registered code ---- */

WEFT_CONTAINABLE static unsigned recurse(unsigned n)
{
    volatile char room[256];
    room[0] = (char)n;
    if (n == far_too_deep)
        return 0;
    return recurse(n + 1) + (unsigned)room[0]; /* not a tail call */
}

/* Frames of all sizes, so that the fault is met in a push, a call and a probe of the compiler's. */
WEFT_CONTAINABLE static unsigned recurse_widely(unsigned n)
{
    volatile char room[5000];
    room[n % sizeof room] = (char)n;
    if (n == far_too_deep)
        return 0;
    return recurse_widely(n + 1) + (unsigned)room[0];
}

WEFT_CONTAINABLE static unsigned recurse_thinly(unsigned n)
{
    if (n == far_too_deep)
        return 0;
    const unsigned below = recurse_thinly(n + 1);
    return below ^ far_too_deep; /* read after the call: no loop can do that */
}

/* The overflow is met by a call of the runtime, before it does anything. */
WEFT_CONTAINABLE static unsigned recurse_and(unsigned n, void (*call)(void))
{
    volatile char room[64];
    room[0] = (char)n;
    call();
    if (n == far_too_deep)
        return 0;
    return recurse_and(n + 1, call) + (unsigned)room[0];
}

WEFT_CONTAINABLE static void yields(void) { weft_yield(); }
WEFT_CONTAINABLE static void allocates(void) { weft_free(weft_alloc(100)); }
WEFT_CONTAINABLE static void sleeps(void) { weft_sleep(WEFT_NOW); }
WEFT_CONTAINABLE static void joins(void) { weft_join(WEFT_NOID, NULL, WEFT_NOW); }
WEFT_CONTAINABLE static void reads(void) { weft_read(WEFT_NOID, NULL, 0, WEFT_NOW); }

WEFT_CONTAINABLE static void sends_all(void) { weft_write_all(WEFT_NOID, "x", 1, NULL, WEFT_NOW); }
WEFT_CONTAINABLE static void reads_all(void) { weft_read_all(WEFT_NOID, NULL, 0, NULL, WEFT_NOW); }
WEFT_CONTAINABLE static void sends_vectors(void) { weft_writev_all(WEFT_NOID, NULL, 0, NULL, WEFT_NOW); }
WEFT_CONTAINABLE static void connects(void) { weft_connect(NULL, "127.0.0.1:9", WEFT_NOW); }
WEFT_CONTAINABLE static void is_refused(void)
{
    weft_id self = weft_lane_self(), got;
    weft_give(self, self, &got, WEFT_NOW);
    weft_lane_join(WEFT_NOID, NULL, WEFT_NOW);
}

/* Room for sixteen cases of I/O on the stack. */
WEFT_CONTAINABLE static void selects_io(void)
{
    weft_case k[6];
    for (unsigned i = 0; i < 6; i++)
        k[i] = WEFT_CAN_READ(WEFT_NOID);
    weft_select(k, 6, WEFT_NOW);
}

/* Calls of the runtime that are made of others, which look at the stack as well: the outer one must notice, wherever
 * the end of the stack falls between the two. So each is made at all depths, a few bytes apart. */
typedef struct descent {
    int call;
    size_t by;
} descent;

static void (*const made_of_others[])(void) = {sleeps, sends_all, reads_all, sends_vectors, connects, is_refused, selects_io};
enum { CALLS = 7, STEPS = 20, STEP = 16 };

WEFT_CONTAINABLE static int descends(void *arg)
{
    const descent d = *(const descent *)arg;
    volatile char *room = __builtin_alloca(d.by + 1);
    room[d.by] = 1;
    return (int)recurse_and(1, made_of_others[d.call]) + room[d.by];
}

static void clean_up(void *arg)
{
    (void)arg;
    bump(&cleaned);
}

static int waits_for_ever(void *arg)
{
    weft_id l, s;
    (void)arg;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    return weft_accept(l, &s, NULL, WEFT_NEVER);
}

static int child(void *arg)
{
    (void)arg;
    int r = weft_park(WEFT_NEVER);
    bump(&child_ended); /* not reached: it is killed */
    return r;
}

/* All that a lane may have: a sibling with an operation in flight, a child lane, memory, a clean-up. */
static void acquire(void)
{
    weft_id f, l;
    CHECK_OK(weft_spawn(&f, waits_for_ever, NULL));
    CHECK_OK(weft_lane_spawn(&l, child, NULL));
    CHECK(weft_alloc(100000));
    CHECK_OK(weft_defer(clean_up, NULL));
    CHECK_OK(weft_yield());
}

/* 0 to 7: how the overflow comes. */
WEFT_CONTAINABLE static int overflows(void *arg)
{
    static void (*const calls[])(void) = {yields, allocates, sleeps, joins, reads};
    const int way = *(const int *)arg;
    acquire();
    if (way == 0)
        return (int)recurse(1);
    if (way == 1)
        return (int)recurse_widely(1);
    if (way == 2)
        return (int)recurse_thinly(1);
    return (int)recurse_and(1, calls[way - 3]);
}
enum { WAYS = 8 };

/* Of a fiber that is not the main one. */
WEFT_CONTAINABLE static int has_a_fiber_that_overflows(void *arg)
{
    weft_id f;
    CHECK_OK(weft_spawn_with(&f, overflows, arg, .copy = sizeof(int)));
    return weft_join(f, NULL, WEFT_NEVER);
}

/* ---- contained ---- */

static int bystander(void *arg)
{
    (void)arg;
    while (!get(&stop)) {
        bump(&bystander_turns);
        CHECK_OK(weft_sleep(weft_after(WEFT_MILLISECOND)));
    }
    return 7;
}

static weft_exit end_of(int (*fn)(void *), int way)
{
    weft_id l;
    weft_exit e;
    CHECK_OK(weft_lane_spawn_with(&l, fn, &way, .copy = sizeof way, .containable = 1));
    CHECK_OK(weft_lane_join_exit(l, &e, soon()));
    return e;
}

static weft_stats figures(void)
{
    weft_stats s;
    CHECK_OK(weft_runtime_stats(weft_current(), &s));
    return s;
}

static int contained(int argc, char **argv)
{
    enum { ROUNDS = 4 };
    weft_id others[4];
    int r;
    (void)argc, (void)argv;
    CHECK_OK(weft_containable_marked(NULL));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weft_lane_spawn_with(&others[i], bystander, NULL, .containable = i % 2));
    const int before = get(&cleaned);
    for (int i = 0; i < ROUNDS * WAYS * 2; i++) {
        const weft_exit e = end_of(i % 2 ? overflows : has_a_fiber_that_overflows, i / 2 % WAYS);
        CHECK_EQ(e.kind, WEFT_EXIT_OVERFLOW);
        CHECK_EQ(e.result, -EFAULT);
        CHECK_EQ(get(&cleaned), before + i + 1);
    }
    CHECK_EQ(get(&child_ended), 0);
    const int turns = get(&bystander_turns);
    while (get(&bystander_turns) < turns + 8)
        CHECK_OK(weft_yield());
    put(&stop, 1);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(weft_lane_join(others[i], &r, soon()));
        CHECK_EQ(r, 7);
    }
    CHECK_EQ(figures().stacks_used, 1); /* ours */
    return 0;
}

static int contained_at_any_depth(int argc, char **argv)
{
    (void)argc, (void)argv;
    CHECK_OK(weft_containable_marked(NULL));
    for (descent d = {0, 0}; d.call < CALLS; d.call++)
        for (d.by = 0; d.by < STEPS * STEP; d.by += STEP) {
            weft_id l;
            weft_exit e;
            CHECK_OK(weft_lane_spawn_with(&l, descends, &d, .copy = sizeof d, .containable = 1));
            CHECK_OK(weft_lane_join_exit(l, &e, soon()));
            CHECK_EQ(e.kind, WEFT_EXIT_OVERFLOW);
        }
    return 0;
}

static void contains(int (*start)(int, char **))
{
    static spy s;
    const int before = open_descriptors();
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};
    put(&stop, 0);
    CHECK_EQ(run_main_with(start, &opt), 0);
    SPY_SAYS(&s, "overflowed its stack of");
    SPY_SAYS(&s, "its lane ends, others go on");
    spy_close(&s);
    CHECK_EQ(open_descriptors(), before);
}

/* ---- what is refused, in a process of its own ---- */

static unsigned unknown_recurse(unsigned n)
{
    volatile char room[256];
    room[0] = (char)n;
    return n == far_too_deep ? 0 : unknown_recurse(n + 1) + (unsigned)room[0];
}

static volatile char *own_guard(void) { return (volatile char *)weft__fiber_self()->stack->lo - 8; }

WEFT_CONTAINABLE static int in_unknown_code(void *arg)
{
    (void)arg;
    return (int)unknown_recurse(1);
}

WEFT_CONTAINABLE static int compares(const void *a, const void *b)
{
    (void)a, (void)b;
    return (int)recurse(1);
}

/* Registered code at both ends, the C library between them. */
WEFT_CONTAINABLE static int under_the_library(void *arg)
{
    int n[3] = {3, 1, 2};
    (void)arg;
    qsort(n, 3, sizeof *n, compares);
    return n[0];
}

static void *(*volatile fill)(void *, int, size_t) = memset;

WEFT_CONTAINABLE static int in_the_library(void *arg)
{
    (void)arg;
    fill((void *)(uintptr_t)own_guard(), 1, 8);
    return 0;
}

WEFT_CONTAINABLE static int in_the_runtime(void *arg)
{
    (void)arg;
    return weft_runtime_stats(weft_current(), (weft_stats *)(uintptr_t)own_guard());
}

static volatile char *volatile nowhere = (volatile char *)16;

WEFT_CONTAINABLE static int elsewhere(void *arg)
{
    (void)arg;
    *nowhere = 1;
    return 0;
}

static int parks(void *arg)
{
    (void)arg;
    *(volatile char **)arg = own_guard();
    return weft_park(WEFT_NEVER);
}

/* Another fiber's guard: a wild write. */
WEFT_CONTAINABLE static int in_anothers_guard(void *arg)
{
    static volatile char *guard;
    weft_id f;
    (void)arg;
    CHECK_OK(weft_spawn(&f, parks, &guard));
    CHECK_OK(weft_yield());
    *guard = 1;
    return 0;
}

static int not_registered(void *arg)
{
    volatile int n = 1;
    (void)arg;
    n = (int)recurse(1); /* not a tail call: then it would not be on the stack */
    return n;
}

static int (*scene)(void *);
static int containable, registered;

static int play(int argc, char **argv)
{
    weft_id l;
    (void)argc, (void)argv;
    if (registered)
        CHECK_OK(weft_containable_marked(weft_current()));
    int way = 0;
    CHECK_OK(weft_lane_spawn_with(&l, scene, &way, .copy = sizeof way, .containable = containable));
    return weft_lane_join(l, NULL, soon());
}

static int plays(void *arg)
{
    const weft_options opt = {.workers = 1, .blocked_ns = -1};
    (void)arg;
    weft_main(play, 0, NULL, &opt);
    return 0;
}

/* Ends by a signal, after saying so; `text` NULL: without. */
static void refuses(const char *what, int (*fn)(void *), int in_lane, int with_code, const char *text)
{
    char said[4096];
    fprintf(stderr, "%s\n", what);
    scene = fn;
    containable = in_lane;
    registered = with_code;
    const int status = child_says(plays, NULL, said, sizeof said);
    if (TEST_SANITIZED ? ended_well(status) : !WIFSIGNALED(status))
        TEST_FAIL("%s: the process ended with %x, saying: %s", what, status, said);
    if (text ? !strstr(said, text) : strstr(said, "overflowed") != NULL)
        TEST_FAIL("%s: it said: %s", what, said);
}

static void refusals(void)
{
    refuses("default", overflows, 0, 1, "weft: fiber scene of lane scene overflowed its stack");
    refuses("no code registered", overflows, 1, 0, "overflowed its stack");
    refuses("fn not registered", not_registered, 1, 1, "overflowed its stack");
    refuses("in code not registered", in_unknown_code, 1, 1, "overflowed its stack");
    refuses("the C library between", under_the_library, 1, 1, "overflowed its stack");
    refuses("in the C library", in_the_library, 1, 1, "overflowed its stack");
    refuses("in the runtime", in_the_runtime, 1, 1, "overflowed its stack");
    refuses("another fiber's guard", in_anothers_guard, 1, 1, "overflowed its stack");
    refuses("no guard at all", elsewhere, 1, 1, NULL);
}

/* ---- registering ---- */

static int can(int argc, char **argv)
{
    (void)argc, (void)argv;
    const int r = weft_containable_marked(NULL);
    return r == -ENOTSUP ? 2 : r;
}

static int registers(int argc, char **argv)
{
    static const char text[64];
    const uintptr_t yield = (uintptr_t)weft_yield;
    (void)argc, (void)argv;
    CHECK_EQ(weft_containable(NULL, text, text), -EINVAL);
    CHECK_EQ(weft_containable(NULL, text + 8, text), -EINVAL);
    /* The runtime itself. */
    CHECK_EQ(weft_containable(NULL, (const void *)(yield - 100), (const void *)(yield + 1)), -EINVAL);
    for (int i = 0; i < 32; i++)
        CHECK_OK(weft_containable(weft_current(), text + i, text + i + 1));
    CHECK_EQ(weft_containable(NULL, text, text + 1), -EAGAIN);
    return 0;
}

int main(void)
{
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
    SKIP("the sanitizer's own code stands on the stack that overflows");
#endif
#endif
    CHECK_EQ(weft_containable(NULL, "a", "b"), -EPERM);
    const weft_options plain = {.workers = 1};
    if (run_main_with(can, &plain) == 2)
        SKIP("not on this system, or not with this context switch");
    refusals(); /* while there is no other thread */
    run_clean(registers, 1);
    contains(contained);
    contains(contained_at_any_depth);
    return 0;
}
