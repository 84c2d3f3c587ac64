/* A whole runtime with its root lane: opening, stopping, waiting for the end.
 * weft_stop and weft_wait are for any thread, the rest for whoever starts the runtime. */
#include "lane/realm.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "lane/alarm.h"
#include "sched/text.h"

static size_t pages(const weft_env *env, size_t n) { return (n + env->page_size - 1) / env->page_size * env->page_size; }

/* ---- per worker ---- */

static int enter(weft__worker *w)
{
    const weft_env *env = w->rt->env;
    int r = weft__fibers_enter(w);
    if (r < 0)
        return r;
    weft__lane_pools *pools = env->map(env->self, pages(env, sizeof *pools), 0);
    if (!pools) {
        weft__fibers_leave(w);
        return -ENOMEM;
    }
    pools->lanes.slab = &weft__lanes_of(w->rt)->lanes;
    pools->resources.slab = &weft__lanes_of(w->rt)->resources;
    pools->small.slab = &weft__lanes_of(w->rt)->small;
    pools->accounts.slab = &weft__lanes_of(w->rt)->accounts;
    pools->annexes.slab = &weft__lanes_of(w->rt)->annexes;
    pools->inquiries.slab = &weft__lanes_of(w->rt)->inquiries;
    weft__mail_enter(&pools->mail, &weft__lanes_of(w->rt)->mail);
    weft__ties_enter(&pools->ties, &weft__lanes_of(w->rt)->ties);
    weft__memory_enter(&pools->memory, &weft__lanes_of(w->rt)->memory);
    weft__link_init(&pools->roaming);
    weft__fibers_of(w)->lanes = pools;
    return 0;
}

static void leave(weft__worker *w)
{
    const weft_env *env = w->rt->env;
    weft__lane_pools *pools = weft__lane_pools_of(w);
    weft__memory_leave(&pools->memory, &weft__lanes_of(w->rt)->memory);
    weft__slab_cache_flush(&pools->lanes);
    weft__slab_cache_flush(&pools->resources);
    weft__slab_cache_flush(&pools->small);
    weft__slab_cache_flush(&pools->accounts);
    weft__slab_cache_flush(&pools->annexes);
    weft__slab_cache_flush(&pools->inquiries);
    weft__mail_leave(&pools->mail, &weft__lanes_of(w->rt)->mail);
    weft__ties_leave(&pools->ties);
    env->unmap(env->self, pools, pages(env, sizeof *pools));
    weft__fibers_leave(w);
}

static void idle(weft__worker *w)
{
    weft__fibers_idle(w);
    weft__memory_idle(&weft__lanes_of(w->rt)->memory);
}

/* ---- per runtime ---- */

static void stop_arrived(weft_task *t);
static void grace_over(weft__timer *t);

static weft__lane *make_root(weft__lane_realm *realm, weft_runtime *rt)
{
    weft__lane *root = weft__slab_get_shared(&realm->lanes);
    if (!root)
        return NULL;
    weft__lane_fill(root, rt, NULL, NULL, "root", "weft");
    root->main = NULL;
    root->head.word = (WEFT__GEN_FIRST << WEFT__GEN_SHIFT) | WEFT__LIVE | WEFT__SIG_BORN;
    root->crew.id = (weft_id){root->head.key, WEFT__NS(rt, WEFT__LANE), WEFT__GEN_FIRST};
    root->crew.account = weft__runtime_account(rt);
    realm->alive = 1;
    return root;
}

int weft__realm_open(weft_runtime **out, const weft_options *opt, unsigned host_places)
{
    static const weft__sched_hooks hooks = {
        .worker_enter = enter, .worker_leave = leave, .idle = idle, .describe = weft__fibers_describe, .stats = weft__fibers_stats,
        .balance = weft__lanes_balance, .forlorn = weft__realm_forlorn, .inquire = weft__realm_inquire, .stuck = weft__realm_stuck};
    static const weft__crew_hooks crew_hooks = {weft__lane_emptied, weft__lane_fiber_ended, weft__lane_doomed, weft__lane_overflowed,
                                                weft__lane_fiber_left};
    weft_runtime *rt;
    int r = weft__runtime_open(&rt, opt, &hooks, host_places);
    if (r < 0)
        return r;
    const weft_env *env = rt->env;
    weft__lane_realm *realm = env->map(env->self, pages(env, sizeof *realm), 0);
    if (!realm) {
        r = -ENOMEM;
        goto close_runtime;
    }
    rt->lanes = realm;
    weft__link_init(&realm->waiters);
    realm->stop_task.run = stop_arrived;
    realm->grace.fire = grace_over;
    int strict = rt->opt.memory != NULL;
    unsigned shift = strict ? 4 : 8, chunks = strict ? 512 : 65536;
    r = weft__memory_open(&realm->memory, env, strict);
    if (r < 0)
        goto unmap;
    r = weft__slab_init(&realm->lanes, env, sizeof(weft__lane), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto memory;
    r = weft__slab_init(&realm->resources, env, WEFT__RESOURCE_SIZE, shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto lanes;
    r = weft__slab_init(&realm->small, env, WEFT__RESOURCE_SMALL, shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto resources;
    r = weft__slab_init(&realm->accounts, env, sizeof(weft__account), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto small;
    r = weft__slab_init(&realm->annexes, env, sizeof(weft__annex), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto accounts;
    r = weft__slab_init(&realm->inquiries, env, sizeof(weft__inquiry), shift, chunks, WEFT__GEN_LIVES);
    if (r < 0)
        goto annexes;
    r = weft__mail_open(&realm->mail, env, shift, chunks);
    if (r < 0)
        goto inquiries;
    r = weft__ties_open(&realm->ties, env, shift, chunks);
    if (r < 0)
        goto mail;
    r = weft__fibers_open(rt, &crew_hooks);
    if (r < 0)
        goto ties;
    realm->root = make_root(realm, rt);
    if (!realm->root) {
        r = -ENOMEM;
        goto fibers;
    }
    *out = rt;
    return 0;
fibers:
    weft__fibers_close(rt);
ties:
    weft__ties_close(&realm->ties);
mail:
    weft__mail_close(&realm->mail, env);
inquiries:
    weft__slab_fini(&realm->inquiries);
annexes:
    weft__slab_fini(&realm->annexes);
accounts:
    weft__slab_fini(&realm->accounts);
small:
    weft__slab_fini(&realm->small);
resources:
    weft__slab_fini(&realm->resources);
lanes:
    weft__slab_fini(&realm->lanes);
memory:
    weft__memory_close(&realm->memory);
unmap:
    env->unmap(env->self, realm, pages(env, sizeof *realm));
close_runtime:
    weft__runtime_close(rt);
    return r;
}

void weft__realm_close(weft_runtime *rt)
{
    const weft_env *env = rt->env;
    weft__lane_realm *realm = rt->lanes;
    weft__fibers_close(rt);
    weft__ties_close(&realm->ties);
    weft__mail_close(&realm->mail, env);
    weft__slab_fini(&realm->inquiries);
    weft__slab_fini(&realm->annexes);
    weft__slab_fini(&realm->accounts);
    weft__slab_fini(&realm->small);
    weft__slab_fini(&realm->resources);
    weft__slab_fini(&realm->lanes);
    weft__memory_close(&realm->memory);
    env->unmap(env->self, realm, pages(env, sizeof *realm));
    weft__runtime_close(rt);
}

/* ---- waiting from outside ---- */

typedef struct waiter {
    weft__link link;
    weft_parker parker;
} waiter;

void weft__realm_announce(weft_runtime *rt)
{
    weft__lane_realm *realm = rt->lanes;
    /* Pairs with the add in weft__realm_wait, before its look. */
    if (weft__load_seq(&realm->listeners, "realm.announce") == 0)
        return;
    weft__spin_lock(&realm->wait_lock);
    for (weft__link *l = realm->waiters.next; l != &realm->waiters; l = l->next)
        rt->env->unpark(rt->env->self, &weft__container(l, waiter, link)->parker);
    weft__spin_unlock(&realm->wait_lock);
    if (realm->fini_fiber.gen)
        weft_unpark_in(rt, realm->fini_fiber);
}

int weft__realm_wait(weft_runtime *rt, int root, int64_t deadline)
{
    weft__lane_realm *realm = rt->lanes;
    waiter me = {0};
    int r = 0;
    weft__spin_lock(&realm->wait_lock);
    weft__link_before(&realm->waiters, &me.link);
    weft__spin_unlock(&realm->wait_lock);
    weft__add_seq(&realm->listeners, 1, "realm.wait");
    while (!weft__load_seq(&realm->ended, "realm.wait") && (root || weft__load_seq(&realm->alive, "realm.wait") > 1)) {
        if (rt->env->park(rt->env->self, &me.parker, deadline) == 0 && weft__clock(rt) >= deadline) {
            r = -ETIMEDOUT;
            break;
        }
    }
    weft__sub_seq(&realm->listeners, 1, "realm.waited");
    weft__spin_lock(&realm->wait_lock);
    weft__link_remove(&me.link);
    weft__spin_unlock(&realm->wait_lock);
    return r;
}

void weft__realm_root_ended(weft_runtime *rt)
{
    weft__lane_realm *realm = rt->lanes;
    weft__timer_cancel(realm->root->crew.home, &realm->grace);
    realm->root_result = realm->root->result;
    weft__store_seq(&rt->ended, 1, "realm.ended");
    weft__store_seq(&realm->ended, 1, "realm.ended");
    weft__workers_rouse(rt, 0); /* host threads leave their loops by themselves */
    weft__realm_announce(rt);
}

/* ---- stopping ---- */

static void name_survivors(weft_runtime *rt, weft__lane *lane, unsigned depth)
{
    if (depth > 0)
        weft__say(rt, WEFT_LOG_WARNING, "lane \"%s\" (spawned at %s) has not ended", lane->crew.name, lane->crew.site);
    weft__spin_lock(&lane->lock);
    for (weft__link *l = lane->children.next; l != &lane->children && depth < 8; l = l->next)
        name_survivors(rt, weft__container(l, weft__lane, siblings), depth + 1);
    weft__spin_unlock(&lane->lock);
}

/* On the root's home. First the grace is over and everything is killed;
 * what is still there a grace later is named again. */
static void grace_over(weft__timer *t)
{
    weft__lane_realm *realm = weft__container(t, weft__lane_realm, grace);
    weft__lane *root = realm->root;
    weft_runtime *rt = root->rt;
    const char *what = realm->killing ? "kill by more than a grace" : "grace";
    long long ms = (long long)(rt->opt.grace_ns / WEFT_MILLISECOND);
    uint32_t lanes = weft__load_relaxed(&realm->alive, "realm.grace") - 1;
    if (lanes)
        weft__say(rt, WEFT_LOG_WARNING, "%u lanes outlived the %s of %lld ms", lanes, what, ms);
    else
        weft__say(rt, WEFT_LOG_WARNING, "fibers of the root lane outlived the %s of %lld ms", what, ms);
    name_survivors(rt, root, 0);
    weft__timer_arm(root->crew.home, &realm->grace, weft__clock(rt) + rt->opt.grace_ns);
    if (realm->killing)
        return;
    realm->killing = 1;
    weft__lane_apply(root, WEFT__SIG_KILL);
}

static void stop_arrived(weft_task *t)
{
    weft__lane_realm *realm = weft__container(t, weft__lane_realm, stop_task);
    weft__lane *root = realm->root;
    if (realm->ended)
        return;
    weft__spin_lock(&root->lock);
    root->barren = 1;
    weft__spin_unlock(&root->lock);
    weft__timer_arm(root->crew.home, &realm->grace, weft__clock(root->rt) + root->rt->opt.grace_ns);
    root->held = 0;
    weft__lane_apply(root, WEFT__SIG_CANCEL);
}

int weft_stop(weft_runtime *rt)
{
    if (!rt || rt->magic != WEFT__RUNTIME_MAGIC)
        return -EINVAL;
    weft__lane_realm *realm = rt->lanes;
    if (weft__exchange_seq(&realm->stopping, 1, "realm.stop"))
        return 0;
    /* Without a worker yet the first one to come looks at `stopping`; stop_seen lets only one of the two send. */
    weft__worker *home = weft__load_seq(&realm->home, "realm.stop");
    if (home && !weft__exchange_seq(&realm->stop_seen, 1, "realm.stop"))
        weft__worker_send(home, &realm->stop_task);
    return 0;
}

void weft__realm_root_home(weft_runtime *rt, weft__worker *w, int held)
{
    weft__lane_realm *realm = rt->lanes;
    weft__lane_settle_at(realm->root, w);
    realm->root->held = held != 0;
    weft__store_seq(&realm->home, w, "realm.home");
    if (weft__load_seq(&realm->stopping, "realm.home") && !weft__exchange_seq(&realm->stop_seen, 1, "realm.home"))
        weft__worker_send(w, &realm->stop_task);
}
