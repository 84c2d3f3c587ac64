/* The stealable queue: against a model by itself, then its worker and thieves together: every task comes out exactly
 * once, shed chains included. */
#include <pthread.h>
#include <sched.h>

#include "base/check.h"
#include "sched/deque.h"
#include "test.h"

typedef struct item {
    weft_task task;
    uint32_t taken; /* atomic */
} item;

static uint64_t state = 7;

static uint32_t rnd(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static void against_model(void)
{
    enum { ITEMS = 4096 };
    static weft__deque d;
    static item items[ITEMS];
    static weft_task *model[2 * ITEMS]; /* model[head..tail) */
    uint32_t head = 0, tail = 0, next = 0;

    for (int step = 0; step < 200000; step++) {
        const uint32_t what = rnd() % 8;
        CHECK_EQ(weft__deque_length(&d), tail - head);
        if (tail > ITEMS) { /* back to the front of the model's array */
            memmove(model, model + head, (tail - head) * sizeof *model);
            tail -= head;
            head = 0;
        }
        if (what < 4) {
            weft_task *t = &items[next++ % ITEMS].task;
            if (weft__deque_push(&d, t)) {
                model[tail++] = t;
                CHECK(tail - head <= WEFT__DEQUE_SIZE);
            } else {
                weft_task *last;
                unsigned n;
                CHECK_EQ(tail - head, WEFT__DEQUE_SIZE);
                weft_task *chain = weft__deque_shed(&d, &last, &n);
                CHECK(chain != NULL);
                CHECK_EQ(n, WEFT__DEQUE_SIZE / 2);
                for (uint32_t i = n; i-- > 0; chain = chain->next) /* newest first */
                    CHECK(chain == model[head + i]);
                CHECK(chain == NULL);
                CHECK(last == model[head]);
                head += n;
            }
        } else if (what < 6) {
            weft_task *t = weft__deque_pop(&d);
            CHECK(t == (head == tail ? NULL : model[tail - 1]));
            tail -= t != NULL;
        } else {
            weft_task *t = weft__deque_steal(&d), *last;
            unsigned n;
            CHECK(t == (head == tail ? NULL : model[head]));
            head += t != NULL;
            if (tail - head < WEFT__DEQUE_SIZE)
                CHECK(weft__deque_shed(&d, &last, &n) == NULL);
        }
    }
}

enum { TASKS = 400000, THIEVES = 3 };

static weft__deque shared;
static item *items;
static uint32_t done, stop, stolen;

static void take(weft_task *t)
{
    item *i = weft__container(t, item, task);
    CHECK_EQ(__atomic_fetch_add(&i->taken, 1, __ATOMIC_RELAXED), 0);
    __atomic_fetch_add(&done, 1, __ATOMIC_RELAXED);
}

static void *thief(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        weft_task *t = weft__deque_steal(&shared);
        if (t) {
            take(t);
            __atomic_fetch_add(&stolen, 1, __ATOMIC_RELAXED);
        } else {
            sched_yield();
        }
    }
    return NULL;
}

static void worker_and_thieves(void)
{
    pthread_t t[THIEVES];
    unsigned sheds = 0;

    items = calloc(TASKS, sizeof *items);
    CHECK(items != NULL);
    for (int i = 0; i < THIEVES; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, thief, NULL), 0);
    for (int i = 0; i < TASKS;) {
        for (uint32_t burst = rnd() % (2 * WEFT__DEQUE_SIZE); burst > 0 && i < TASKS; burst--, i++)
            while (!weft__deque_push(&shared, &items[i].task)) {
                weft_task *last;
                unsigned n, seen = 0;
                weft_task *chain = weft__deque_shed(&shared, &last, &n);
                sheds += chain != NULL;
                for (weft_task *next; chain; chain = next, seen++) {
                    next = chain->next;
                    CHECK(next || chain == last);
                    take(chain);
                }
                CHECK(!seen || seen == n);
            }
        for (uint32_t burst = rnd() % WEFT__DEQUE_SIZE; burst > 0; burst--) {
            weft_task *mine = weft__deque_pop(&shared);
            if (!mine)
                break;
            take(mine);
        }
    }
    for (weft_task *mine; (mine = weft__deque_pop(&shared));)
        take(mine);
    while (__atomic_load_n(&done, __ATOMIC_RELAXED) < TASKS) /* what thieves hold in their hands */
        sched_yield();
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < THIEVES; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(done, TASKS);
    CHECK(sheds > 0);
    for (int i = 0; i < TASKS; i++)
        CHECK_EQ(items[i].taken, 1);
    free(items);
}

int main(void)
{
    against_model();
    worker_and_thieves();
    return 0;
}
