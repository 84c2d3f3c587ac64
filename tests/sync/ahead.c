/* Who is given an item of a channel with a long buffer may run before others that are ready: in which order, and not
 * for ever. One worker; where a tick begins and ends is a matter of time, so what that decides is looked at over many
 * rounds, and everything else in each. */
#include "world.h"

enum { ROUNDS = 400, TURNS = 2000, PAIRS = 2, LONG = 32 };

static weft_channel c, d;
static int ring[LONG];
static char order[16];
static unsigned ran;

static void comes(char who)
{
    CHECK(ran < sizeof order - 1);
    order[ran++] = who;
    order[ran] = 0;
}

static int receives(void *who)
{
    int x;

    CHECK_OK(weft_channel_receive(&c, &x, WEFT_NEVER));
    comes((char)(intptr_t)who);
    return 0;
}

static int selects(void *who)
{
    int x, y;
    weft_case cases[] = {WEFT_RECEIVE(&c, &x), WEFT_RECEIVE(&d, &y)};

    CHECK_OK(weft_select(cases, 2, WEFT_NEVER));
    comes((char)(intptr_t)who);
    return 0;
}

static int is_unparked(void *who)
{
    CHECK_OK(weft_park(WEFT_NEVER));
    comes((char)(intptr_t)who);
    return 0;
}

/* B was ready before the first of the other two. */
static void round_of(int (*fn)(void *))
{
    weft_id f[3];

    CHECK_OK(weft_spawn(&f[0], fn, (void *)(intptr_t)'1'));
    settle();
    CHECK_OK(weft_spawn(&f[1], fn, (void *)(intptr_t)'2'));
    CHECK_OK(weft_spawn(&f[2], is_unparked, (void *)(intptr_t)'B'));
    settle();
    ran = 0;
    CHECK_OK(weft_unpark(f[2]));
    for (int i = 0; i < 2; i++)
        CHECK_OK(weft_channel_send(&c, &i, WEFT_NEVER));
    for (int i = 0; i < 3; i++)
        joined(f[i]);
}

static void in_which_order(void)
{
    unsigned ahead = 0;

    CHECK_OK(weft_channel_init(&c, sizeof(int), LONG, ring));
    CHECK_OK(weft_channel_init(&d, sizeof(int), 0, NULL));
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = i % 7; k > 0; k--)
            CHECK_OK(weft_yield()); /* no tick has as many turns as a round, always */
        round_of(receives);
        ahead += strcmp(order, "1B2") == 0;
        CHECK(strcmp(order, "1B2") == 0 || strcmp(order, "B12") == 0);
    }
    CHECK(ahead > 0);
    for (int i = 0; i < ROUNDS / 10; i++) {
        round_of(selects);
        CHECK(strcmp(order, "B12") == 0); /* a select is told late */
    }
    CHECK_OK(weft_channel_init(&c, sizeof(int), 1, ring)); /* and so is everybody where there is not more to be had */
    for (int i = 0; i < ROUNDS / 10; i++) {
        round_of(receives);
        CHECK(strcmp(order, "B12") == 0);
    }
}

/* ---- not for ever ---- */

static weft_channel there[PAIRS], back[PAIRS];
static int there_ring[PAIRS][LONG], back_ring[PAIRS][LONG];
static int stop;

static int asks(void *pair)
{
    const int i = (int)(intptr_t)pair;

    for (int x = 0; !stop;) {
        CHECK_OK(weft_channel_send(&there[i], &x, WEFT_NEVER));
        CHECK_OK(weft_channel_receive(&back[i], &x, WEFT_NEVER));
    }
    return weft_channel_close(&there[i], 0);
}

static int answers(void *pair)
{
    const int i = (int)(intptr_t)pair;

    for (int x; weft_channel_receive(&there[i], &x, WEFT_NEVER) == 0;)
        CHECK_OK(weft_channel_send(&back[i], &x, WEFT_NEVER));
    return 0;
}

static void not_for_ever(void)
{
    weft_id f[2 * PAIRS];

    for (int i = 0; i < PAIRS; i++) {
        CHECK_OK(weft_channel_init(&there[i], sizeof(int), LONG, there_ring[i]));
        CHECK_OK(weft_channel_init(&back[i], sizeof(int), LONG, back_ring[i]));
        CHECK_OK(weft_spawn(&f[2 * i], asks, (void *)(intptr_t)i));
        CHECK_OK(weft_spawn(&f[2 * i + 1], answers, (void *)(intptr_t)i));
    }
    for (int i = 0; i < TURNS; i++) /* they always have something to say, and let others run all the same */
        CHECK_OK(weft_yield());
    stop = 1;
    for (int i = 0; i < 2 * PAIRS; i++)
        joined(f[i]);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    in_which_order();
    not_for_ever();
    return 0;
}

int main(void)
{
    run_clean(run, 1);
    return 0;
}
