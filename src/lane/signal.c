/* Waiting for process signals. The handler sets a bit and sends one message to the waiter's worker;
 * everything else happens there. */
#include <weft/signal.h>

#include <errno.h>

#include "base/check.h"
#include "lane/realm.h"

/* In a signal handler, on any thread. */
static void arrived(void *ctx, int number)
{
    weft_runtime *rt = ctx;
    weft__lane_realm *realm = rt->lanes;
    weft__add_seq(&rt->guests, 1, "signal.arrived"); /* who is found at home stays until we are through */
    weft__or_seq(&realm->signals.pending, (uint64_t)1 << (number - 1), "signal.arrived");
    weft__worker *home = weft__load_seq(&realm->signals.home, "signal.arrived"); /* NULL: the next wait finds the bit */
    if (home && !weft__exchange_seq(&realm->signals.queued, 1, "signal.arrived"))
        weft__worker_send(home, &realm->signals.message);
    weft__sub_seq(&rt->guests, 1, "signal.arrived");
}

/* The lowest of the signals in `mask` that has arrived, taken; 0: none. */
static int take(weft__lane_realm *realm, uint64_t mask)
{
    uint64_t there = weft__load_seq(&realm->signals.pending, "signal.take") & mask;
    if (!there)
        return 0;
    uint64_t bit = there & (~there + 1);
    weft__and_seq(&realm->signals.pending, ~bit, "signal.take");
    return __builtin_ctzll(bit) + 1;
}

/* Nobody waits any more. With the lock held. */
static void vacate(weft__lane_realm *realm)
{
    realm->signals.waiter = NULL;
    weft__store_seq(&realm->signals.home, NULL, "signal.vacate");
    weft__store_seq(&realm->signals.busy, 0, "signal.vacate");
}

/* On the worker that the message was sent to; by now another fiber, of another worker, may be the one that waits. */
static void message(weft_task *t)
{
    weft__lane_realm *realm = weft__container(t, weft__lane_realm, signals.message);
    weft__worker *pass_to = NULL;
    int number = 0;
    weft__spin_lock(&realm->signals.lock);
    weft__fiber *f = realm->signals.waiter;
    if (f && !weft__is_here(&f->home)) {
        pass_to = weft__home_of(&f->home);
    } else {
        /* Before the look at pending; pairs with the exchange in arrived. */
        weft__store_seq(&realm->signals.queued, 0, "signal.message");
        number = f ? take(realm, realm->signals.mask) : 0;
        if (number)
            vacate(realm);
    }
    weft__spin_unlock(&realm->signals.lock);
    if (pass_to)
        weft__worker_send(pass_to, t);
    if (number)
        weft__wake(f, number);
}

/* The wait ends without a signal: deadline, cancel, kill. */
static void leave(weft__fiber *f)
{
    weft__lane_realm *realm = f->waits_on;
    weft__spin_lock(&realm->signals.lock);
    vacate(realm);
    weft__spin_unlock(&realm->signals.lock);
}

static int wait_here(weft__lane_realm *realm, weft__fiber *f, uint64_t mask, int64_t deadline)
{
    weft__spin_lock(&realm->signals.lock);
    realm->signals.mask = mask;
    realm->signals.message.run = message;
    realm->signals.waiter = f;
    /* Before the look at pending; pairs with the or in arrived. */
    weft__store_seq(&realm->signals.home, f->home, "signal.wait");
    int number = take(realm, mask);
    if (!number && deadline <= f->home->now_ns)
        number = -ETIMEDOUT;
    if (number)
        vacate(realm);
    weft__spin_unlock(&realm->signals.lock);
    if (number)
        return number;
    f->unwait = leave;
    f->waits_on = realm;
    return weft__wait(f, WEFT__WAIT_SIGNAL, deadline);
}

int weft_signal_wait(const int *signals, int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (!signals || !*signals)
        return -EINVAL;
    uint64_t mask = 0;
    for (const int *s = signals; *s; s++) {
        if (*s < 1 || *s > 64)
            return -EINVAL;
        mask |= (uint64_t)1 << (*s - 1);
    }
    weft_runtime *rt = f->home->rt;
    weft__lane_realm *realm = rt->lanes;
    if (!rt->env->signals)
        return -ENOTSUP;
    if (weft__canceled(f))
        return weft__refuse(f, -ECANCELED);
    if (weft__exchange_seq(&realm->signals.busy, 1, "signal.wait"))
        return -EBUSY;
    int r = rt->env->signals(rt->env->self, signals, arrived, rt);
    if (r == 0)
        return wait_here(realm, f, mask, deadline);
    weft__store_seq(&realm->signals.busy, 0, "signal.wait");
    return r;
}
