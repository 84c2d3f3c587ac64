/* More at once than the port's queue holds: while some are handed over others have their answers already, and what the
 * last ones wait for comes only once those have gone on. So nobody may wait in the kernel for it. */
#include "cases.h"

enum { PAIRS = 12, ENTRIES = 4 };

typedef struct pair {
    weft_id near, far; /* what one sends the other waits for */
    weft_id aside, end; /* what the first send goes to; nobody reads it */
    weft_id sender, receiver;
} pair;

static int sends_twice(void *arg)
{
    pair *p = arg;
    CHECK_OK(weft_write_all(p->aside, "x", 1, NULL, SOON));
    CHECK_OK(weft_write_all(p->near, "y", 1, NULL, SOON));
    return 0;
}

static int receives(void *arg)
{
    pair *p = arg;
    char byte;
    CHECK_EQ(weft_read(p->far, &byte, 1, SOON), 1);
    CHECK_EQ(byte, 'y');
    return 0;
}

/* Who is born last runs first: all have sent once before the first waits, and nobody can be told
 * anything but by who sends again. */
static int answers_come_though_others_stand_in_line(void *arg)
{
    (void)arg;
    pair p[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        connect_pair(&p[i].near, &p[i].far);
        connect_pair(&p[i].aside, &p[i].end);
    }
    for (int round = 0; round < 10; round++) {
        int64_t begin = weft_now();
        for (int i = 0; i < PAIRS; i++)
            CHECK_OK(weft_spawn(&p[i].receiver, receives, &p[i]));
        for (int i = 0; i < PAIRS; i++)
            CHECK_OK(weft_spawn(&p[i].sender, sends_twice, &p[i]));
        for (int i = 0; i < PAIRS; i++) {
            CHECK_OK(weft_join(p[i].sender, NULL, SOON));
            CHECK_OK(weft_join(p[i].receiver, NULL, SOON));
        }
        CHECK(weft_now() - begin < 10 * WEFT_SECOND); /* not by the end of somebody's time */
    }
    return 0;
}

static const test_case cases[] = {CASE(answers_come_though_others_stand_in_line)};

int main(void)
{
    const weft_options opt = {.port_config = {.entries = ENTRIES}};
    run_case(&cases[0], &opt);
    return 0;
}
