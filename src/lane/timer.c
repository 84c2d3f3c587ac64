/* Timers as ids. Owner lane's worker. A timer is two numbers; nothing is armed for it until a fiber waits, and that
 * fiber's own timer serves. So setting one touches no wheel, one that nobody waits for costs nothing, and one that is
 * given away has nothing to take along. */
#include <errno.h>

#include "base/check.h"
#include "lane/realm.h"

typedef struct timer {
    weft__resource res;
    int64_t next_ns;      /* WEFT_NEVER: not set */
    int64_t period_ns;
    weft__fiber *waiter;
} timer;

_Static_assert(sizeof(timer) <= WEFT__RESOURCE_SMALL, "a timer fits into a small resource record");

static timer *timer_of(const weft__resource *r) { return weft__container((weft__resource *)(uintptr_t)r, timer, res); }

/* Ends the wait of whoever waits. */
static void rouse(timer *t, int answer)
{
    weft__fiber *f = t->waiter;
    t->waiter = NULL;
    if (f) {
        f->unwait = NULL;
        weft__wake(f, answer);
    }
}

static void close_timer(weft__resource *r)
{
    rouse(timer_of(r), -ECANCELED);
    weft__resource_gone(r);
}

static int pack(weft__resource *r, int64_t deadline)
{
    (void)deadline;
    return timer_of(r)->waiter ? -EBUSY : 0;
}

static void copy(weft__resource *fresh, const weft__resource *of, int shared)
{
    (void)shared; /* it never is */
    timer_of(fresh)->next_ns = timer_of(of)->next_ns;
    timer_of(fresh)->period_ns = timer_of(of)->period_ns;
}

static void inspect(weft__resource *r, weft_id_info *out)
{
    const timer *t = timer_of(r);
    out->next_ns = t->next_ns;
    out->period_ns = t->period_ns;
    out->state = t->waiter ? "waited for" : t->next_ns == WEFT_NEVER ? "not set" : "set";
}

static const weft__resource_kind timer_type = {
    .name = "timer", .kind = WEFT__TIMER, .close = close_timer, .pack = pack, .copy = copy, .inspect = inspect};

static int find(weft_id id, timer **out)
{
    weft__resource *r;
    int result = weft__resource_find(id, 1u << WEFT__TIMER, &r);
    if (result < 0)
        return result;
    *out = timer_of(r);
    return 0;
}

int weft_timer_open(weft_id *out)
{
    weft__resource *r;
    if (!weft__fiber_self())
        return -EPERM;
    if (!out)
        return -EINVAL;
    int result = weft__resource_make(&timer_type, &r);
    if (result < 0)
        return result;
    timer_of(r)->next_ns = WEFT_NEVER;
    *out = weft__resource_id(r);
    return 0;
}

int weft_timer_set(weft_id id, int64_t first, int64_t period_ns)
{
    timer *t;
    int r = find(id, &t);
    if (r < 0)
        return r;
    if (period_ns < 0)
        return -EINVAL;
    t->next_ns = first;
    t->period_ns = period_ns;
    rouse(t, 0); /* it looks again */
    return 0;
}

/* How often it has expired by now; counts those, and sets the next time. */
static uint64_t take(timer *t, int64_t now)
{
    if (t->next_ns == WEFT_NEVER || now < t->next_ns)
        return 0;
    if (!t->period_ns) {
        t->next_ns = WEFT_NEVER;
        return 1;
    }
    /* From INT64_MIN to now may be more than an int64_t holds. */
    uint64_t n = ((uint64_t)now - (uint64_t)t->next_ns) / (uint64_t)t->period_ns + 1;
    uint64_t next = (uint64_t)t->next_ns + n * (uint64_t)t->period_ns; /* now < next <= now + period */
    t->next_ns = next > (uint64_t)INT64_MAX ? WEFT_NEVER : (int64_t)next;
    return n;
}

static void leave(weft__fiber *f)
{
    timer *t = f->waits_on;
    t->waiter = NULL;
}

static int wait_for(timer *t, weft__fiber *f, int64_t deadline)
{
    if (weft__canceled(f))
        return -ECANCELED; /* between its being roused and its looking again */
    t->waiter = f;
    f->unwait = leave;
    f->waits_on = t;
    return weft__wait(f, WEFT__WAIT_TIMER, t->next_ns < deadline ? t->next_ns : deadline);
}

int weft_timer_wait(weft_id id, uint64_t *expirations, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    timer *t;
    int waited = 0, r = find(id, &t);
    if (r < 0)
        return r;
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    if (t->waiter)
        return -EBUSY;
    for (;;) {
        int64_t now = weft__clock(f->home->rt);
        uint64_t n = take(t, now);
        if (n) {
            if (expirations)
                *expirations = n;
            /* A period that is shorter than its user's loop is not to starve others. */
            return waited ? 0 : weft__refuse(f, 0);
        }
        if (deadline <= now)
            return weft__refuse(f, -ETIMEDOUT);
        waited = 1;
        r = wait_for(t, f, deadline);
        if (r == -ECANCELED)
            return r;
        if (find(id, &t) < 0)
            return -ECANCELED;
        if (t->waiter)
            return -EBUSY; /* a sibling began to wait between our waking and our running */
    }
}
