/* What a wait says of its deadline: an argument of the entry, or nothing, once that time is an op of the ring. On a
 * kernel that does what it is told, and sees what each wait says. */
#include <poll.h>

#include "port/fake_ring.h"

#define FAR (1000 * WEFT_SECOND)

static void wakes(fake_ring *f) { fake_ring_post(f, f->wake.user_data, POLLIN, IORING_CQE_F_MORE); }

static void open_with_clock(bed *b, fake_ring *f, const weft_port_config *config)
{
    f->features |= WEFT__FEAT_MIN_TIMEOUT;
    f->on_wait = wakes;
    CHECK_OK(fake_ring_open(b, f, config));
    bed_tick(b); /* arms the wake */
}

static fake_ring *fresh_with_clock(bed *b, const weft_port_config *config)
{
    fake_ring *f = fake_ring_new();
    open_with_clock(b, f, config);
    return f;
}

/* One wait, which a wake ends, in one entry. Whether it said until when. */
static int says(bed *b, fake_ring *f, int64_t deadline)
{
    const unsigned waits = f->waits, entries = f->entries;
    weft__port_enter(&b->port, deadline);
    CHECK_EQ(f->waits, waits + 1);
    CHECK_EQ(f->entries, entries + 1);
    return !!(f->last_flags & IORING_ENTER_EXT_ARG);
}

/* How many waits for this deadline say so, one after the other. */
static unsigned saying(bed *b, fake_ring *f, int64_t deadline)
{
    unsigned n = 0;
    while (n < 100 && says(b, f, deadline))
        n++;
    return n;
}

/* An entry that has something to reap, or gets it at once. */
static void does_not_wait(bed *b, fake_ring *f, int64_t deadline)
{
    const unsigned waits = f->waits;
    weft__port_enter(&b->port, deadline);
    CHECK_EQ(f->waits, waits);
}

static void a_deadline_waited_for_again_becomes_an_op(void)
{
    bed b = {0};
    fake_ring *f = fresh_with_clock(&b, NULL);
    const int64_t deadline = bed_after(FAR);
    const unsigned patience = saying(&b, f, deadline);
    CHECK(patience < 100);
    CHECK_EQ(f->standing.set, 1);
    CHECK_EQ(f->standing.ns, deadline);
    CHECK_EQ(saying(&b, f, deadline), 0);
    for (int i = 0; i < 20; i++)
        CHECK(!says(&b, f, deadline));
    CHECK(f->standing.set == 1 && f->standing.moved == 0 && f->count == 0);
    fake_ring_finish(&b, f);
    if (!patience)
        return; /* a hostile build */

    b = (bed){0};
    f = fresh_with_clock(&b, NULL);
    for (int i = 0; i < 20; i++) { /* never the same twice, */
        CHECK(says(&b, f, deadline + i));
        CHECK(!says(&b, f, WEFT_NEVER));
    }
    for (int i = 0; i < 20; i++) { /* or never twice in a row */
        CHECK(says(&b, f, deadline));
        CHECK(!says(&b, f, WEFT_NEVER));
    }
    CHECK_EQ(f->standing.set, 0);
    fake_ring_finish(&b, f);
}

/* It ends no wait that is to last longer, and one that is to be over before says so until that, too, is worth it. */
static void it_moves_with_what_is_waited_for(void)
{
    bed b = {0};
    fake_ring *f = fresh_with_clock(&b, NULL);
    const int64_t deadline = bed_after(FAR);
    const unsigned patience = saying(&b, f, deadline);

    CHECK_EQ(saying(&b, f, deadline - 1), patience); /* earlier */
    CHECK_EQ(f->standing.moved, 1);
    CHECK_EQ(f->standing.ns, deadline - 1);

    CHECK(!says(&b, f, WEFT_NEVER)); /* gone */
    CHECK_EQ(f->standing.moved, 2);
    CHECK_EQ(f->standing.ns, WEFT_NEVER);
    CHECK(!says(&b, f, WEFT_NEVER));
    CHECK_EQ(f->standing.moved, 2);
    CHECK_EQ(saying(&b, f, deadline), patience);
    CHECK_EQ(f->standing.moved, 3);
    CHECK_EQ(f->standing.ns, deadline);

    CHECK(says(&b, f, deadline + 1)); /* later */
    CHECK_EQ(f->standing.moved, 4);
    CHECK_EQ(f->standing.ns, WEFT_NEVER);
    CHECK(saying(&b, f, deadline + 1) < 100);
    CHECK_EQ(f->standing.moved, 5);
    CHECK_EQ(f->standing.ns, deadline + 1);

    const unsigned moved = f->standing.moved;
    for (int i = 0; i < 40; i++) /* to and fro it is no better than an argument, and no worse */
        says(&b, f, deadline - i % 2);
    CHECK(!patience || f->standing.moved == moved);
    CHECK_EQ(f->standing.set, 1);
    fake_ring_finish(&b, f);
}

static void it_ends_the_wait_once(void)
{
    bed b = {0};
    fake_ring *f = fresh_with_clock(&b, NULL);
    const int64_t deadline = bed_after(FAR);
    const unsigned patience = saying(&b, f, deadline);
    f->on_wait = fake_ring_goes_off;
    CHECK(!says(&b, f, deadline)); /* who waits returns, and looks at the time */
    f->on_wait = wakes;
    CHECK_EQ(saying(&b, f, deadline), patience);
    CHECK_EQ(f->standing.set, 2);

    fake_ring_goes_off(f); /* while nobody waits */
    CHECK(weft__port_pending(&b.port));
    does_not_wait(&b, f, deadline);
    CHECK(!weft__port_pending(&b.port));
    CHECK_EQ(saying(&b, f, deadline), patience);
    CHECK_EQ(f->standing.set, 3);
    fake_ring_finish(&b, f);
}

static void it_may_come_behind_an_overflow(void)
{
    enum { N = 20 }; /* of 4 completions that there is room for */
    bed b = {0};
    fake_ring *f = fresh_with_clock(&b, &(weft_port_config){.entries = 1});
    const int64_t deadline = bed_after(FAR);
    weft_op ops[N];
    CHECK(saying(&b, f, deadline) < 100);
    for (int i = 0; i < N; i++) {
        weft_op_nop(&ops[i]);
        weft__port_start(&b.port, &ops[i]);
    }
    while (f->count < N)
        bed_tick(&b);
    for (int i = 0; i < N; i++)
        fake_ring_answer(f, &ops[i], 0, 0);
    fake_ring_goes_off(f);
    CHECK(f->overflowed > 0);
    while (b.done < N || bed_ring(&b)->standing_ns != WEFT_NEVER) {
        CHECK(weft__port_pending(&b.port));
        does_not_wait(&b, f, deadline);
    }
    CHECK(!weft__port_pending(&b.port));
    fake_ring_finish(&b, f);
}

/* It has gone off as it is moved, or is about to: then that is seen, and what was to be waited for is said. */
static void it_may_be_moved_too_late(void)
{
    static const int answers[] = {-ENOENT, -EALREADY};
    for (unsigned i = 0; i < 2; i++) {
        bed b = {0};
        fake_ring *f = fresh_with_clock(&b, NULL);
        const int64_t deadline = bed_after(FAR);
        const unsigned patience = saying(&b, f, deadline);
        f->standing.late = answers[i];
        does_not_wait(&b, f, WEFT_NEVER);
        CHECK_EQ(f->standing.moved, 0);
        CHECK_EQ(bed_ring(&b)->standing_ns, WEFT_NEVER);
        if (f->standing.armed) { /* whatever is set meanwhile, there is only one */
            CHECK_EQ(saying(&b, f, deadline), patience);
            CHECK(f->standing.set == 1 && f->standing.moved == 1);
            fake_ring_goes_off(f);
            does_not_wait(&b, f, deadline);
        }
        CHECK_EQ(saying(&b, f, deadline + 1), patience);
        CHECK_EQ(f->standing.set, 2);
        CHECK_EQ(f->standing.ns, deadline + 1);
        fake_ring_finish(&b, f);
    }
}

static void without_a_slot_it_is_as_it_was(void)
{
    bed b = {0};
    fake_ring *f = fresh_with_clock(&b, &(weft_port_config){.entries = 2});
    const int64_t deadline = bed_after(FAR);
    weft_desc d = fake_stream();
    weft_op op[4];
    char c;
    CHECK(saying(&b, f, deadline) < 100);
    for (int i = 0; i < 4; i++)
        weft_op_recv(&op[i], &d, &c, 1);

    weft__port_start(&b.port, &op[0]);
    weft__port_start(&b.port, &op[1]);
    CHECK(!says(&b, f, WEFT_NEVER)); /* which that would have ended too early */
    CHECK(f->standing.moved == 0 && f->standing.ns == deadline);
    CHECK(!says(&b, f, WEFT_NEVER));
    CHECK(f->standing.moved == 1 && f->standing.ns == WEFT_NEVER);

    for (int n = 0; n < 20; n++) { /* full each time: it stays an argument */
        weft__port_start(&b.port, &op[2]);
        weft__port_start(&b.port, &op[3]);
        CHECK(says(&b, f, deadline));
        CHECK_EQ(f->standing.moved, 1);
        fake_ring_answer(f, &op[2], 1, 0);
        fake_ring_answer(f, &op[3], 1, 0);
        bed_tick(&b);
    }
    CHECK(!says(&b, f, deadline));
    CHECK(f->standing.moved == 2 && f->standing.ns == deadline);
    fake_ring_answer(f, &op[0], 1, 0);
    fake_ring_answer(f, &op[1], 1, 0);
    bed_tick(&b);
    fake_ring_finish(&b, f);
}

static int64_t another_clock(void *self)
{
    (void)self;
    return bed_now() + 10 * WEFT_SECOND;
}

static void deadlines_stay_arguments_where_they_have_to(void)
{
    const int64_t deadline = bed_after(FAR);
    bed b = {0};
    fake_ring *f = fresh_with_clock(&b, &(weft_port_config){.shared = 1}); /* it would end with who submitted it */
    CHECK_EQ(saying(&b, f, deadline), 100);
    fake_ring_finish(&b, f);

    weft_env env = *weft_env_posix();
    env.now = another_clock;
    b = (bed){.env = &env};
    f = fresh_with_clock(&b, NULL);
    CHECK_EQ(saying(&b, f, deadline), 100);
    fake_ring_finish(&b, f);

    /* The caller's memory, which the ring's end would write to. */
    weft_port_config strict = {.entries = 4, .buffer_count = 2};
    const size_t bytes = weft__uring_memory_bytes(&strict, weft_env_posix()->page_size);
    strict.memory = malloc(bytes);
    strict.memory_size = bytes;
    b = (bed){0};
    f = fake_ring_new();
    f->unknown_flags = WEFT__SETUP_NO_MMAP;
    open_with_clock(&b, f, &strict);
    CHECK_EQ(saying(&b, f, deadline), 100);
    fake_ring_finish(&b, f);
    free(strict.memory);

    b = (bed){0};
    f = fake_ring_fresh(&b, NULL); /* an old kernel */
    f->on_wait = wakes;
    bed_tick(&b);
    CHECK_EQ(saying(&b, f, deadline), 100);
    fake_ring_finish(&b, f);

    b = (bed){0};
    f = fresh_with_clock(&b, NULL); /* and one that does not do it is not asked again */
    f->standing.refused = -EINVAL;
    for (int i = 0; bed_ring(&b)->may_stand; i++) {
        CHECK(i < 100);
        weft__port_enter(&b.port, deadline);
    }
    CHECK_EQ(saying(&b, f, deadline), 100);
    CHECK_EQ(f->standing.set, 0);
    fake_ring_finish(&b, f);
}

int main(void)
{
    a_deadline_waited_for_again_becomes_an_op();
    it_moves_with_what_is_waited_for();
    it_ends_the_wait_once();
    it_may_come_behind_an_overflow();
    it_may_be_moved_too_late();
    without_a_slot_it_is_as_it_was();
    deadlines_stay_arguments_where_they_have_to();
    return 0;
}
