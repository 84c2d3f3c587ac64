/* Strict mode: all memory of the core comes from one block. The heap and the mapping calls are poisoned from the
 * first instruction of weft on, and fibers, lanes, timers, tasks and ops work all the same, on one worker that is
 * the program's own thread. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "fiber/fiber.h"
#include "lane/world.h"

#if TEST_SANITIZED

int main(void) { SKIP("sanitizers bring a heap of their own"); }

#else

static int poisoned;

static void check_poison(const char *what)
{
    if (!poisoned)
        return;
    poisoned = 0;
    TEST_FAIL("%s was called", what);
}

/* Only what is called from here and from weft; the C library's own calls among themselves are below malloc. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t m);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);
void *malloc(size_t n) { return check_poison("malloc"), __libc_malloc(n); }
void *calloc(size_t n, size_t m) { return check_poison("calloc"), __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { return check_poison("realloc"), __libc_realloc(p, n); }
void free(void *p)
{
    check_poison("free");
    __libc_free(p);
}
void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    check_poison("mmap");
    return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}
int munmap(void *p, size_t n) { return check_poison("munmap"), (int)syscall(SYS_munmap, p, n); }

/* ---- what runs ---- */

static int counted, fds[2];

static int counts(void *arg)
{
    counted++;
    return (int)(intptr_t)arg;
}

static int parks(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

static int sleeps(void *arg)
{
    const int64_t deadline = weft_after(*(const int64_t *)arg);

    CHECK_OK(weft_sleep(deadline));
    CHECK(weft_now() >= deadline);
    counted++;
    return 0;
}

static void fibers(void)
{
    weft_id f[100];
    int r;

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 100; i++)
            CHECK_OK(weft_spawn(&f[i], i % 2 ? parks : counts, (void *)(intptr_t)i));
        CHECK_OK(weft_yield());
        for (int i = 1; i < 100; i += 2)
            CHECK_OK(round % 2 ? weft_unpark(f[i]) : weft_cancel(f[i]));
        for (int i = 0; i < 100; i++) {
            CHECK_OK(weft_join(f[i], &r, WEFT_NEVER));
            CHECK_EQ(r, i % 2 == 0 ? i : round % 2 ? 0 : -ECANCELED);
        }
    }
}

static void timers(void)
{
    weft_id f[100];
    weft_scope s;

    for (int i = 0; i < 100; i++) {
        int64_t ns = i * 50 * WEFT_MICROSECOND;
        CHECK_OK(weft_spawn_with(&f[i], sleeps, &ns, .copy = sizeof ns));
    }
    for (int i = 0; i < 100; i++)
        CHECK_OK(weft_join(f[i], NULL, WEFT_NEVER));
    CHECK_OK(weft_scope_enter(&s, weft_after(WEFT_MILLISECOND)));
    CHECK_EQ(weft_park(WEFT_NEVER), -ECANCELED);
    CHECK_EQ(weft_scope_leave(&s), -ETIMEDOUT);
}

static int makes_children(void *arg)
{
    weft_id l[5];
    int r;

    for (int i = 0; i < 5; i++)
        CHECK_OK(weft_lane_spawn(&l[i], counts, arg));
    for (int i = 0; i < 5; i++)
        CHECK_OK(weft_lane_join(l[i], &r, WEFT_NEVER));
    return 0;
}

static void lanes(void)
{
    weft_id l;

    for (int i = 0; i < 100; i++) {
        CHECK_OK(weft_lane_spawn(&l, makes_children, NULL));
        CHECK_OK(weft_lane_join(l, NULL, WEFT_NEVER));
    }
}

static int echoes(void *arg)
{
    weft_desc d;
    weft_op op;
    char byte;

    (void)arg;
    weft__desc_init(&d, fds[1], WEFT_DESC_STREAM);
    for (;;) {
        weft_op_recv(&op, &d, &byte, 1);
        const int64_t n = weft__await_op(&op, WEFT_NEVER);
        if (n <= 0) {
            weft__desc_close(weft__worker_self()->port, &d);
            return (int)n;
        }
        weft_op_send(&op, &d, &byte, 1);
        CHECK_EQ(weft__await_op(&op, WEFT_NEVER), 1);
    }
}

static void ops(void)
{
    weft_desc d;
    weft_op op;
    weft_id f;
    char byte;
    int r;

    weft__desc_init(&d, fds[0], WEFT_DESC_STREAM);
    CHECK_OK(weft_spawn(&f, echoes, NULL));
    for (int i = 0; i < 300; i++) {
        byte = (char)i;
        weft_op_send(&op, &d, &byte, 1);
        CHECK_EQ(weft__await_op(&op, WEFT_NEVER), 1);
        byte = 0;
        weft_op_recv(&op, &d, &byte, 1);
        CHECK_EQ(weft__await_op(&op, WEFT_NEVER), 1);
        CHECK_EQ(byte, (char)i);
    }
    weft_op_recv(&op, &d, &byte, 1);
    CHECK_EQ(weft__await_op(&op, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    weft__desc_close(weft__worker_self()->port, &d);
    CHECK_OK(weft_join(f, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
}

static int task_ran;
static void run_task(weft_task *t)
{
    (void)t;
    task_ran = 1;
}

static int everything(int argc, char **argv)
{
    weft_task t = {.run = run_task};

    (void)argc, (void)argv;
    fibers();
    timers();
    lanes();
    ops();
    CHECK_OK(weft_task_submit(weft_current(), &t));
    while (!task_ran)
        CHECK_OK(weft_yield());
    CHECK_EQ(counted, 20 * 50 + 100 + 500);
    return 0;
}

static _Alignas(4096) char block[24 << 20];
static _Alignas(4096) char ring[4 << 20];
static _Alignas(64) char signal_stack[64 << 10];

int main(void)
{
    /* A thread of the host's has what a thread has already; and who describes the machine to a program with one
     * worker is nobody. */
    const stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    weft_env env = *weft_env_posix();
    weft_env free_env;
    size_t before, after, longest;
    enum weft_mode mode = WEFT_SHARED;

    CHECK_EQ(sigaltstack(&alternate, NULL), 0);
    env.topology = NULL;
    env.thread_start = NULL;
    weft_options opt = {.mode = mode, .workers = 1, .env = &env, .memory = block, .memory_size = sizeof block,
        .stack_size = 32 << 10, .port_config = {.memory = ring, .memory_size = sizeof ring}};
    CHECK_OK(weft_env_block(&free_env, &env, block, sizeof block));
    CHECK_OK(weft_env_block_free(&free_env, &before, &longest));
    for (int way = 0; way < 3; way++) {
        if (way == 2)
            unsetenv("WEFT_PORT"); /* which port works here has to be found out */
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        counted = task_ran = 0;
        poisoned = 1;
        if (way != 1) {
            CHECK_EQ(weft_main(everything, 0, NULL, &opt), 0);
        } else {
            CHECK_OK(weft_init(&opt));
            CHECK_OK(everything(0, NULL));
            CHECK_OK(weft_fini(WEFT_NEVER));
        }
        poisoned = 0;
        CHECK_OK(weft_env_block_free(&free_env, &after, &longest));
        CHECK_EQ(after, before); /* all of the block is free again */
    }
    return 0;
}

#endif
