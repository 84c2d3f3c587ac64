/* A fault in a guard is reported with the fiber's name, lane, spawn site and stack, on the signal stack, and then
 * ends the process by its signal; any other fault goes to whoever handled faults before. Each case runs in a
 * child whose standard error is read. */
#include "arch/switch.h"
#include "env/posix.h"
#include "fiber/stack.h"

#include "base/check.h"
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

static const weft_env *env;
static weft__stack_depot depot;
static weft__stack_pool pool;
static weft__context home;
static weft__context fiber;
static volatile unsigned depth;
static volatile unsigned far_too_deep = UINT32_MAX;
static volatile char *volatile nowhere = (volatile char *)16;

/* What the fiber layer does with a fault: finds the stack, names its owner. */
static size_t describe(void *ctx, uintptr_t address, void *machine, char *buf, size_t size)
{
    const weft__stack *s = NULL;

    (void)machine;
    if (weft__stack_find(ctx, address, &s) != WEFT__STACK_GUARD || s == NULL)
        return 0;
    weft__stack_overflow what = {.fiber = s->owner, .lane = "front", .site = "src/shop.c:41", .lo = s->lo, .size = s->size,
        .address = address};
    return weft__stack_report(buf, size, &what);
}

static size_t knows_nothing(void *ctx, uintptr_t address, void *machine, char *buf, size_t size)
{
    (void)ctx;
    (void)address;
    (void)machine;
    (void)buf;
    (void)size;
    return 0;
}

static void stack_up(void)
{
    static char name[] = "till";
    weft__stack *s;

    CHECK_OK(weft__stack_depot_init(&depot, env, NULL));
    weft__stack_pool_init(&pool, &depot);
    CHECK_OK(weft__stack_get(&pool, 0, &s));
    CHECK_OK(weft__stack_get(&pool, 0, &s)); /* one with a neighbour below */
    s->owner = name;
    CHECK_OK(env->worker_enter(env->self));
    CHECK_OK(env->fault_watch(env->self, knows_nothing, &pool));
    CHECK_OK(env->fault_watch(env->self, describe, &depot));
    weft__context_adopt(&home);
    weft__context_make(&fiber, s->lo, s->size, NULL, NULL);
}

__attribute__((noinline)) static unsigned recurse(unsigned n)
{
    volatile char room[256];

    room[0] = (char)n;
    depth = n;
    if (n == far_too_deep)
        return 0;
    return recurse(n + 1) + (unsigned)room[0]; /* not a tail call */
}

static void overflow(void *arg)
{
    (void)arg;
    (void)recurse(1);
}

static void child_overflows(void)
{
    stack_up();
    weft__stack *s;
    CHECK_OK(weft__stack_get(&pool, 0, &s));
    s->owner = (void *)(uintptr_t)"till";
    weft__context_make(&fiber, s->lo, s->size, overflow, NULL);
    weft__switch(&home, &fiber, NULL, NULL);
}

static void mine(int sig)
{
    static const char text[] = "my own handler\n";

    (void)sig;
    _exit(write(2, text, sizeof text - 1) > 0 ? 42 : 1);
}

static void mine_with_info(int sig, siginfo_t *info, void *machine)
{
    (void)machine;
    if (info->si_addr == (void *)16)
        mine(sig);
    _exit(1);
}

static void touch_nowhere(void)
{
    *nowhere = 1;
}

static void child_has_a_handler(void)
{
    CHECK(signal(SIGSEGV, mine) != SIG_ERR);
    stack_up();
    touch_nowhere();
}

static void child_has_a_handler_that_looks(void)
{
    struct sigaction a = {.sa_sigaction = mine_with_info, .sa_flags = SA_SIGINFO};

    CHECK_EQ(sigaction(SIGSEGV, &a, NULL), 0);
    stack_up();
    touch_nowhere();
}

static void child_has_none(void)
{
    CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR); /* a sanitizer's, else */
    stack_up();
    touch_nowhere();
}

static void child_stops_watching(void)
{
    CHECK(signal(SIGSEGV, mine) != SIG_ERR);
    stack_up();
    CHECK_OK(env->fault_watch(env->self, describe, &depot)); /* counted */
    env->fault_unwatch(env->self, &pool);
    env->fault_unwatch(env->self, &depot);
    env->fault_unwatch(env->self, &depot);
    struct sigaction now;
    CHECK_EQ(sigaction(SIGSEGV, NULL, &now), 0);
    CHECK(now.sa_handler == mine);
    env->fault_unwatch(env->self, &depot); /* nobody's: ignored */
    touch_nowhere();
}

/* A handler installed over ours that passes on to ours must not go round in a circle with it. */
static struct sigaction ours;

static void over_ours(int sig, siginfo_t *info, void *machine)
{
    ours.sa_sigaction(sig, info, machine);
}

static void child_is_wrapped(void)
{
    struct sigaction a = {.sa_sigaction = over_ours, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
    stack_up();
    CHECK_EQ(sigaction(SIGSEGV, &a, &ours), 0);
    env->fault_unwatch(env->self, &pool);
    env->fault_unwatch(env->self, &depot);
    CHECK_OK(env->fault_watch(env->self, knows_nothing, &pool)); /* installs ours again, over the one over it */
    touch_nowhere();
}

static void child_is_sent_one(void)
{
    CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
    stack_up();
    CHECK_EQ(raise(SIGSEGV), 0);
    _exit(7); /* not reached */
}

typedef struct outcome {
    int status;
    char text[8192];
} outcome;

static int acts(void *fn)
{
    (*(void (**)(void))fn)();
    return 0;
}

static outcome in_child(void (*fn)(void))
{
    outcome o;

    o.status = child_says(acts, &fn, o.text, sizeof o.text);
    return o;
}

static void contains(const outcome *o, const char *what)
{
    if (strstr(o->text, what) == NULL)
        TEST_FAIL("'%s' is not in: %s", what, o->text);
}

static void overflows_are_reported(void)
{
    outcome o = in_child(child_overflows);

    contains(&o, "weft: fiber till of lane front overflowed its stack\n");
    contains(&o, "spawned at src/shop.c:41\n");
    contains(&o, "larger stack");
    CHECK(WIFSIGNALED(o.status) && (WTERMSIG(o.status) == SIGSEGV || WTERMSIG(o.status) == SIGBUS));
    const char *line = strstr(o.text, "  stack ");
    unsigned long long lo = 0, hi = 0, at = 0;
    unsigned long bytes = 0, below = 0;
    CHECK(line != NULL);
    CHECK_EQ(sscanf(line, "  stack %llx to %llx, %lu bytes; the fault is at %llx, %lu bytes below it", &lo, &hi, &bytes, &at, &below), 5);
    CHECK(hi - lo == bytes && lo - at == below && below > 0 && below <= 65536 && bytes > 250000);
}

static void others_faults_are_theirs(void)
{
    outcome o = in_child(child_has_a_handler);
    CHECK(WIFEXITED(o.status));
    CHECK_EQ(WEXITSTATUS(o.status), 42);
    CHECK(strcmp(o.text, "my own handler\n") == 0);

    o = in_child(child_has_a_handler_that_looks);
    CHECK(WIFEXITED(o.status));
    CHECK_EQ(WEXITSTATUS(o.status), 42);

    o = in_child(child_stops_watching);
    CHECK(WIFEXITED(o.status));
    CHECK_EQ(WEXITSTATUS(o.status), 42);

    o = in_child(child_has_none);
    CHECK(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGSEGV);
    CHECK(strstr(o.text, "overflowed") == NULL);

    o = in_child(child_is_wrapped);
    CHECK(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGSEGV);

    o = in_child(child_is_sent_one);
    CHECK(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGSEGV);
}

/* The text fits, however small the buffer and whatever is not known. */
static void reports_fit(void)
{
    char buf[512], guarded[512];
    weft__stack_overflow what = {.lo = (void *)0x10000, .size = 4096, .address = 0xfff8};

    size_t n = weft__stack_report(buf, sizeof buf, &what);
    CHECK(n > 0 && n < sizeof buf && buf[n] == 0 && buf[n - 1] == '\n');
    CHECK(strstr(buf, "fiber (unnamed) of lane (unnamed)") != NULL && strstr(buf, "spawned at (unknown)") != NULL);
    CHECK(strstr(buf, "8 bytes below it") != NULL);
    for (size_t size = 0; size <= n; size++) {
        memset(guarded, 'x', sizeof guarded);
        CHECK_EQ(weft__stack_report(guarded, size, &what), size == 0 ? 0 : size - 1);
        CHECK(guarded[size] == 'x' && memcmp(guarded, buf, size == 0 ? 0 : size - 1) == 0);
    }
}

/* A guard refuses system calls, too; each way of making guards does. */
static void guards_refuse(enum weft__guard_kind kind)
{
    weft__stack *s;
    int fds[2];

    if (kind != WEFT__GUARD_UNKNOWN)
        weft__posix_guard_force(kind);
    CHECK_EQ(pipe(fds), 0);
    CHECK_OK(weft__stack_depot_init(&depot, env, NULL));
    weft__stack_pool_init(&pool, &depot);
    CHECK_OK(weft__stack_get(&pool, 0, &s));
    CHECK_EQ(write(fds[1], s->lo, 1), 1);
    CHECK(write(fds[1], (char *)s->lo - 1, 1) < 0 && errno == EFAULT);
    weft__stack_put(&pool, s);
    weft__stack_pool_fini(&pool);
    weft__stack_depot_fini(&depot);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    env = weft_env_posix();
    reports_fit();
    overflows_are_reported();
    others_faults_are_theirs();
    guards_refuse(WEFT__GUARD_UNKNOWN);
    guards_refuse(WEFT__GUARD_MPROTECT);
    overflows_are_reported(); /* with that kind of guard */
    return 0;
}
