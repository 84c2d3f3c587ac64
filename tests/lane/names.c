/* Names: one lane each, found from everywhere, free again before anybody is told of the lane's end. */
#include <pthread.h>

#include "lane/world.h"

static weft_runtime *rt;

static int waits(void *arg)
{
    weft_message *m;

    (void)arg;
    CHECK_OK(weft_register("child"));
    CHECK_OK(weft_register("also child"));
    CHECK_OK(weft_send(*(weft_id *)arg, NULL, 0, NULL));
    const int r = weft_receive(&m, soon());
    return r < 0 ? r : weft_msg_free(m);
}

static void *looks_up(void *arg)
{
    weft_id id;

    CHECK_OK(weft_whereis_in(rt, "child", &id));
    CHECK(weft_id_equal(id, *(weft_id *)arg));
    CHECK_EQ(weft_whereis("child", &id), -EPERM);
    CHECK_EQ(weft_whereis_in(rt, "nobody", &id), -ESRCH);
    CHECK_EQ(weft_whereis_in(NULL, "child", &id), -EINVAL);
    return NULL;
}

static int tries_to_take(void *arg)
{
    weft_id id;

    (void)arg;
    CHECK_EQ(weft_register("child"), -EEXIST);
    CHECK_EQ(weft_unregister("child"), -EPERM);
    CHECK_OK(weft_whereis("child", &id));
    CHECK_EQ(weft_register_as(id, "mine"), -EPERM);
    return 0;
}

static int one_life(void)
{
    weft_id l, id, self = weft_lane_self(), ref;
    weft_message *m;

    CHECK_OK(weft_lane_spawn_with(&l, waits, &self, .copy = sizeof self));
    CHECK_OK(weft_monitor(l, &ref));
    CHECK_OK(weft_receive(&m, soon()));
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_whereis("child", &id));
    CHECK(weft_id_equal(id, l));
    CHECK_OK(weft_whereis("also child", &id));
    CHECK(weft_id_equal(id, l));
    CHECK_OK(weft_register_as(l, "by parent"));
    CHECK_EQ(weft_register_as(l, "by parent"), -EEXIST);
    CHECK_OK(weft_whereis("by parent", &id));
    CHECK(weft_id_equal(id, l));
    rt = weft_current();
    pthread_join(thread_of(looks_up, &l), NULL);
    weft_id other;
    CHECK_OK(weft_lane_spawn(&other, tries_to_take, NULL));
    CHECK_OK(weft_lane_join(other, NULL, soon()));
    CHECK_OK(weft_unregister("also child"));
    CHECK_EQ(weft_whereis("also child", &id), -ESRCH);
    CHECK_OK(weft_send(l, NULL, 0, NULL));
    CHECK_OK(weft_receive(&m, soon()));
    CHECK_EQ(m->kind, WEFT_MSG_DOWN);
    CHECK_EQ(weft_whereis("child", &id), -ESRCH); /* before we were told */
    CHECK_EQ(weft_whereis("by parent", &id), -ESRCH);
    CHECK_OK(weft_msg_free(m));
    CHECK_OK(weft_lane_join(l, NULL, soon()));
    CHECK_EQ(weft_register_as(l, "too late"), -ESRCH);
    return 0;
}

static int everything(int argc, char **argv)
{
    char name[WEFT_NAME_MAX + 2];
    weft_id id;

    (void)argc, (void)argv;
    for (int i = 0; i < 3; i++)
        one_life();
    memset(name, 'n', sizeof name);
    name[WEFT_NAME_MAX + 1] = 0;
    CHECK_EQ(weft_register(name), -ENAMETOOLONG);
    CHECK_EQ(weft_whereis(name, &id), -ESRCH);
    name[WEFT_NAME_MAX] = 0;
    CHECK_OK(weft_register(name));
    CHECK_OK(weft_whereis(name, &id));
    CHECK(weft_id_equal(id, weft_lane_self()));
    CHECK_OK(weft_unregister(name));
    CHECK_EQ(weft_unregister(name), -ESRCH);
    CHECK_EQ(weft_register(""), -EINVAL);
    CHECK_EQ(weft_register(NULL), -EINVAL);
    CHECK_EQ(weft_whereis("", &id), -EINVAL);
    for (int i = 0; i < 2000; i++) { /* more than there are buckets */
        snprintf(name, sizeof name, "n%d", i);
        CHECK_OK(weft_register(name));
    }
    for (int i = 0; i < 2000; i += 2) {
        snprintf(name, sizeof name, "n%d", i);
        CHECK_OK(weft_unregister(name));
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "n%d", i);
        CHECK_EQ(weft_whereis(name, &id), i % 2 ? 0 : -ESRCH);
    }
    return 0;
}

/* Many lanes want the same few names; a name never has two owners. */
enum { ROUNDS = 300, NAMES = 4 };
static int owners[NAMES];

static int contends(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;

    for (int i = 0; i < ROUNDS; i++) {
        const unsigned n = next_random(&seed) % NAMES;
        char name[8];
        weft_id id;
        snprintf(name, sizeof name, "c%u", n);
        const int r = weft_register(name);
        CHECK(r == 0 || r == -EEXIST);
        if (r == 0) {
            CHECK_EQ(bump(&owners[n]), 1);
            if (next_random(&seed) % 2)
                weft_yield();
            __atomic_sub_fetch(&owners[n], 1, __ATOMIC_ACQ_REL);
            CHECK_OK(weft_unregister(name));
        }
        (void)weft_whereis(name, &id);
        weft_yield();
    }
    return 0;
}

static int contention(int argc, char **argv)
{
    weft_id l[6];

    (void)argc, (void)argv;
    for (uint64_t i = 0; i < 6; i++)
        CHECK_OK(weft_lane_spawn_with(&l[i], contends, &i, .copy = sizeof i));
    for (int i = 0; i < 6; i++)
        CHECK_OK(weft_lane_join(l[i], NULL, WEFT_NEVER));
    return 0;
}

int main(void)
{
    CHECK_EQ(weft_register("x"), -EPERM);
    CHECK_EQ(weft_unregister("x"), -EPERM);
    run_clean(everything, 1);
    run_clean(everything, 3);
    run_clean(contention, 3);
    return 0;
}
