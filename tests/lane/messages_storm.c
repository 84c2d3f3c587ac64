/* A seeded storm of messages, calls, monitors and links between lanes that die at every moment, against a model: what a
 * pair of lanes says arrives in order, nothing twice, nothing lost that was not dropped; every monitor is told exactly
 * once, and only after the lane's name was free again and its mailbox gone.
 *
 *     messages_storm [lanes [seed]]         soak: SECONDS in SOAK_SECONDS decides */
#include <time.h>

#include "lane/world.h"

enum { TALKERS = 8, FIBERS = 3, WORDS = 24 };

typedef struct talker {
    uint64_t seed;
    int index;
} talker;

/* One message's content. */
typedef struct word {
    int from, fiber;
    uint32_t life, number; /* of that fiber's words to this receiver in this life */
} word;

/* The board tells who lives where: ids travel as two halves in one atomic word. */
static uint64_t board[TALKERS];
static uint32_t lives[TALKERS];     /* how many lanes have had that place */
static uint64_t sent, refused, received, called, answered, downs, monitors, dead_ends;

static weft_id look(int i) { return word_to_id(__atomic_load_n(&board[i], __ATOMIC_ACQUIRE)); }
static void count(uint64_t *n) { __atomic_add_fetch(n, 1, __ATOMIC_RELAXED); }

/* What one lane knows; on the stack of its main fiber. */
typedef struct lane_state {
    talker who;
    uint32_t life;
    int done;                                     /* fibers that have said everything */
    uint32_t heard[TALKERS][FIBERS];              /* last word number, for the life below */
    uint32_t heard_life[TALKERS];
    weft_id refs[64];
    uint8_t told[64];
    int watched;
} lane_state;

typedef struct mouth {
    lane_state *st;
    int fiber;
    uint64_t seed;
} mouth;

static int acceptable(int r)
{
    return r == 0 || r == -ESRCH || r == -EAGAIN || r == -ETIMEDOUT || r == -ECANCELED;
}

static void heed_word(lane_state *st, const weft_message *m)
{
    const word *w = m->data;

    CHECK_EQ(m->size, sizeof *w);
    if (w->life != st->heard_life[w->from]) {
        CHECK(w->life > st->heard_life[w->from]); /* the dead do not speak after their successors */
        st->heard_life[w->from] = w->life;
        memset(st->heard[w->from], 0, sizeof st->heard[w->from]);
    }
    CHECK(w->number > st->heard[w->from][w->fiber]); /* in order, none twice */
    st->heard[w->from][w->fiber] = w->number;
    count(&received);
}

static void heed_down(lane_state *st, const weft_down *d)
{
    char name[32];
    weft_id id;
    int known = 0;

    for (int i = 0; i < st->watched; i++)
        if (weft_id_equal(st->refs[i], d->ref)) {
            CHECK(!st->told[i]);
            st->told[i] = 1;
            known++;
        }
    CHECK_EQ(known, 1);
    CHECK_EQ(weft_send_with(d->exit.lane, NULL, 0, .full = WEFT_FULL_REFUSE), -ESRCH);
    snprintf(name, sizeof name, "%x.%x", d->exit.lane.key, d->exit.lane.gen);
    CHECK_EQ(weft_whereis(name, &id), -ESRCH);
    count(&downs);
}

/* 0: there was nothing. */
static int hear(lane_state *st, int64_t deadline)
{
    weft_message *m;
    const int r = weft_receive(&m, deadline);

    if (r < 0) {
        CHECK(r == -ETIMEDOUT || r == -ECANCELED);
        return 0;
    }
    if (m->kind == WEFT_MSG_DOWN) {
        heed_down(st, weft_msg_down(m));
    } else if (m->kind == WEFT_MSG_DATA && m->tag == 1) {
        heed_word(st, m);
    } else if (m->kind == WEFT_MSG_DATA && m->tag == 0 && m->reply.gen) {
        const int said = weft_reply(m, m->data, m->size);
        CHECK(said == 0 || said == -ESRCH);
    } else if (m->kind == WEFT_MSG_EXIT) {
        CHECK(weft_msg_down(m)->exit.lane.gen);
    }
    CHECK_OK(weft_msg_free(m));
    return 1;
}

static void ask(mouth *me, weft_id to)
{
    uint32_t q = next_random(&me->seed), *p;
    weft_message *a;
    const int r = weft_call(to, &q, sizeof q, &a, weft_after((int64_t)(next_random(&me->seed) % 400) * WEFT_MICROSECOND));

    count(&called);
    CHECK(acceptable(r));
    if (r < 0)
        return;
    p = a->data;
    CHECK_EQ(a->size, sizeof q);
    CHECK_EQ(*p, q); /* the answer to this question and to no other */
    CHECK_OK(weft_msg_free(a));
    count(&answered);
}

static void say(mouth *me, int to, uint32_t *number)
{
    static const int ways[] = {WEFT_FULL_PARK, WEFT_FULL_PARK, WEFT_FULL_REFUSE, WEFT_FULL_DROP_OLDEST};
    word w = {me->st->who.index, me->fiber, me->st->life, ++number[to]};
    weft_send_options opt = {.tag = 1, .full = ways[next_random(&me->seed) % 4]};
    const weft_id id = look(to);
    int r;

    if (opt.full == WEFT_FULL_PARK)
        opt.deadline = weft_after((int64_t)(next_random(&me->seed) % 500) * WEFT_MICROSECOND);
    if (next_random(&me->seed) % 3 == 0) {
        weft_message *m;
        if (weft_msg_alloc(&m, sizeof w) < 0)
            return;
        memcpy(m->data, &w, sizeof w);
        m->tag = 1;
        r = weft_send_msg(id, m, &opt);
        if (r < 0 && next_random(&me->seed) % 2)
            CHECK_OK(weft_msg_free(m)); /* else it dies with us */
    } else {
        r = weft_send(id, &w, sizeof w, &opt);
    }
    CHECK(acceptable(r));
    count(r < 0 ? &refused : &sent);
}

static void watch(mouth *me, weft_id lane)
{
    lane_state *st = me->st;

    if (st->watched == 64 || !lane.gen || weft_id_equal(lane, weft_lane_self()))
        return;
    const int i = st->watched++;
    st->told[i] = 0;
    CHECK_OK(weft_monitor(lane, &st->refs[i]));
    count(&monitors);
    if (next_random(&me->seed) % 4 == 0) {
        const int r = weft_demonitor(st->refs[i], 1);
        CHECK(r == 0 || r == -ESRCH); /* -ESRCH: its message is with a fiber already */
        if (r == 0) {
            CHECK(!st->told[i]);
            st->told[i] = 1; /* and so must not be told any more */
            __atomic_sub_fetch(&monitors, 1, __ATOMIC_RELAXED);
        }
    }
}

static int speaks(void *arg)
{
    mouth me = *(mouth *)arg;
    uint32_t number[TALKERS] = {0};

    for (int i = 0; i < WORDS; i++) {
        const int to = (int)(next_random(&me.seed) % TALKERS);
        switch (next_random(&me.seed) % 8) {
        case 0:
            ask(&me, look(to));
            break;
        case 1:
            watch(&me, look(to));
            break;
        case 2:
            if (look(to).gen && !weft_id_equal(look(to), weft_lane_self())) {
                const int r = weft_link(look(to));
                CHECK(acceptable(r));
                if (r == 0 && next_random(&me.seed) % 3)
                    CHECK(acceptable(weft_unlink(look(to))));
            }
            break;
        case 3:
            weft_yield();
            break;
        default:
            say(&me, to, number);
        }
    }
    me.st->done++;
    return 0;
}

/* Ends by itself, by an error, cancelled, or by a link: whatever comes first. */
static int talks(void *arg)
{
    lane_state st = {.who = *(talker *)arg};
    uint64_t seed = st.who.seed;
    char name[32];
    const weft_id self = weft_lane_self();

    st.life = __atomic_add_fetch(&lives[st.who.index], 1, __ATOMIC_ACQ_REL);
    __atomic_store_n(&board[st.who.index], id_to_word(self), __ATOMIC_RELEASE);
    snprintf(name, sizeof name, "%x.%x", self.key, self.gen);
    CHECK_OK(weft_register(name));
    if (next_random(&seed) % 2)
        CHECK_OK(weft_trap_exit(1));
    for (int i = 0; i < FIBERS; i++) {
        mouth m = {&st, i, next_random(&seed)};
        CHECK_OK(weft_spawn_with(NULL, speaks, &m, .copy = sizeof m));
    }
    const int patience = (int)(next_random(&seed) % 200);
    for (int i = 0; i < patience && !weft_canceled(); i++)
        hear(&st, weft_after((int64_t)(next_random(&seed) % 300) * WEFT_MICROSECOND));
    const int fails = next_random(&seed) % 4 == 0;
    /* Our fibers use what lies on this stack. A fair end waits for them, and for every monitor that has to be told. */
    for (int tries = 0; st.done < FIBERS; tries++)
        if (!hear(&st, weft_after(100 * WEFT_MICROSECOND)) && weft_canceled())
            weft_yield();
    if (fails)
        count(&dead_ends);
    return fails ? -EPROTO : 0;
}

/* Keeps all places taken by lanes, each of which it watches, until so many have lived. */
static uint64_t to_live, first_seed;

static int storm(int argc, char **argv)
{
    weft_id refs[TALKERS], lanes[TALKERS];
    uint64_t seed = first_seed, born = 0, ended = 0;

    (void)argc, (void)argv;
    while (ended < to_live) {
        for (; born < to_live && born - ended < TALKERS; born++) {
            int place = -1;
            for (int i = 0; i < TALKERS && place < 0; i++)
                if (born < TALKERS ? i == (int)born : !refs[i].gen)
                    place = i;
            talker t = {next_random(&seed), place};
            CHECK_OK(weft_lane_spawn_with(&lanes[place], talks, &t, .copy = sizeof t, .monitor = &refs[place], .detached = 1,
                                          .limits = &(weft_limits){.messages = 8}));
        }
        weft_message *m;
        const int r = weft_receive(&m, weft_after(WEFT_MILLISECOND));
        if (r == -ETIMEDOUT) {
            const int victim = (int)(next_random(&seed) % TALKERS);
            if (refs[victim].gen && next_random(&seed) % 4 == 0)
                CHECK(acceptable(weft_cancel(lanes[victim])));
            continue;
        }
        CHECK_OK(r);
        const weft_down *d = weft_msg_down(m);
        int known = 0;
        for (int i = 0; d && i < TALKERS; i++)
            if (weft_id_equal(refs[i], d->ref)) {
                CHECK(weft_id_equal(lanes[i], d->exit.lane));
                refs[i] = WEFT_NOID;
                known++;
                ended++;
            }
        CHECK_EQ(known, 1);
        CHECK_OK(weft_msg_free(m));
    }
    weft_message *m;
    CHECK_EQ(weft_receive(&m, WEFT_NOW), -ETIMEDOUT); /* nobody is told twice */
    return 0;
}

int main(int argc, char **argv)
{
    to_live = argc > 1 ? strtoull(argv[1], NULL, 10) : 400;
    first_seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    const char *soak = getenv("SOAK_SECONDS");
    const time_t until = soak && argc > 1 ? time(NULL) + atoi(soak) : 0;
    uint64_t all = 0;

    do {
        printf("seed %llu\n", (unsigned long long)first_seed);
        fflush(stdout);
        memset(board, 0, sizeof board);
        memset(lives, 0, sizeof lives);
        run_clean(storm, 3);
        all += to_live;
        first_seed++;
    } while (time(NULL) < until);
    printf("%llu lanes: %llu sent, %llu not sent, %llu received, %llu of %llu calls answered, %llu of %llu monitors told in time, %llu failed\n",
           (unsigned long long)all, (unsigned long long)sent, (unsigned long long)refused, (unsigned long long)received,
           (unsigned long long)answered, (unsigned long long)called, (unsigned long long)downs, (unsigned long long)monitors,
           (unsigned long long)dead_ends);
    CHECK(sent > 0 && received > 0 && received <= sent && answered > 0 && downs > 0);
    return 0;
}
