/* A program that the tools misunderstand unless they are told of every switch; annotations.py runs it built with and
 * without telling. Each case is right in itself: a tool that complains has not been told. */
#include "stacks.h"

#include <pthread.h>
#include <setjmp.h>

static weft__context home;
static weft__context fiber;
static test_stack stack;
static volatile int sum;

__attribute__((noinline)) static void use(volatile char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum += p[i];
}

static void switch_home(void)
{
    weft__switch(&fiber, &home, NULL, NULL);
}

__attribute__((noinline)) static void deep(unsigned n)
{
    volatile char room[300];

    memset((void *)(uintptr_t)room, (int)n, sizeof room);
    if (n == 0)
        switch_home();
    else
        deep(n - 1);
    use(room, sizeof room);
}

/* Parks in the middle of frames with red zones, while the thread unwinds frames of its own by a jump. */
static void fiber_parks_deep(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 3; i++)
        deep(10);
    weft__switch_last(&fiber, &home, NULL, NULL);
}

static jmp_buf out;

__attribute__((noinline)) static void jump_out(unsigned n)
{
    volatile char room[200];

    memset((void *)(uintptr_t)room, 1, sizeof room);
    use(room, sizeof room);
    if (n == 0)
        longjmp(out, 1);
    jump_out(n - 1);
    use(room, sizeof room);
}

static void jumps_within(void)
{
    if (setjmp(out) == 0)
        jump_out(5);
}

static void fiber_jumps(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 20; i++) {
        volatile char room[128];
        memset((void *)(uintptr_t)room, 1, sizeof room);
        jumps_within();
        use(room, sizeof room);
        switch_home();
        use(room, sizeof room);
    }
    weft__switch_last(&fiber, &home, NULL, NULL);
}

static void run(void (*entry)(void *), unsigned resumptions)
{
    weft__context_make(&fiber, stack.lo, stack.size, entry, NULL);
    for (unsigned i = 0; i < resumptions; i++) {
        weft__switch(&home, &fiber, NULL, NULL);
        jumps_within();
    }
}

/* Takes a lock on one thread and gives it back on another: it is the fiber that holds it,
 * which the C library does not mind. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static weft__context *volatile back;

static void fiber_locks(void *arg)
{
    (void)arg;
    CHECK_EQ(pthread_mutex_lock(&lock), 0);
    weft__switch(&fiber, back, NULL, NULL);
    CHECK_EQ(pthread_mutex_unlock(&lock), 0);
    weft__switch_last(&fiber, back, NULL, NULL);
}

static void *resume(void *arg)
{
    static weft__context there;

    (void)arg;
    weft__context_adopt(&there);
    back = &there;
    weft__switch(&there, &fiber, NULL, NULL);
    weft__context_drop(&there);
    return NULL;
}

static void resume_elsewhere(void)
{
    pthread_t other;

    back = &home;
    weft__context_make(&fiber, stack.lo, stack.size, fiber_locks, NULL);
    weft__switch(&home, &fiber, NULL, NULL);
    CHECK_EQ(pthread_create(&other, NULL, resume, NULL), 0);
    CHECK_EQ(pthread_join(other, NULL), 0);
}

/* What only a parked stack points to is not lost. */
static void *volatile handed;

__attribute__((noinline)) static void hand_over(void)
{
    handed = malloc(100);
}

static void fiber_holds_memory(void *arg)
{
    void *volatile mine = handed;

    (void)arg;
    handed = NULL;
    switch_home();
    free(mine);
    weft__switch_last(&fiber, &home, NULL, NULL);
}

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "";

    stack = test_stack_new(256 * 1024);
    weft__context_adopt(&home);
    if (strcmp(which, "deep") == 0) {
        run(fiber_parks_deep, 4);
    } else if (strcmp(which, "jump") == 0) {
        run(fiber_jumps, 21);
    } else if (strcmp(which, "lock") == 0) {
        resume_elsewhere();
    } else if (strcmp(which, "hold") == 0) {
        hand_over();
        run(fiber_holds_memory, 1);
        return 0; /* parked for ever, with memory */
    } else {
        return 2;
    }
    weft__context_drop(&home);
    test_stack_free(&stack);
    return 0;
}
