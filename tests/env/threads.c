/* Threads: run on the stack they are given, under their name, with every signal blocked but faults and interrupts; the
 * current worker is each thread's own; an interrupt runs a function on a thread that does not come back by itself. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "env/current.h"
#include "env/posix.h"
#include "test.h"

static const weft_env *e;

struct seen {
    void *local;
    char name[32];
    sigset_t mask;
    stack_t signal_stack;
    int enter;
};

static void look(void *arg)
{
    struct seen *s = arg;
    char here;

    s->local = &here;
    pthread_getname_np(pthread_self(), s->name, sizeof s->name);
    pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
    s->enter = e->worker_enter(NULL);
    sigaltstack(NULL, &s->signal_stack);
    e->worker_leave(NULL);
}

static void start(void)
{
    static _Alignas(65536) char stack[262144];
    struct seen s = {0};
    weft_thread *t;

    CHECK_EQ(e->thread_start(NULL, &t, &(weft_thread_options){.name = "a-name-of-many-letters", .stack = stack, .stack_size = sizeof stack},
                             look, &s), 0);
    e->thread_join(NULL, t);
#if !defined(__SANITIZE_ADDRESS__)
    CHECK((char *)s.local >= stack && (char *)s.local < stack + sizeof stack);
#endif
    CHECK(strcmp(s.name, "a-name-of-many-") == 0 || strcmp(s.name, "a-name-of-many") == 0);
    CHECK(sigismember(&s.mask, SIGTERM));
    CHECK(sigismember(&s.mask, SIGPIPE));
    CHECK(!sigismember(&s.mask, SIGSEGV));
    CHECK(!sigismember(&s.mask, SIGBUS));
    CHECK(!sigismember(&s.mask, weft__posix_interrupt_signal()));
    CHECK_EQ(s.enter, 0);
    CHECK(!(s.signal_stack.ss_flags & SS_DISABLE));
    CHECK(s.signal_stack.ss_size >= 16384);

    CHECK_EQ(e->thread_start(NULL, &t, &(weft_thread_options){.stack = stack, .stack_size = 64}, look, &s), -EINVAL);
    s.local = NULL;
    CHECK_EQ(e->thread_start(NULL, &t, NULL, look, &s), 0);
    e->thread_join(NULL, t);
    CHECK(s.local != NULL);
}

static void mask_is_kept(void)
{
    sigset_t before, after;
    struct seen s = {0};
    weft_thread *t;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    CHECK_EQ(e->thread_start(NULL, &t, NULL, look, &s), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK_EQ(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
    e->thread_join(NULL, t);
}

static void note_processors(void *arg) { CHECK_EQ(sched_getaffinity(0, sizeof(cpu_set_t), arg), 0); }

/* A worker that is bound may start threads for blocking calls: those are not. */
static void binding_stays_with_the_thread(void)
{
    static weft_topology machine;
    cpu_set_t before, now, there;
    weft_thread *t;

    note_processors(&before);
    CHECK_EQ(e->topology(NULL, &machine), 0);
    CHECK_EQ(e->bind(NULL, machine.cpu, 1), 0);
    note_processors(&now);
    CHECK_EQ(CPU_COUNT(&now), 1);
    CHECK_EQ(e->thread_start(NULL, &t, NULL, note_processors, &there), 0);
    e->thread_join(NULL, t);
    CHECK(CPU_EQUAL(&there, &before));
    note_processors(&there);
    CHECK(CPU_EQUAL(&there, &now));
    CHECK_EQ(e->bind(NULL, NULL, 0), 0);
    note_processors(&now);
    CHECK(CPU_EQUAL(&now, &before));
}

/* What the program itself changes between two bindings counts the second time, and for threads that are started then. */
static void each_binding_begins_anew(void)
{
    static weft_topology machine;
    cpu_set_t before, less, there;
    weft_thread *t;

    note_processors(&before);
    CHECK_EQ(e->topology(NULL, &machine), 0);
    CHECK_EQ(e->bind(NULL, machine.cpu, 1), 0);
    CHECK_EQ(e->bind(NULL, NULL, 0), 0);
    CPU_ZERO(&less);
    CPU_SET(machine.cpu[machine.count - 1], &less);
    CHECK_EQ(sched_setaffinity(0, sizeof less, &less), 0);
    CHECK_EQ(e->thread_start(NULL, &t, NULL, note_processors, &there), 0);
    e->thread_join(NULL, t);
    CHECK(CPU_EQUAL(&there, &less));
    CHECK_EQ(e->bind(NULL, &machine.cpu[machine.count - 1], 1), 0);
    CHECK_EQ(e->thread_start(NULL, &t, NULL, note_processors, &there), 0);
    e->thread_join(NULL, t);
    CHECK(CPU_EQUAL(&there, &less));
    CHECK_EQ(e->bind(NULL, NULL, 0), 0);
    note_processors(&there);
    CHECK(CPU_EQUAL(&there, &less));
    CHECK_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

/* Who was not started by us may have everything blocked: as a worker it hears interrupts,
 * and nothing else that it did not want to. */
static void *joins_as_worker(void *arg)
{
    sigset_t all, now;

    (void)arg;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    CHECK_EQ(e->worker_enter(NULL), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    CHECK(!sigismember(&now, weft__posix_interrupt_signal()));
    CHECK(sigismember(&now, SIGTERM));
    e->worker_leave(NULL);
    return NULL;
}

static void hosts_thread(void)
{
    pthread_t t;

    CHECK_EQ(pthread_create(&t, NULL, joins_as_worker, NULL), 0);
    CHECK_EQ(pthread_join(t, NULL), 0);
}

static void set_current(void *arg)
{
    CHECK(weft__current() == NULL);
    weft__set_current(arg);
    CHECK(weft__current() == arg);
}

static void current_worker(void)
{
    int a, b;
    weft_thread *t;

    CHECK(weft__current() == NULL);
    weft__set_current(&a);
    CHECK_EQ(e->thread_start(NULL, &t, NULL, set_current, &b), 0);
    e->thread_join(NULL, t);
    CHECK(weft__current() == &a);
    weft__set_current(NULL);
}

/* ---- interrupts ---- */

struct busy {
    uintptr_t tag;
    uint32_t ready, stop;
    int blocked;
};

static void spin(void *arg)
{
    struct busy *b = arg;
    sigset_t all;

    CHECK_EQ(e->worker_enter(NULL), 0);
    sigfillset(&all);
    if (b->blocked)
        pthread_sigmask(SIG_SETMASK, &all, NULL);
    b->tag = e->worker_tag(NULL);
    __atomic_store_n(&b->ready, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE))
        e->relax(NULL);
    e->worker_leave(NULL);
}

static weft_thread *start_busy(struct busy *b)
{
    weft_thread *t;

    CHECK_EQ(e->thread_start(NULL, &t, NULL, spin, b), 0);
    while (!__atomic_load_n(&b->ready, __ATOMIC_ACQUIRE))
        e->relax(NULL);
    return t;
}

static void who(void *ctx, const void *machine)
{
    CHECK(machine);
    *(uintptr_t *)ctx = e->worker_tag(NULL);
}

/* A busy machine may not let a thread answer in time; one that never does is a hang. */
static void is_interrupted(uintptr_t tag)
{
    uintptr_t ran_on = 0;
    int r;

    while ((r = e->interrupt(NULL, tag, who, &ran_on)) == -ETIMEDOUT)
        CHECK_EQ(ran_on, 0);
    CHECK_EQ(r, 0);
    CHECK_EQ(ran_on, tag);
}

static void interrupts(void)
{
    struct busy b = {0}, deaf = {.blocked = 1};
    weft_thread *t = start_busy(&b), *d = start_busy(&deaf);
    uintptr_t ran_on = 0;

    for (int i = 0; i < 100; i++)
        is_interrupted(b.tag);
    CHECK_EQ(e->interrupt(NULL, deaf.tag, who, &ran_on), -ETIMEDOUT);
    CHECK_EQ(ran_on, 0);
    __atomic_store_n(&deaf.stop, 1, __ATOMIC_RELEASE);
    e->thread_join(NULL, d);
    is_interrupted(b.tag); /* one that did not answer spoils nothing */
    __atomic_store_n(&b.stop, 1, __ATOMIC_RELEASE);
    e->thread_join(NULL, t);
}

struct sleeper {
    uintptr_t tag;
    uint32_t ready;
    weft_parker parker;
};

static void sleep_on(void *arg)
{
    struct sleeper *s = arg;

    s->tag = e->worker_tag(NULL);
    __atomic_store_n(&s->ready, 1, __ATOMIC_RELEASE);
    e->park(NULL, &s->parker, WEFT_NEVER);
}

/* One that computes wants a processor, but for a moment in the kernel, and its time grows; one that sleeps is blocked,
 * sooner or later. */
static void knows_who_runs(void)
{
    struct busy b = {0};
    struct sleeper s = {0};
    weft_thread *t = start_busy(&b), *d;
    int64_t before, ran = 0;
    int r;

    CHECK_EQ(e->thread_start(NULL, &d, NULL, sleep_on, &s), 0);
    while ((r = e->ran(NULL, b.tag, &before)) != 0)
        CHECK_EQ(r, 1);
    while ((r = e->ran(NULL, b.tag, &ran)) != 0 || ran < before + 10 * WEFT_MILLISECOND)
        CHECK(r == 0 || r == 1);
    __atomic_store_n(&b.stop, 1, __ATOMIC_RELEASE);
    e->thread_join(NULL, t);
    while (!__atomic_load_n(&s.ready, __ATOMIC_ACQUIRE))
        e->relax(NULL);
    while ((r = e->ran(NULL, s.tag, &ran)) != 1)
        CHECK_EQ(r, 0);
    e->unpark(NULL, &s.parker);
    e->thread_join(NULL, d);
    while ((r = e->ran(NULL, s.tag, &ran)) != -ESRCH) /* a thread that is joined has yet to leave the kernel */
        CHECK(r == 0 || r == 1);
}

int main(void)
{
    e = weft_env_posix();
    start();
    mask_is_kept();
    binding_stays_with_the_thread();
    each_binding_begins_anew();
    hosts_thread();
    current_worker();
    interrupts();
    knows_who_runs();
    return 0;
}
