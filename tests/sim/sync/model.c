/* The explorer's channel against a sequential model: whatever three lanes, one that is killed and one that closes see
 * can be told as one step after another of a bounded queue, each between its call and its return.
 *
 * A call that finds nothing (or no room) is a step, too: there was nothing at that moment. A killed receiver's call is
 * none or two: it takes the oldest item, and gives it back to the front if there is room. Without a buffer a send and
 * its receive are one step. The search tries every order that the ticks allow (Wing and Gong), and remembers where it
 * has been. */
#include "sim/sync/explore.h"

enum { MOST = 32, CALLS = 4, LARGEST = 2, SEEN = 1 << 12 };

enum what {
    UNDER_WAY_SEND, /* of who was killed, perhaps; else every call ends as one of the others */
    UNDER_WAY_RECEIVE,
    SENT,
    GOT,
    NO_ROOM,
    NOTHING,
    SEND_REFUSED, /* closed */
    RECEIVE_REFUSED,
    CLOSED,
    CLOSED_BEFORE,
    NO_STEP
};

static struct call {
    enum what what;
    int x;               /* the item */
    int after;           /* the call that gave the item before, or -1 */
    int victim;          /* it may never return */
    uint32_t begin, end; /* ticks */
} call[MOST];

struct state {
    uint32_t done; /* a bit for each call */
    int queue[LARGEST], count, closed;
    int held; /* by the killed receiver, or -1 */
};

static weft_channel ch;
static int room[LARGEST];
static int capacity;
static uint32_t calls, items, now;
static uint64_t seen[SEEN];
static uint64_t generation; /* of the search: what was seen before it counts for nothing */

static uint32_t tick(void) { return weft__add_acq_rel(&now, 1u, "test.tick") + 1; }

/* ---- calls, as they were seen ---- */

static struct call *begins(enum what what, int x, int victim)
{
    const uint32_t i = weft__add_acq_rel(&calls, 1u, "test.call");

    CHECK(i < MOST);
    call[i] = (struct call){.what = what, .x = x, .after = -1, .victim = victim, .end = UINT32_MAX, .begin = tick()};
    return &call[i];
}

static void ends(struct call *k, enum what what)
{
    k->what = what;
    k->end = tick();
}

static void sends(int victim)
{
    const int x = (int)weft__add_acq_rel(&items, 1u, "test.item");
    struct call *k = begins(UNDER_WAY_SEND, x, victim);
    weft_case one[] = {WEFT_SEND(&ch, &x)};
    int r;

    switch (any(4)) {
    case 0:
        r = weft_channel_try_send(&ch, &x);
        CHECK(r != -ETIMEDOUT);
        break;
    case 1:
        r = weft_select(one, 1, some_deadline());
        if (r == 0)
            r = one[0].result;
        break;
    default:
        r = weft_channel_send(&ch, &x, some_deadline());
        break;
    }
    CHECK(r == 0 || r == -ETIMEDOUT || r == -EAGAIN || r == -EPIPE);
    ends(k, r == 0 ? SENT : r == -EPIPE ? SEND_REFUSED : NO_ROOM);
}

static void receives(uint64_t how, int victim)
{
    int x[2] = {-1, -1};
    struct call *k = begins(UNDER_WAY_RECEIVE, -1, victim);
    weft_case one[] = {WEFT_RECEIVE(&ch, x)};
    int64_t r;

    switch (how) {
    case 0:
        r = weft_channel_try_receive(&ch, x);
        CHECK(r != -ETIMEDOUT);
        break;
    case 1:
        r = weft_select(one, 1, some_deadline());
        if (r == 0)
            r = one[0].result;
        break;
    case 2:
        r = weft_channel_receive_many(&ch, x, 2, some_deadline());
        CHECK(r != 0);
        break;
    default:
        r = weft_channel_receive(&ch, x, some_deadline());
        break;
    }
    CHECK(r >= 0 || r == -ETIMEDOUT || r == -EAGAIN || r == -EPIPE);
    k->x = x[0];
    if (r == 2) {
        struct call *second = begins(GOT, x[1], 0);
        second->begin = k->begin;
        second->after = (int)(k - call);
        second->end = tick();
    }
    ends(k, r >= 0 ? GOT : r == -EPIPE ? RECEIVE_REFUSED : NOTHING);
}

static void closes(void)
{
    struct call *k = begins(NO_STEP, -1, 0);
    const int r = weft_channel_close(&ch, 0);

    CHECK(r == 0 || r == -EALREADY);
    ends(k, r == 0 ? CLOSED : CLOSED_BEFORE);
}

static int calls_it(void *arg)
{
    for (int i = 0; i < CALLS; i++) {
        if ((any(3) == 0) == ((intptr_t)arg & 1)) /* one mostly sends */
            receives(any(5), 0);
        else
            sends(0);
        sometimes_yield();
    }
    return 0;
}

static int is_victim(void *arg)
{
    (void)arg;
    receives(3, 1);
    if (any(2))
        sends(1);
    else
        receives(3, 1);
    return 0;
}

/* ---- the search ---- */

static int is_done(const struct state *s, int i) { return i < 0 || (s->done >> i & 1); }
static struct state with(struct state s, int i)
{
    s.done |= (uint32_t)1 << i;
    return s;
}

/* No call that is still to come had returned when this one began. */
static int may_be_next(const struct state *s, int i)
{
    if (is_done(s, i) || !is_done(s, call[i].after))
        return 0;
    for (uint32_t j = 0; j < calls; j++)
        if (!is_done(s, (int)j) && call[j].end < call[i].begin)
            return 0;
    return 1;
}

static int been_there(const struct state *s)
{
    const uint64_t parts[] = {s->done, (uint64_t)s->queue[0] << 32 | (uint32_t)s->queue[1],
                              (uint64_t)s->count << 2 | (uint64_t)s->closed, (uint64_t)s->held, generation};
    uint64_t h = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        h = (h ^ parts[i]) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    const int was = seen[h % SEEN] == h;
    seen[h % SEEN] = h;
    return was;
}

static int explains(struct state s);

static int push(struct state s, int x)
{
    if (s.count == capacity)
        return 0;
    s.queue[s.count++] = x;
    return explains(s);
}

static struct state pop(struct state s)
{
    s.queue[0] = s.queue[1];
    s.queue[1] = -1;
    s.count--;
    return s;
}

/* Call i, a send, and whoever takes its item, at once. */
static int meets(struct state s, int i)
{
    for (int j = 0; j < (int)calls; j++) {
        if (!may_be_next(&s, j))
            continue;
        if (call[j].what == GOT && call[j].x == call[i].x && explains(with(with(s, i), j)))
            return 1;
        if (call[j].what == UNDER_WAY_RECEIVE && s.held < 0) {
            struct state t = with(s, i);
            t.held = call[i].x;
            if (explains(t))
                return 1;
        }
    }
    return 0;
}

static int is_sent(struct state s, int i)
{
    if (s.closed)
        return 0;
    return capacity ? push(with(s, i), call[i].x) : meets(s, i);
}

/* Out of the hands of the one that was killed, where there is no buffer. */
static int is_handed_on(struct state s, int i)
{
    if (capacity || s.held != call[i].x)
        return 0;
    for (int j = 0; j < (int)calls; j++)
        if (call[j].what == UNDER_WAY_RECEIVE)
            s = with(s, j);
    s.held = -1;
    return explains(with(s, i));
}

static int is_given_up(struct state s, int i)
{
    if (s.held < 0) {
        struct state t = s;
        if (s.count)
            t = pop(t);
        t.held = s.queue[0];
        return explains(with(s, i)) || (s.count && explains(t));
    }
    const int x = s.held;
    s = with(s, i);
    s.held = -1;
    if (s.count == capacity)
        return explains(s); /* it died with it */
    s.queue[1] = s.queue[0];
    s.queue[0] = x;
    s.count++;
    return explains(s);
}

static int is_step(struct state s, int i)
{
    const struct state t = with(s, i);
    struct state closed = t;

    closed.closed = 1;
    switch (call[i].what) {
    case UNDER_WAY_SEND:
        return explains(t) || is_sent(s, i);
    case UNDER_WAY_RECEIVE:
        return is_given_up(s, i);
    case SENT:
        return is_sent(s, i);
    case GOT:
        return (s.count && s.queue[0] == call[i].x && explains(pop(t))) || is_handed_on(s, i);
    case NO_ROOM:
        return !s.closed && s.count == capacity && explains(t);
    case NOTHING:
        return !s.closed && s.count == 0 && explains(t);
    case SEND_REFUSED:
    case CLOSED_BEFORE:
        return s.closed && explains(t);
    case RECEIVE_REFUSED:
        return s.closed && s.count == 0 && explains(t);
    case CLOSED:
        return !s.closed && explains(closed);
    default:
        return explains(t);
    }
}

/* All calls that are not done can follow one after another. */
static int explains(struct state s)
{
    int left = 0;

    if (been_there(&s))
        return 0;
    for (int i = 0; i < (int)calls; i++) {
        left |= !is_done(&s, i);
        if (may_be_next(&s, i) && is_step(s, i))
            return 1;
    }
    return !left;
}

static void tell(void)
{
    static const char *const names[] = {"under way: send", "under way: receive", "sent", "got", "no room", "nothing",
                                        "send refused", "receive refused", "closed", "closed before", "-"};

    for (uint32_t i = 0; i < calls; i++)
        fprintf(stderr, "%3u..%-10u %s %d\n", call[i].begin, call[i].end, names[call[i].what], call[i].x);
}

void with_channel_model(void)
{
    weft_id l[LANES], victim = WEFT_NOID;

    capacity = (int)any(LARGEST + 1);
    calls = items = now = 0;
    generation++;
    CHECK_OK(weft_channel_init(&ch, sizeof(int), (size_t)capacity, capacity ? room : NULL));
    for (intptr_t i = 0; i < LANES; i++)
        CHECK_OK(weft_lane_spawn(&l[i], calls_it, (void *)i));
    if (any(2))
        CHECK_OK(weft_lane_spawn(&victim, is_victim, NULL));
    if (any(2))
        CHECK_OK(weft_sleep(weft_after((int64_t)any(40) * WEFT_MICROSECOND)));
    if (victim.gen) {
        (void)weft__lane_signal(weft_current(), victim, WEFT__SIG_KILL);
        CHECK_OK(weft_lane_join(victim, NULL, WEFT_NEVER));
        for (uint32_t i = 0; i < look(&calls); i++) /* its last call is over, one way or the other */
            if (call[i].end == UINT32_MAX && call[i].victim)
                call[i].end = tick();
    }
    if (any(2))
        CHECK_OK(weft_sleep(weft_after((int64_t)any(200) * WEFT_MICROSECOND)));
    closes();
    for (int i = 0; i < LANES; i++)
        ended(l[i]);
    closes();
    for (int i = 0; i <= capacity; i++)
        receives(0, 0);
    if (!explains((struct state){.queue = {-1, -1}, .held = -1})) {
        tell();
        TEST_FAIL("no queue of %d could have done that", capacity);
    }
}
