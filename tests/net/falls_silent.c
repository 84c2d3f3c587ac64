/* Requests without a pause, then none: whoever reads until some time hears of it then and not before, on each of
 * several workers, and in a lane that has come from another one meanwhile. */
#include "cases.h"

enum { LANES = 4, REQUESTS = 30 };
#define IDLE (25 * WEFT_MILLISECOND)

static weft_id ends[LANES][2]; /* each lane's */
static unsigned next_end;      /* atomic */
static char moves;             /* the argument of a lane that does */

/* A slow machine may be silent in between, which is told likewise. */
static int answers(void *arg)
{
    const weft_id sock = *(weft_id *)arg;
    char c;
    for (int n = 0; n < REQUESTS;) {
        const int64_t until = weft_after(IDLE);
        const ssize_t r = weft_read(sock, &c, 1, until);
        CHECK(r == 1 || (r == -ETIMEDOUT && weft_now() >= until));
        n += r == 1;
        if (r == 1)
            CHECK_EQ(weft_write(sock, &c, 1, SOON), 1);
    }
    const int64_t until = weft_after(IDLE);
    CHECK_EQ(weft_read(sock, &c, 1, until), -ETIMEDOUT);
    CHECK(weft_now() >= until);
    return 0;
}

/* On to another worker, where lanes move. */
static void move_on(int n)
{
    const int r = weft_lane_move((unsigned)n % 3);
    CHECK(r == 0 || r == -EPERM || r == -EBUSY || r == -EINVAL);
}

static void asks(weft_id sock, int on_the_move)
{
    char c = 'x';
    for (int n = 0; n < REQUESTS; n++) {
        CHECK_EQ(weft_write(sock, &c, 1, SOON), 1);
        CHECK_EQ(weft_read(sock, &c, 1, SOON), 1);
        if (on_the_move && n % 10 == 5)
            move_on(n);
    }
}

static int converses(void *arg)
{
    weft_id *pair = ends[__atomic_fetch_add(&next_end, 1, __ATOMIC_RELAXED)], answering;
    int result;
    connect_pair(&pair[0], &pair[1]);
    CHECK_OK(weft_spawn(&answering, answers, &pair[1]));
    asks(pair[0], arg != NULL);
    CHECK_OK(weft_join(answering, &result, SOON));
    CHECK_EQ(result, 0);
    if (arg)
        move_on(1);
    CHECK_OK(weft_close(pair[0]));
    CHECK_OK(weft_close(pair[1]));
    return 0;
}

static int everybody_hears_of_silence(void *arg)
{
    weft_id lanes[LANES];
    int result;
    (void)arg;
    next_end = 0;
    for (int i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn_with(&lanes[i], converses, i % 2 ? &moves : NULL, .mobile = i % 2));
    for (int i = 0; i < LANES; i++) {
        CHECK_OK(weft_lane_join(lanes[i], &result, SOON));
        CHECK_EQ(result, 0);
    }
    return 0;
}

int main(void)
{
    const test_case test = CASE(everybody_hears_of_silence);
    run_case(&test, &(weft_options){.workers = 3});
    return 0;
}
