/* The inbox: many push, one drains. Nothing is lost or doubled, each sender's order is kept, and exactly the pusher
 * that finds it empty is told to wake. */
#include <pthread.h>
#include <sched.h>

#include "base/check.h"
#include "base/list.h"
#include "test.h"

enum { SENDERS = 4, EACH = 100000 };

typedef struct message {
    weft_task task;
    uint32_t sender, number;
} message;

static void *inbox;
static message *messages[SENDERS];
static uint32_t wakes; /* how many pushes found it empty */

static void *sender(void *arg)
{
    const uint32_t me = (uint32_t)(uintptr_t)arg;

    for (uint32_t i = 0; i < EACH; i++) {
        messages[me][i] = (message){.sender = me, .number = i};
        if (weft__inbox_push(&inbox, &messages[me][i].task, "test"))
            __atomic_add_fetch(&wakes, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

int main(void)
{
    pthread_t t[SENDERS];
    uint32_t next[SENDERS] = {0}, got = 0, drains = 0;

    CHECK(weft__inbox_drain(&inbox, "test") == NULL);
    for (uint32_t i = 0; i < SENDERS; i++) {
        messages[i] = malloc(EACH * sizeof *messages[i]);
        CHECK(messages[i] != NULL);
        CHECK_EQ(pthread_create(&t[i], NULL, sender, (void *)(uintptr_t)i), 0);
    }
    while (got < SENDERS * EACH) {
        weft_task *list = weft__inbox_drain(&inbox, "test");
        drains += list != NULL;
        if (!list)
            sched_yield();
        for (weft_task *l = list, *n; l; l = n, got++) {
            message *m = weft__container(l, message, task);
            n = l->next;
            CHECK_EQ(m->number, next[m->sender]);
            next[m->sender]++;
        }
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(t[i], NULL);
        CHECK_EQ(next[i], EACH);
        free(messages[i]);
    }
    CHECK_EQ(wakes, drains); /* each filling of the empty inbox was announced once */
    CHECK(weft__inbox_drain(&inbox, "test") == NULL);
    return 0;
}
