/* The ways into a runtime: weft_main, weft_init, weft_start, weft_run, weft_run_once.
 * Each function says which thread calls it. */
#include <errno.h>

#include "base/check.h"
#include "env/current.h"
#include "env/default.h"
#include "fiber/death.h"
#include "lane/exit.h"
#include "lane/realm.h"
#include "sched/text.h"

enum { SIDE_STACK = 128 << 10 };

static int valid(weft_runtime *rt) { return rt && rt->magic == WEFT__RUNTIME_MAGIC; }

/* Opens a runtime, its own threads, and the calling thread as its first CPU worker (host), if wanted. program:
 * all of the process is it, so it ends if nothing can run any more. */
static int open_with_host(weft_runtime **out, const weft_options *opt, weft__worker **host, int program)
{
    weft_runtime *rt;
    int r = weft__realm_open(&rt, opt, host ? 1 : 0);
    if (r < 0)
        return r;
    rt->watched |= program != 0;
    r = weft__runtime_bloom(rt);
    if (r == 0 && host)
        r = weft__worker_open(rt, (unsigned)weft__runtime_claim(rt), WEFT__MAIN, host);
    if (r < 0) {
        weft__runtime_halt(rt);
        weft__realm_close(rt);
        return r;
    }
    *out = rt;
    return 0;
}

static void close_with_host(weft_runtime *rt, weft__worker *host)
{
    if (rt->env->signals)
        rt->env->signals(rt->env->self, NULL, NULL, rt);
    weft__runtime_halt(rt);
    if (host) {
        weft__worker_unbind(host);
        weft__worker_close(host);
    }
    weft__realm_close(rt);
}

/* ---- a program that is all weft ---- */

typedef struct program {
    int (*start)(int argc, char **argv);
    int argc;
    char **argv;
} program;

static int program_main(void *arg)
{
    program *p = arg;
    return p->start(p->argc, p->argv);
}

/* Makes the main fiber of the root lane. On its home. */
static int make_main_fiber(weft_runtime *rt, weft__worker *w, int (*fn)(void *), void *arg)
{
    weft__lane *root = weft__lanes_of(rt)->root;
    weft_spawn_options opt = {.detached = 1, .name = "main"};
    weft__realm_root_home(rt, w, 0);
    return weft__fiber_make(&root->crew, fn, arg, 0, &opt, "main", "weft_main", &root->main);
}

int weft_main(int (*start)(int argc, char **argv), int argc, char **argv, const weft_options *opt)
{
    weft_runtime *rt;
    weft__worker *w;
    program p = {start, argc, argv};
    int r = start ? open_with_host(&rt, opt, &w, 1) : -EINVAL;
    if (r == 0) {
        r = make_main_fiber(rt, w, program_main, &p);
        if (r == 0) {
            weft__fiber_queue(weft__lanes_of(rt)->root->main);
            while (!weft__load_acquire(&weft__lanes_of(rt)->ended, "main.loop"))
                weft__worker_tick(w, WEFT_NEVER);
            r = weft__lanes_of(rt)->root_result;
        }
        if (weft__load_seq(&weft__lanes_of(rt)->stuck, "main.stuck"))
            r = WEFT_EXIT_DEADLOCK; /* and it was said */
        if (r < 0)
            weft__say(rt, WEFT_LOG_ERROR, "main ended with %d: %s", r, weft_strerror(r));
        close_with_host(rt, w);
        return r < 0 ? 1 : r;
    }
    const weft_env *env = opt && opt->env ? opt->env : weft__default_env();
    char text[128];
    size_t n = weft__format(text, sizeof text, "no runtime: %s", weft_strerror(r));
    if (env->log)
        env->log(env->self, WEFT_LOG_ERROR, text, n);
    return 1;
}

/* ---- main() as a fiber ---- */

static void side_loop(void *arg)
{
    weft__worker *w = arg;
    for (;;)
        weft__worker_tick(w, WEFT_NEVER); /* until weft_fini leaves this context parked for good */
}

int weft_init(const weft_options *opt)
{
    if (weft__worker_self())
        return -EALREADY;
    weft_runtime *rt;
    weft__worker *w;
    int r = open_with_host(&rt, opt, &w, 0);
    if (r < 0)
        return r;
    weft__stack *side;
    r = weft__stack_get(&weft__fibers_of(w)->stacks, SIDE_STACK, &side);
    if (r == 0)
        r = make_main_fiber(rt, w, NULL, NULL);
    if (r < 0) {
        close_with_host(rt, w);
        return r;
    }
    weft__lane *root = weft__lanes_of(rt)->root;
    weft__lanes_of(rt)->side_stack = side;
    weft__fiber_adopt(w, root->main);
    root->main->context = w->context;
    weft__context_make(&w->context, side->lo, side->size, side_loop, w);
    return 0;
}

/* Waits until the root lane has no fiber but the caller, no child, and no close under way. */
static int alone(weft__lane *root, int64_t deadline)
{
    while (root->crew.alive > 1 || root->closing || weft__load_seq(&root->refs, "fini.wait") > 1) {
        int r = weft_park(deadline);
        if (r < 0)
            return r;
    }
    return 0;
}

int weft_fini(int64_t deadline)
{
    weft__fiber *f = weft__fiber_self();
    weft__lane *root = f ? weft__lane_of(f->crew) : NULL;
    if (!f || f != root->main || !weft__lanes_of(root->rt)->side_stack)
        return -EPERM;
    weft_runtime *rt = root->rt;
    weft__lane_realm *realm = rt->lanes;
    weft__worker *w = f->home;
    realm->fini_fiber = weft__fiber_id(f);
    weft__add_seq(&realm->listeners, 1, "fini.listen");
    weft__lane_disown(root);
    int r = alone(root, deadline);
    weft_scope shield;
    weft_shield_enter(&shield, WEFT_NEVER - weft__clock(rt) - 1);
    if (r < 0) { /* out of patience: ask all to end, and end them after the grace */
        weft_stop(rt);
        alone(root, WEFT_NEVER);
    }
    while (weft__fibers_clean(&root->crew, 0)) { /* for siblings that were killed */
        alone(root, WEFT_NEVER);
        weft_yield();
    }
    weft__defers_run(f);
    weft__locals_destroy(f); /* the main fiber ends here */
    weft__lane_close_all(root);
    alone(root, WEFT_NEVER);
    weft_shield_leave(&shield);
    weft__timer_cancel(w, &realm->grace);
    weft__timer_cancel(w, &f->timer);
    weft__stack *side = realm->side_stack;
    weft__context_discard(&w->context); /* its loop is parked in the switch to us */
    w->context = f->context;
    w->running = NULL;
    weft__load_acquire(&realm->ended, "fini");
    root->crew.alive--;
    weft__fiber_free(f);
    weft__lane_bury_now(root);
    weft__stack_put(&weft__fibers_of(w)->stacks, side);
    int failed = weft__exit_failed(root);
    if (r == 0 || (r == -ECANCELED && failed))
        r = failed ? root->result : r; /* a child's, that nobody joined */
    close_with_host(rt, w);
    return r;
}

/* ---- in the background ---- */

static void home_arrived(weft_task *t)
{
    weft__lane_realm *realm = weft__container(t, weft__lane_realm, home_task);
    weft__realm_root_home(realm->root->rt, weft__worker_self(), 1);
}

int weft_start(weft_runtime **out, const weft_options *opt)
{
    weft_runtime *rt;
    if (!out)
        return -EINVAL;
    int hosted = opt && opt->external_workers;
    int r = weft__realm_open(&rt, opt, hosted ? WEFT__WORKERS_MAX : 0);
    if (r < 0)
        return r;
    r = weft__runtime_bloom(rt);
    if (r < 0) {
        weft__runtime_halt(rt);
        weft__realm_close(rt);
        return r;
    }
    weft__lane_realm *realm = rt->lanes;
    if (!hosted) {
        realm->home_task.run = home_arrived;
        weft__worker_send(rt->worker[rt->first_cpu_worker], &realm->home_task);
    }
    *out = rt;
    return 0;
}

int weft_wait(weft_runtime *rt, int64_t deadline)
{
    weft__worker *self = weft__worker_self();
    if (!valid(rt))
        return -EINVAL;
    if (self && self->rt == rt)
        return -EDEADLK;
    return weft__realm_wait(rt, 0, deadline);
}

int weft_end(weft_runtime *rt)
{
    weft__worker *self = weft__worker_self();
    if (!valid(rt))
        return -EINVAL;
    if (self && self->rt == rt)
        return -EBUSY;
    weft__lane_realm *realm = rt->lanes;
    if (!weft__load_seq(&realm->home, "free") && rt->opt.external_workers) {
        weft__runtime_halt(rt); /* no thread ever came: nothing ran */
        weft__realm_close(rt);
        return 0;
    }
    weft_stop(rt);
    if (!rt->opt.external_workers)
        weft__realm_wait(rt, 1, WEFT_NEVER);
    else if (!weft__load_seq(&realm->ended, "free") || weft__load_seq(&rt->hosts, "free"))
        return -EBUSY;
    close_with_host(rt, realm->once);
    return 0;
}

/* ---- a host's threads ---- */

/* Takes the calling thread in as a worker; the first one becomes the root's home. */
static int join_as_worker(weft_runtime *rt, weft__worker **out)
{
    if (weft__worker_self())
        return -EALREADY;
    if (weft__load_seq(&weft__lanes_of(rt)->ended, "run"))
        return -ESHUTDOWN;
    int i = weft__runtime_claim(rt);
    if (i < 0)
        return i;
    int r = weft__worker_open(rt, (unsigned)i, WEFT__GUEST, out);
    if (r == 0 && (unsigned)i == rt->first_cpu_worker)
        weft__realm_root_home(rt, *out, 1);
    return r;
}

/* A thread that is asked to leave takes no more lanes, and goes when the last one at home on it has ended. */
static int may_leave(weft__worker *w)
{
    weft_runtime *rt = w->rt;
    if (!w->retiring) {
        uint32_t n = weft__load_relaxed(&rt->leaving, "run.leave");
        if (!n || w == weft__load_seq(&weft__lanes_of(rt)->home, "run.leave") || !weft__cas_seq(&rt->leaving, &n, n - 1, "run.leave"))
            return 0;
        weft__store_seq(&w->retiring, 1, "run.leave");
    }
    /* The load is read after retiring was set; pairs with unload in lane.c. */
    /* It is lent to sockets that were given to lanes elsewhere; each that comes back wakes us. */
    if (w->owns_port && w->port->lent)
        return 0;
    return weft__load_seq(&w->load, "run.leave") == 0 && !weft__worker_busy(w);
}

int weft_run(weft_runtime *rt)
{
    weft__worker *w;
    if (!valid(rt))
        return -EINVAL;
    weft__add_seq(&rt->hosts, 1, "run");
    int r = join_as_worker(rt, &w);
    if (r == 0) {
        while (!weft__load_acquire(&weft__lanes_of(rt)->ended, "run.loop") && !may_leave(w))
            weft__worker_tick(w, WEFT_NEVER);
        int left = w->retiring;
        if (left)
            weft__worker_retire(w);
        weft__worker_close(w);
        if (left) {
            weft__worker_vacate(w);
            if (rt->watched)
                weft__workers_rouse(rt, 0); /* without us perhaps nothing can run any more */
        }
    }
    weft__sub_seq(&rt->hosts, 1, "run");
    return r;
}

int weft_leave(weft_runtime *rt)
{
    if (!valid(rt))
        return -EINVAL;
    weft__add_seq(&rt->leaving, 1, "leave");
    weft__workers_rouse(rt, 1);
    return 0;
}

/* ---- in a foreign loop ---- */

int weft_pollable(weft_runtime *rt, weft_handle *out)
{
    if (!valid(rt) || !out)
        return -EINVAL;
    weft__lane_realm *realm = rt->lanes;
    if (!realm->once) {
        /* Linux 6.18 wakes nobody who polls a ring with deferred task work already as something arrives for it. */
        rt->opt.port_config.disable |= WEFT_URING_NO_DEFER;
        int r = join_as_worker(rt, &realm->once);
        if (r < 0)
            return r;
        realm->once->polled = 1;
        weft__set_current(NULL); /* between calls the thread is the host's */
    }
    weft_port *port = realm->once->port;
    if (!realm->once->owns_port || !port->driver->pollable)
        return -ENOTSUP;
    weft_handle h = port->driver->pollable(port);
    if (h == WEFT_NOHANDLE)
        return -ENOTSUP;
    *out = h;
    return 0;
}

int weft_run_once(weft_runtime *rt, int64_t deadline, int64_t *next_ns)
{
    if (!valid(rt))
        return -EINVAL;
    weft__lane_realm *realm = rt->lanes;
    if (!realm->once) {
        weft_handle h;
        int r = weft_pollable(rt, &h);
        if (r < 0 && r != -ENOTSUP)
            return r;
    }
    weft__worker *w = realm->once;
    if (weft__load_acquire(&realm->ended, "once"))
        return -ESHUTDOWN;
    weft__set_current(w);
    if (realm->dozing)
        weft__undoze(w);
    w->now_ns = weft__clock(rt);
    /* With something done there is something to return for. */
    weft__worker_tick(w, weft__worker_busy(w) ? WEFT_NOW : deadline);
    int more = weft__worker_busy(w);
    realm->dozing = !more && !weft__doze(w);
    if (!realm->dozing)
        more = 1;
    else if (w->owns_port)
        more = weft__port_doze(w->port);
    if (next_ns)
        *next_ns = weft__wheel_next(&w->wheel);
    weft__set_current(NULL);
    return weft__load_acquire(&realm->ended, "once") ? -ESHUTDOWN : more;
}

weft_runtime *weft_current(void)
{
    weft__worker *w = weft__worker_self();
    return w ? w->rt : NULL;
}
