/* Owns the POSIX table, and its small slots: clocks, entropy, the log. Any thread. The table is filled once, by whoever
 * asks first, and never changes after that: it is shared by all runtimes of the process. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/random.h>
#endif

#include "base/check.h"
#include "env/posix.h"

static weft_env table;
/* Unlike pthread_once it makes no system call where nobody waits. */
static pthread_mutex_t filling = PTHREAD_MUTEX_INITIALIZER;
static uint32_t filled;                                     /* 1: the table and the log's level are there (atomic) */
static int log_level = WEFT_LOG_INFO;

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t) != 0)
        weft__panic(__FILE__, "the system has this clock");
    return (int64_t)t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

int64_t weft__posix_now(void *self)
{
    (void)self;
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t weft__posix_wall(void *self)
{
    (void)self;
    return clock_ns(CLOCK_REALTIME);
}

/* For kernels without getrandom, and containers whose filter refuses it. */
static void entropy_from_device(char *p, size_t n)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        weft__panic(__FILE__, "there is a source of entropy: getrandom() or /dev/urandom");
    while (n > 0) {
        ssize_t got = read(fd, p, n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            weft__panic(__FILE__, "/dev/urandom can be read");
        p += got;
        n -= (size_t)got;
    }
    close(fd);
}

void weft__posix_entropy(void *self, void *buf, size_t n)
{
    char *p = buf;

    (void)self;
#if defined(__linux__)
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        p += got;
        n -= (size_t)got;
    }
#endif
    if (n > 0)
        entropy_from_device(p, n);
}

/* One system call a line, so that lines of several threads and processes do not run into each other. */
void weft__posix_log(void *self, enum weft_log_level level, const char *text, size_t n)
{
    static const char prefix[] = "weft: ", newline[] = "\n";
    struct iovec part[3] = {
        {.iov_base = (void *)(uintptr_t)prefix, .iov_len = sizeof prefix - 1},
        {.iov_base = (void *)(uintptr_t)text, .iov_len = n},
        {.iov_base = (void *)(uintptr_t)newline, .iov_len = sizeof newline - 1},
    };
    int saved = errno;

    (void)self;
    if ((int)level > log_level)
        return;
    while (writev(STDERR_FILENO, part, 3) < 0 && errno == EINTR)
        ;
    errno = saved;
}

void weft__posix_relax(void *self)
{
    (void)self;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    /* `yield` does nothing on most cores; isb waits about as long as x86's pause. */
    __asm__ volatile("isb" ::: "memory");
#elif defined(__riscv)
    __asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory"); /* pause, a hint on cores without Zihintpause */
#else
    __asm__ volatile("" ::: "memory");
#endif
}

void weft__posix_give_way(void *self)
{
    (void)self;
    sched_yield(); /* fails nowhere */
}

/* WEFT_LOG=error|warning|info|debug. Read once, here: getenv beside a setenv of another thread is a race. */
static int level_from_environment(void)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    const char *wanted = getenv("WEFT_LOG");

    for (int i = 0; wanted && i < 4; i++)
        if (strcmp(wanted, names[i]) == 0)
            return i;
    return WEFT_LOG_INFO;
}

static void fill(void)
{
    log_level = level_from_environment();
    table = (weft_env){
        .name = "posix",
        .now = weft__posix_now,
        .wall = weft__posix_wall,
        .entropy = weft__posix_entropy,
        .page_size = weft__posix_page_size(),
        .map = weft__posix_map,
        .unmap = weft__posix_unmap,
        .map_as = weft__posix_map_as,
        .guard = weft__posix_guard,
        .guard_row = weft__posix_guard_row,
        .unguard = weft__posix_unguard,
#if defined(__aarch64__)
        .guard_size = 65536, /* kernels with 64 KiB pages exist: a stack laid out for them runs on all */
#endif
        .discard = weft__posix_discard,
        .populate = weft__posix_populate,
        .resident = weft__posix_resident,
        .thread_start = weft__posix_thread_start,
        .thread_join = weft__posix_thread_join,
        .park = weft__posix_park,
        .unpark = weft__posix_unpark,
        .relax = weft__posix_relax,
        .linger = 256, /* some 5 us */
        .give_way = weft__posix_give_way,
        .topology = weft__posix_topology,
        .bind = weft__posix_bind,
        .log = weft__posix_log,
        .worker_enter = weft__posix_worker_enter,
        .worker_leave = weft__posix_worker_leave,
#ifdef WEFT__FAULT_POSIX
        .fault_watch = weft__posix_fault_watch,
        .fault_unwatch = weft__posix_fault_unwatch,
#endif
        .worker_tag = weft__posix_worker_tag,
        .interrupt = weft__posix_interrupt,
        .disturb = weft__posix_disturb,
        .ran = weft__posix_ran,
        .symbol = weft__posix_symbol,
        .setting = weft__posix_setting,
        .signals = weft__posix_signals,
    };
}

WEFT_API const weft_env *weft_env_posix(void)
{
    if (__atomic_load_n(&filled, __ATOMIC_ACQUIRE))
        return &table;
    pthread_mutex_lock(&filling);
    if (!__atomic_load_n(&filled, __ATOMIC_RELAXED)) {
        fill();
        __atomic_store_n(&filled, 1, __ATOMIC_RELEASE); /* pairs with the acquire above */
    }
    pthread_mutex_unlock(&filling);
    return &table;
}
