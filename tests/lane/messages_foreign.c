/* Threads that are no workers send (DESIGN rule 12): without waiting, or asleep until there is room, the deadline
 * has passed, or the lane has ended. Each thread's messages stay in order. */
#include <pthread.h>

#include "lane/world.h"

enum { THREADS = 3, EACH = 400 };

static weft_runtime *rt;
static uint64_t where;
static int stage;

static weft_id target(void) { return word_to_id(__atomic_load_n(&where, __ATOMIC_ACQUIRE)); }
static void aim(weft_id id) { __atomic_store_n(&where, id_to_word(id), __ATOMIC_RELEASE); }

/* The POSIX environment's clock is the runtime's. */
static int64_t in_ms(int ms) { return weft_after(ms * WEFT_MILLISECOND); }

/* ---- many threads, one small mailbox ---- */

static void *pours(void *arg)
{
    const uint32_t me = (uint32_t)(uintptr_t)arg;

    for (uint32_t i = 1; i <= EACH; i++) {
        const uint32_t what[2] = {me, i};
        int r;
        if (i % 3 == 0) {
            weft_message *m;
            CHECK_OK(weft_msg_alloc_in(rt, &m, sizeof what));
            memcpy(m->data, what, sizeof what);
            r = weft_send_msg_in(rt, target(), m, &(weft_send_options){.deadline = in_ms(20000)});
        } else if (i % 3 == 1) {
            r = weft_send_in(rt, target(), what, sizeof what, &(weft_send_options){.deadline = in_ms(20000)});
        } else {
            while ((r = weft_send_in(rt, target(), what, sizeof what, NULL)) == -EAGAIN)
                sched_yield();
        }
        CHECK_OK(r);
    }
    return NULL;
}

static int drains(void *arg)
{
    uint32_t last[THREADS] = {0};

    (void)arg;
    for (int i = 0; i < THREADS * EACH; i++) {
        weft_message *m;
        CHECK_OK(weft_receive(&m, soon()));
        const uint32_t *what = m->data;
        CHECK_EQ(what[1], ++last[what[0]]); /* each thread's in order, none lost */
        CHECK(!m->from.gen);
        CHECK_OK(weft_msg_free(m));
    }
    return 0;
}

static void many_threads(void)
{
    weft_options opt = {.workers = 2};
    pthread_t t[THREADS];
    weft_id l;

    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, &l, drains, NULL, &(weft_lane_options){.limits = &(weft_limits){.messages = 4}}));
    aim(l);
    for (uintptr_t i = 0; i < THREADS; i++)
        t[i] = thread_of(pours, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(weft_send_in(rt, l, NULL, 0, NULL), -ESRCH);
    CHECK_OK(weft_end(rt));
}

/* ---- asleep ---- */

static int holds_still(void *arg)
{
    (void)arg;
    bump(&stage);
    const int r = weft_sleep(WEFT_NEVER);
    return r == -ECANCELED ? 0 : -1;
}

static void *waits_for_room(void *arg)
{
    weft_message *m;

    (void)arg;
    CHECK_OK(weft_msg_alloc_in(rt, &m, 5));
    m->tag = 6;
    bump(&stage);
    CHECK_EQ(weft_send_msg_in(rt, target(), m, &(weft_send_options){.deadline = in_ms(20000)}), -ESRCH);
    CHECK_EQ(m->tag, 6); /* still ours */
    CHECK_OK(weft_msg_free(m));
    return NULL;
}

static void asleep(void)
{
    weft_options opt = {.workers = 2};
    pthread_t t[3];
    weft_id l;
    weft_message *m;

    put(&stage, 0);
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, &l, holds_still, NULL, &(weft_lane_options){.limits = &(weft_limits){.messages = 1}}));
    aim(l);
    until(&stage, 1);
    CHECK_OK(weft_send_in(rt, l, "x", 1, NULL));
    CHECK_EQ(weft_send_in(rt, l, "x", 1, NULL), -EAGAIN);
    CHECK_EQ(weft_send_in(rt, l, "x", 1, &(weft_send_options){.deadline = in_ms(3)}), -ETIMEDOUT);
    CHECK_EQ(weft_send_in(rt, l, "x", 1, &(weft_send_options){.deadline = 1}), -ETIMEDOUT);
    CHECK_OK(weft_send_in(rt, l, "y", 1, &(weft_send_options){.full = WEFT_FULL_DROP_OLDEST}));
    for (int i = 0; i < 3; i++)
        t[i] = thread_of(waits_for_room, NULL);
    until(&stage, 4);
    CHECK_OK(weft_msg_alloc_in(rt, &m, 1));
    CHECK_OK(weft_cancel_in(rt, l)); /* its end wakes those who sleep, and tells those who come late the same */
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    CHECK_OK(weft_wait(rt, WEFT_NEVER));
    CHECK_EQ(weft_send_in(rt, l, "x", 1, NULL), -ESRCH);
    CHECK_EQ(weft_send_msg_in(rt, l, m, NULL), -ESRCH);
    CHECK_OK(weft_msg_free(m));
    CHECK_EQ(weft_send_in(NULL, l, "x", 1, NULL), -EINVAL);
    CHECK_EQ(weft_send_msg_in(rt, l, NULL, NULL), -EINVAL);
    CHECK_OK(weft_end(rt));
}

/* ---- a runtime that ends while threads sleep ---- */

static void *sleeps_to_the_end(void *arg)
{
    (void)arg;
    bump(&stage);
    for (;;) {
        const int r = weft_send_in(rt, target(), "x", 1, &(weft_send_options){.deadline = in_ms(20000)});
        if (r == -ESRCH || r == -ESHUTDOWN)
            return NULL;
        CHECK_OK(r);
    }
}

static void ended_meanwhile(void)
{
    for (int round = 0; round < 20; round++) {
        weft_options opt = {.workers = 2};
        pthread_t t[2];
        weft_id l;
        put(&stage, 0);
        CHECK_OK(weft_start(&rt, &opt));
        CHECK_OK(weft_lane_spawn_in(rt, &l, holds_still, NULL, &(weft_lane_options){.limits = &(weft_limits){.messages = 2}}));
        aim(l);
        for (int i = 0; i < 2; i++)
            t[i] = thread_of(sleeps_to_the_end, NULL);
        until(&stage, 3);
        CHECK_OK(weft_stop(rt));
        for (int i = 0; i < 2; i++)
            pthread_join(t[i], NULL);
        CHECK_OK(weft_end(rt));
    }
}

/* ---- fibers of another runtime ---- */

static int of_another(void *arg)
{
    int r;

    (void)arg;
    CHECK_OK(weft_send_in(rt, target(), "x", 1, NULL));
    r = weft_send_in(rt, target(), "x", 1, &(weft_send_options){.deadline = weft_after(WEFT_SECOND)});
    CHECK_EQ(r, -EAGAIN); /* its worker must not be stopped */
    CHECK_EQ(weft_send(target(), "x", 1, NULL), -ESRCH); /* the id is not one of its runtime's */
    put(&stage, 2);
    return 0;
}

static void from_another_runtime(void)
{
    weft_options opt = {.workers = 1};
    weft_runtime *other;
    weft_id l;

    put(&stage, 0);
    CHECK_OK(weft_start(&rt, &opt));
    CHECK_OK(weft_start(&other, &opt));
    CHECK_OK(weft_lane_spawn_in(rt, &l, holds_still, NULL, &(weft_lane_options){.limits = &(weft_limits){.messages = 1}}));
    aim(l);
    until(&stage, 1);
    CHECK_OK(weft_lane_spawn_in(other, NULL, of_another, NULL, NULL));
    until(&stage, 2);
    CHECK_OK(weft_cancel_in(rt, l));
    CHECK_OK(weft_end(other));
    CHECK_OK(weft_end(rt));
}

int main(void)
{
    many_threads();
    asleep();
    ended_meanwhile();
    from_another_runtime();
    return 0;
}
