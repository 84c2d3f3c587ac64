/* The after action: it runs on the new stack, once the old context is completely saved. So it may unmap the stack that
 * was left, and publish the context to another thread that resumes it at once. */
#include "stacks.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define HANDOVERS 20000

static weft__context home;
static weft__context fiber;
static test_stack stack;

static struct {
    int calls;
    void *sp_seen;
    void *stood_on;
} seen;

static void look(void *arg)
{
    char here;

    CHECK(arg == &seen);
    seen.calls++;
    seen.sp_seen = fiber.sp;
    seen.stood_on = &here;
}

static void look_from_fresh(void *arg)
{
    char here;

    seen.calls += 100;
    CHECK(arg == &fiber);
    CHECK(test_stack_holds(&stack, &here)); /* before the entry has run, but on its stack */
    CHECK(home.sp != NULL);
}

static void unmap_left(void *arg)
{
    test_stack_free(arg);
}

static void parks_once(void *arg)
{
    (void)arg;
    CHECK_EQ(seen.calls, 100);
    fiber.sp = NULL;
    weft__switch(&fiber, &home, look, &seen);
    weft__switch_last(&fiber, &home, unmap_left, &stack);
}

static void runs_in_order(void)
{
    stack = test_stack_new(64 * 1024);
    weft__context_adopt(&home);
    weft__context_make(&fiber, stack.lo, stack.size, parks_once, NULL);
    weft__switch(&home, &fiber, look_from_fresh, &fiber);
    CHECK_EQ(seen.calls, 101);
    CHECK(test_stack_holds(&stack, seen.sp_seen)); /* saved before after ran */
    CHECK(!test_stack_holds(&stack, seen.stood_on));
    weft__switch(&home, &fiber, NULL, NULL);
    CHECK(stack.lo == NULL);
    weft__context_drop(&home);
}

/* One context that two threads hand each other: each picks it up the instant the other's after action publishes it. */
static _Atomic(weft__context *) published;
static _Atomic int over;
static _Thread_local weft__context native; /* only ever used through a pointer taken on its own thread */
static unsigned resumed_by[2];

typedef struct traveller {
    weft__context context;
    weft__context *back; /* set by the thread that resumes us */
    unsigned on;
    uint64_t work;
} traveller;

static traveller wanderer;

static void publish(void *arg)
{
    atomic_store_explicit(&published, arg, memory_order_release);
}

static void finish(void *arg)
{
    (void)arg;
    atomic_store_explicit(&over, 1, memory_order_release);
}

static void wander(void *arg)
{
    traveller *t = arg;
    volatile uint64_t local = 1;

    for (unsigned i = 0; i < HANDOVERS; i++) {
        local = local * 6364136223846793005u + i;
        resumed_by[t->on]++;
        weft__switch(&t->context, t->back, publish, &t->context);
    }
    t->work = local;
    weft__switch_last(&t->context, t->back, finish, NULL);
}

static void *carry(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    weft__context *self = &native;

    weft__context_adopt(self);
    while (!atomic_load_explicit(&over, memory_order_acquire)) {
        weft__context *c = atomic_exchange_explicit(&published, NULL, memory_order_acquire);
        if (c == NULL) {
            sched_yield();
            continue;
        }
        wanderer.back = self;
        wanderer.on = me;
        weft__switch(self, c, NULL, NULL);
    }
    weft__context_drop(self);
    return NULL;
}

static void is_published_whole(void)
{
    test_stack own = test_stack_new(64 * 1024);
    pthread_t other;
    uint64_t expected = 1;

    weft__context_make(&wanderer.context, own.lo, own.size, wander, &wanderer);
    atomic_store_explicit(&published, &wanderer.context, memory_order_release);
    CHECK_EQ(pthread_create(&other, NULL, carry, (void *)1), 0);
    carry((void *)0);
    CHECK_EQ(pthread_join(other, NULL), 0);
    for (unsigned i = 0; i < HANDOVERS; i++)
        expected = expected * 6364136223846793005u + i;
    CHECK(wanderer.work == expected);
    CHECK_EQ(resumed_by[0] + resumed_by[1], HANDOVERS);
    test_stack_free(&own);
}

int main(void)
{
    runs_in_order();
    is_published_whole();
    return 0;
}
