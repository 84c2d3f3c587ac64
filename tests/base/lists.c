/* The intrusive lists keep their order, and an inbox gives every task once, in the order of each sender,
 * and says "was empty" once for each time its owner has to be woken. */
#include <pthread.h>

#include "base/list.h"
#include "test.h"

static void fifo(void)
{
    weft__tasks a = {0}, b = {0};
    weft_task t[6];

    CHECK(weft__tasks_empty(&a));
    CHECK(weft__tasks_pop(&a) == NULL);
    weft__tasks_push(&a, &t[1]);
    weft__tasks_push(&a, &t[2]);
    weft__tasks_push_front(&a, &t[0]);
    weft__tasks_push_front(&b, &t[3]); /* on an empty list: the tail follows */
    weft__tasks_push(&b, &t[4]);
    weft__tasks_splice(&a, &b);
    CHECK(weft__tasks_empty(&b));
    weft__tasks_splice(&a, &b);
    weft__tasks_push(&a, &t[5]);
    for (int i = 0; i < 6; i++)
        CHECK(weft__tasks_pop(&a) == &t[i]);
    CHECK(weft__tasks_empty(&a));
    weft__tasks_push(&b, &t[0]);
    weft__tasks_splice(&a, &b);
    CHECK(weft__tasks_pop(&a) == &t[0]);
    CHECK(weft__tasks_pop(&a) == NULL);
}

static void links(void)
{
    weft__link head, l[3];

    weft__link_init(&head);
    CHECK(weft__link_alone(&head));
    for (int i = 0; i < 3; i++)
        weft__link_before(&head, &l[i]);
    CHECK(head.next == &l[0] && head.prev == &l[2]);
    weft__link_remove(&l[1]);
    CHECK(weft__link_alone(&l[1]));
    CHECK(l[0].next == &l[2] && l[2].prev == &l[0]);
    weft__link_remove(&l[1]); /* harmless twice */
    weft__link_remove(&l[0]);
    weft__link_remove(&l[2]);
    CHECK(weft__link_alone(&head));
}

enum { SENDERS = 3, EACH = 20000 };

struct message {
    weft_task task;
    int sender, number;
};

static void *inbox;
static struct message messages[SENDERS][EACH];
static unsigned wakes;

static void *send(void *arg)
{
    const int me = (int)(intptr_t)arg;

    for (int i = 0; i < EACH; i++) {
        messages[me][i].sender = me;
        messages[me][i].number = i;
        if (weft__inbox_push(&inbox, &messages[me][i].task, "test"))
            weft__add_relaxed(&wakes, 1u, "test");
    }
    return NULL;
}

static void inbox_order(void)
{
    pthread_t sender[SENDERS];
    int next[SENDERS] = {0}, got = 0;
    unsigned batches = 0;

    for (int i = 0; i < SENDERS; i++)
        CHECK_EQ(pthread_create(&sender[i], NULL, send, (void *)(intptr_t)i), 0);
    while (got < SENDERS * EACH) {
        weft_task *t = weft__inbox_drain(&inbox, "test");

        batches += t != NULL;
        while (t) {
            const struct message *m = (const struct message *)(const void *)t;

            CHECK_EQ(m->number, next[m->sender]++);
            t = t->next;
            got++;
        }
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(sender[i], NULL);
    CHECK_EQ(wakes, batches);
    CHECK(weft__inbox_drain(&inbox, "test") == NULL);
}

int main(void)
{
    fifo();
    links();
    inbox_order();
    return 0;
}
