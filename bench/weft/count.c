/* The library's operations one by one, for counting: instructions by callgrind, which is told where
 * each begins and ends, and allocations, which are counted here. Each is done often before it is
 * counted, so that what is pooled is there.
 *
 *     bench-count            prints NAME OPERATIONS ALLOCATIONS for each */
#include "answers.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft/weft.h>
#if WEFT_HAVE_VALGRIND
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS (void)0
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

/* ---- allocations: every way to memory goes through here ---- */

static long allocations;

#ifdef __GLIBC__
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n) { return allocations++, __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return allocations++, __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return allocations++, __libc_realloc(p, n); }
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    allocations++;
    return (void *)(uintptr_t)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}
#endif

static void must(int64_t r)
{
    if (r < 0) {
        fprintf(stderr, "count: %s\n", weft_strerror((int)r));
        exit(1);
    }
}

/* ---- operations ---- */

static int yielder(void *arg)
{
    for (long i = (long)(intptr_t)arg; i > 0; i--)
        weft_yield();
    return 0;
}

static void yield(long n)
{
    weft_id f[2];
    for (int i = 0; i < 2; i++)
        must(weft_spawn(&f[i], yielder, (void *)(intptr_t)(n / 2)));
    for (int i = 0; i < 2; i++)
        must(weft_join(f[i], NULL, WEFT_NEVER));
}

static int empty(void *arg)
{
    (void)arg;
    return 0;
}

static void spawn(long n)
{
    for (long i = 0; i < n; i++) {
        weft_id f;
        must(weft_spawn(&f, empty, NULL));
        must(weft_join(f, NULL, WEFT_NEVER));
    }
}

static void lane(long n)
{
    for (long i = 0; i < n; i++) {
        weft_id l;
        must(weft_lane_spawn(&l, empty, NULL));
        must(weft_lane_join(l, NULL, WEFT_NEVER));
    }
}

static void deadline(long n)
{
    for (long i = 0; i < n; i++) {
        must(weft_unpark(weft_self()));
        must(weft_park(weft_after(30 * WEFT_SECOND)));
    }
}

static void timer(long n)
{
    int64_t far = weft_after(30 * WEFT_SECOND);
    for (long i = 0; i < n; i++) {
        weft_scope s;
        must(weft_scope_enter(&s, far + i));
        must(weft_scope_leave(&s));
    }
}

static void alarm_set(long n)
{
    int64_t far = weft_after(30 * WEFT_SECOND);
    weft_alarm a = {{0}};
    weft_event rung = {{0}};
    for (long i = 0; i < n; i++) {
        must(weft_alarm_set(&a, &rung, far + i));
        must(weft_alarm_stop(&a) - 1);
    }
}

static weft_channel there, back;
static long there_slot, back_slot;

static int echoes(void *arg)
{
    long x;
    (void)arg;
    while (weft_channel_receive(&there, &x, WEFT_NEVER) == 0)
        must(weft_channel_send(&back, &x, WEFT_NEVER));
    return 0;
}

static void channel(long n)
{
    weft_id f;
    must(weft_channel_init(&there, sizeof(long), 1, &there_slot));
    must(weft_channel_init(&back, sizeof(long), 1, &back_slot));
    must(weft_spawn(&f, echoes, NULL));
    for (long i = 0; i < n / 2; i++) {
        long x = i;
        must(weft_channel_send(&there, &x, WEFT_NEVER));
        must(weft_channel_receive(&back, &x, WEFT_NEVER));
    }
    must(weft_channel_close(&there, 0));
    must(weft_join(f, NULL, WEFT_NEVER));
}

static int feeds(void *arg)
{
    for (long i = (long)(intptr_t)arg; i > 0; i--)
        must(weft_channel_send(&there, &i, WEFT_NEVER));
    return 0;
}

static void selects(long n)
{
    weft_id f;
    long x, y;
    must(weft_channel_init(&there, sizeof(long), 1, &there_slot));
    must(weft_channel_init(&back, sizeof(long), 1, &back_slot));
    must(weft_spawn(&f, feeds, (void *)(intptr_t)n));
    weft_case cases[] = {WEFT_RECEIVE(&back, &y), WEFT_RECEIVE(&there, &x)};
    for (long i = 0; i < n; i++)
        must(weft_select(cases, 2, WEFT_NEVER) - 1);
    must(weft_join(f, NULL, WEFT_NEVER));
}

static weft_mutex mutex;

static void lock(long n)
{
    for (long i = 0; i < n; i++) {
        must(weft_mutex_lock(&mutex, WEFT_NEVER));
        must(weft_mutex_unlock(&mutex));
    }
}

static weft_mutex waited_for;

static int waits_for_it(void *arg)
{
    (void)arg;
    must(weft_mutex_lock(&waited_for, WEFT_NEVER));
    return weft_mutex_unlock(&waited_for);
}

/* The same by a fiber that holds another lock. */
static void lock_second(long n)
{
    must(weft_mutex_lock(&waited_for, WEFT_NEVER));
    lock(n);
    must(weft_mutex_unlock(&waited_for));
}

/* And that is waited for there: an edge leads to it. */
static void lock_owner(long n)
{
    weft_id f;
    must(weft_mutex_lock(&waited_for, WEFT_NEVER));
    must(weft_spawn(&f, waits_for_it, NULL));
    must(weft_yield());
    lock(n);
    must(weft_mutex_unlock(&waited_for));
    must(weft_join(f, NULL, WEFT_NEVER));
}

static void message(long n)
{
    weft_id l;
    weft_message *m;
    must(weft_lane_spawn_with(&l, answers, NULL, .pinned = 1));
    for (long i = 0; i < n / 2; i++) {
        must(weft_send(l, &i, sizeof i, NULL));
        must(weft_receive(&m, WEFT_NEVER));
        must(weft_msg_free(m));
    }
    must(weft_send_with(l, NULL, 0, .tag = 1));
    must(weft_lane_join(l, NULL, WEFT_NEVER));
}

static int echo_peer(void *arg)
{
    weft_id conn = *(weft_id *)arg;
    char byte;
    while (weft_read(conn, &byte, 1, weft_after(30 * WEFT_SECOND)) > 0)
        must(weft_write(conn, &byte, 1, WEFT_NEVER));
    return 0;
}

static int server(void *arg) { return weft_accept_each(*(weft_id *)arg, echo_peer, NULL); }

/* Both ends in this process: a round trip is two reads and two writes. */
static void echo(long n)
{
    static weft_id listener, conn;
    weft_addr addr;
    char byte = 'x';
    if (conn.gen == 0) {
        must(weft_listen(&listener, "127.0.0.1:0", NULL));
        must(weft_local_addr(listener, &addr));
        must(weft_spawn(NULL, server, &listener));
        must(weft_connect_addr(&conn, &addr, WEFT_NEVER));
    }
    for (long i = 0; i < n; i++) {
        must(weft_write(conn, &byte, 1, WEFT_NEVER));
        must(weft_read(conn, &byte, 1, WEFT_NEVER));
    }
}

/* ---- few and many at once: the same operations, and what each costs is not to depend on how many there are ---- */

enum { FEW = 1000, MANY = 100000 };

static weft_id ids[MANY], timers[MANY];
static weft_alarm alarms[MANY];
static weft_event rung;

static void spawn_at_once(long n, int at_once)
{
    for (; n > 0; n -= at_once) {
        for (int i = 0; i < at_once; i++)
            must(weft_spawn(&ids[i], empty, NULL));
        for (int i = 0; i < at_once; i++)
            must(weft_join(ids[i], NULL, WEFT_NEVER));
    }
}

static void alarms_at_once(long n, int at_once)
{
    for (; n > 0; n -= at_once) {
        int64_t far = weft_after(3600 * WEFT_SECOND);
        for (int i = 0; i < at_once; i++)
            must(weft_alarm_set(&alarms[i], &rung, far - i * WEFT_MICROSECOND));
        for (int i = at_once; i > 0; i--)
            must(weft_alarm_stop(&alarms[i - 1]) - 1);
    }
}

static void ids_at_once(long n, int at_once)
{
    for (int i = 0; timers[at_once - 1].gen == 0; i++)
        if (timers[i].gen == 0)
            must(weft_timer_open(&timers[i]));
    for (; n > 0; n -= at_once)
        for (int i = 0; i < at_once; i++)
            must(weft_timer_set(timers[i], WEFT_NEVER, 0));
}

static void spawn_few(long n) { spawn_at_once(n, FEW); }
static void spawn_many(long n) { spawn_at_once(n, MANY); }
static void alarms_few(long n) { alarms_at_once(n, FEW); }
static void alarms_many(long n) { alarms_at_once(n, MANY); }
static void ids_few(long n) { ids_at_once(n, FEW); }
static void ids_many(long n) { ids_at_once(n, MANY); }

/* ---- counting ---- */

static const struct { const char *name; void (*run)(long n); long n; } operations[] = {
    {"yield", yield, 10000}, {"spawn", spawn, 5000}, {"lane", lane, 3000}, {"deadline", deadline, 5000}, {"timer", timer, 5000},
    {"alarm", alarm_set, 5000},
    {"channel", channel, 10000}, {"select", selects, 5000}, {"lock", lock, 10000},
    {"lock-second", lock_second, 10000}, {"lock-owner", lock_owner, 10000}, {"message", message, 5000},
    {"spawn-few", spawn_few, 10 * FEW}, {"spawn-many", spawn_many, MANY}, {"alarm-few", alarms_few, 10 * FEW},
    {"alarm-many", alarms_many, MANY}, {"id-few", ids_few, 10 * FEW}, {"id-many", ids_many, MANY}, {"echo", echo, 1000}};

static int start(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        operations[i].run(operations[i].n / 5 + 10);
        long before = allocations;
        CALLGRIND_ZERO_STATS;
        operations[i].run(operations[i].n);
        CALLGRIND_DUMP_STATS_AT(operations[i].name);
        printf("%s %ld %ld\n", operations[i].name, operations[i].n, allocations - before);
        fflush(stdout);
    }
    exit(0); /* the accept loop goes on for ever */
}

int main(int argc, char **argv)
{
    /* How often a worker looks at its port is a matter of time, which an instrument stretches:
     * here it looks when it has nothing else to do. */
    weft_options opt = {.workers = 1, .blocked_ns = -1, .tick_ns = WEFT_SECOND};
    return weft_main(start, argc, argv, &opt);
}
