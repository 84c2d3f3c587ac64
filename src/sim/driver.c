/* Owns the simulated port: how ops travel to the simulated kernel and results back.
 * The world that the ops act on is in net.c, stream.c and file.c.
 *
 * An op is handed over at submit or at the next enter, takes effect after a delay (in order for one port), and its
 * result is reaped after another. A cancel travels the same way behind its op, so by the seed it finds the op waiting
 * (-ECANCELED), finds it over (its real result comes), or anything between: the three outcomes a kernel has. A port may
 * be one of readiness beside that: ready.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "port/port.h"
#include "sim/sim.h"

#define ENTER_NS 1000 /* what a call into the kernel costs */

static sim_port *of(weft_port *port) { return port->state; }

/* ---- flights ---- */

static sim_flight *flight_new(sim *s, sim_port *p, weft_op *op)
{
    sim_flight *f = s->spare;

    if (f) {
        s->spare = f->next;
    } else {
        f = malloc(sizeof *f);
        WEFT_ASSERT(f);
        f->all = s->all_flights;
        s->all_flights = f;
    }
    *f = (sim_flight){.op = op, .port = p, .ordinal = ++s->flight_count, .all = f->all};
    f->refs = 1; /* the op's own, until it is reaped */
    op->drv[0] = (uint64_t)(uintptr_t)f;
    s->flying++;
    return f;
}

void weft__sim_flight_drop(sim *s, sim_flight *f)
{
    WEFT_ASSERT(f->refs > 0);
    if (--f->refs > 0)
        return;
    f->next = s->spare;
    s->spare = f;
}

static sim_flight *flight_of(const weft_op *op) { return (sim_flight *)(uintptr_t)op->drv[0]; }

/* ---- results ---- */

void weft__sim_result(sim *s, sim_flight *f, int64_t result, int more, const weft_buffer *buffer)
{
    sim_event e = {.kind = SIM_RESULT, .flight = f, .value = result, .more = more};

    WEFT_ASSERT(!f->over);
    if (f->direct) {
        f->over = 1;
        f->direct_result = result;
        return;
    }
    if (buffer)
        e.buffer = *buffer;
    f->over = !more;
    e.time_ns = s->now_ns + weft__sim_delay(s);
    if (e.time_ns < f->last_ns)
        e.time_ns = f->last_ns;
    f->last_ns = e.time_ns;
    f->refs++;
    weft__sim_note(s, more ? "more" : "result", weft_op_name((enum weft_opcode)f->op->code), (int64_t)f->ordinal, result);
    weft__sim_event_add(s, &e);
}

static void result_arrives(sim *s, const sim_event *e)
{
    sim_port *p = e->flight->port;
    sim_outcome *o = s->spare_outcomes;

    if (o)
        s->spare_outcomes = o->next;
    else
        o = malloc(sizeof *o);
    WEFT_ASSERT(o);
    *o = (sim_outcome){.flight = e->flight, .result = e->value, .more = e->more, .buffer = e->buffer};
    *p->ready_tail = o;
    p->ready_tail = &o->next;
    if (p->waiting)
        weft__sim_wake(s, p->waiting);
}

static void execute_later(sim *s, const sim_event *e)
{
    weft__sim_note(s, "execute", weft_op_name((enum weft_opcode)e->flight->op->code), (int64_t)e->flight->ordinal, e->flight->port->ordinal);
    weft__sim_execute(s, e->flight);
}

static void cancel_now(sim *s, sim_flight *f)
{
    weft__sim_note(s, "cancel", f->over ? "late" : "found", (int64_t)f->ordinal, 0);
    if (f->over)
        return; /* its result is on its way */
    weft__sim_queue_remove(f);
    weft__sim_result(s, f, -ECANCELED, 0, NULL);
}

void weft__sim_happen(sim *s, const sim_event *e)
{
    switch (e->kind) {
    case SIM_EXECUTE:
        execute_later(s, e);
        weft__sim_flight_drop(s, e->flight);
        break;
    case SIM_CANCEL:
        cancel_now(s, e->flight);
        weft__sim_flight_drop(s, e->flight);
        break;
    case SIM_RESULT:
        result_arrives(s, e); /* the outcome keeps the reference */
        break;
    default:
        weft__sim_stream_happen(s, e);
    }
}

/* ---- the table's functions ---- */

static int driver_open(weft_port *port, const weft_port_config *config)
{
    sim *s = weft__sim_current();
    sim_port *p;

    if (!s)
        return -ENOSYS;
    p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->ordinal = s->port_count++;
    p->port = port;
    p->ready_tail = &p->ready;
    weft__buffers_init(&p->buffers, port->env, config->buffer_size ? config->buffer_size : 4096,
                       config->buffer_count ? config->buffer_count : 256);
    p->next = s->ports;
    s->ports = p;
    port->state = p;
    weft__sim_note(s, "port", "open", p->ordinal, 0);
    return 0;
}

static void port_free(sim_port *p)
{
    for (sim_outcome *o = p->ready, *next; o; o = next) {
        next = o->next;
        free(o);
    }
    free(p->queued);
    free(p);
}

static void driver_close(weft_port *port)
{
    sim *s = weft__sim_current();
    sim_port *p = of(port), **at = &s->ports;

    WEFT_ASSERT(!p->waiting && p->queued_count == 0 && port->watching == 0 && !p->line);
    weft__sim_note(s, "port", "close", p->ordinal, 0);
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    weft__buffers_fini(&p->buffers);
    if (p->pollable)
        weft__sim_driver_close_handle(port, (weft_handle)p->pollable->handle);
    port_free(p);
}

void weft__sim_ports_free(sim *s)
{
    for (sim_port *p = s->ports, *next; p; p = next) {
        next = p->next;
        port_free(p); /* its buffers are an abandoned program's, as the port itself */
    }
    for (sim_flight *f = s->all_flights, *next; f; f = next) {
        next = f->all;
        free(f);
    }
    for (sim_outcome *o = s->spare_outcomes, *next; o; o = next) {
        next = o->next;
        free(o);
    }
}

static void queue(sim_port *p, enum sim_event_kind kind, sim_flight *f)
{
    if (p->queued_count == p->queued_room) {
        p->queued_room = p->queued_room ? 2 * p->queued_room : 16;
        p->queued = realloc(p->queued, p->queued_room * sizeof *p->queued);
        WEFT_ASSERT(p->queued);
    }
    f->refs++;
    p->queued[p->queued_count++] = (sim_event){.kind = kind, .flight = f};
}

/* In order, each after a delay that is seldom more than nothing: kernels start most ops while they take them in. */
static void hand_over(sim *s, sim_port *p)
{
    for (unsigned i = 0; i < p->queued_count; i++) {
        sim_event e = p->queued[i];

        e.time_ns = s->now_ns + (sim_random_one_in(&s->choices, 4) ? weft__sim_delay(s) : 0);
        if (e.time_ns < p->last_ns)
            e.time_ns = p->last_ns;
        p->last_ns = e.time_ns;
        weft__sim_event_add(s, &e);
    }
    p->queued_count = 0;
}

/* As readiness drivers do: the call is made at once, and only an op that has to wait goes on living. */
static void try_at_once(sim *s, sim_port *p, sim_flight *f)
{
    weft_op *op = f->op;
    int64_t r;

    f->direct = 1;
    weft__sim_execute(s, f);
    f->direct = 0;
    if (!f->over)
        return;
    r = f->direct_result;
    weft__sim_note(s, "at once", weft_op_name((enum weft_opcode)op->code), (int64_t)f->ordinal, r);
    s->flying--;
    f->op = NULL;
    weft__sim_flight_drop(s, f);
    weft__sim_unstand(s, op);
    weft_port_complete(p->port, op, r);
}

static void driver_submit(weft_port *port, weft_op *op)
{
    sim *s = weft__sim_current();
    sim_port *p = of(port);
    sim_flight *f = flight_new(s, p, op);

    weft__sim_note(s, "submit", weft_op_name((enum weft_opcode)op->code), (int64_t)f->ordinal, op->desc ? (int64_t)op->desc->handle : -1);
    weft__sim_stand(s, op);
    if (p->queued_count == 0 && p->last_ns <= s->now_ns && !(op->flags & WEFT_OP_MULTI) && weft_port_room(port) > 0 &&
        sim_random_one_in(&s->choices, 8)) {
        try_at_once(s, p, f);
        return;
    }
    queue(p, SIM_EXECUTE, f);
    if (sim_random_one_in(&s->choices, 4))
        hand_over(s, p); /* as a driver with a full queue, or one that tries at once, would */
}

static void driver_cancel(weft_port *port, weft_op *op)
{
    sim *s = weft__sim_current();
    sim_port *p = of(port);

    weft__sim_note(s, "ask", weft_op_name((enum weft_opcode)op->code), (int64_t)flight_of(op)->ordinal, 0);
    queue(p, SIM_CANCEL, flight_of(op));
}

/* One result to the core; what the core does with it may submit and cancel. */
static void reap_one(sim *s, weft_port *port, sim_outcome *o)
{
    sim_flight *f = o->flight;
    weft_op *op = f->op;
    sim_outcome taken = *o;

    o->next = s->spare_outcomes;
    s->spare_outcomes = o;
    weft__sim_note(s, "reap", weft_op_name((enum weft_opcode)op->code), (int64_t)f->ordinal, taken.result);
    if (taken.more) {
        weft_port_more(port, op, taken.result, taken.buffer.data ? &taken.buffer : NULL);
    } else {
        f->op = NULL;
        s->flying--;
        weft__sim_flight_drop(s, f);
        weft__sim_unstand(s, op);
        weft_port_complete(port, op, taken.result);
    }
    weft__sim_flight_drop(s, f);
}

/* What is there now, and nothing that comes meanwhile: an enter ends. */
static void reap(sim *s, weft_port *port)
{
    sim_port *p = of(port);
    sim_outcome **end = p->ready_tail;

    while (p->ready && weft_port_room(port) > 0) {
        sim_outcome *o = p->ready;
        const int last = &o->next == end;

        p->ready = o->next;
        if (!p->ready)
            p->ready_tail = &p->ready;
        reap_one(s, port, o);
        if (last)
            break;
    }
}

static void driver_enter(weft_port *port, int64_t deadline_ns)
{
    sim *s = weft__sim_current();
    sim_port *p = of(port);

    port->entered++;
    weft__sim_pass(s, ENTER_NS);
    hand_over(s, p);
    /* Seldom, a wait ends for no reason: signals do that. */
    if (!p->ready && !p->line && !p->woken && deadline_ns > s->now_ns && !sim_random_one_in(&s->choices, 64)) {
        WEFT_ASSERT(!p->waiting); /* a port has one home */
        p->waiting = s->running;
        s->running->port = p;
        weft__sim_wait(s, SIM_ENTERED, deadline_ns);
        s->running->port = NULL;
        p->waiting = NULL;
    } else {
        weft__sim_yield(s);
    }
    p->woken = 0;
    const int line_first = p->line && sim_random_one_in(&s->choices, 2);
    if (line_first)
        weft__sim_tell_line(s, p);
    reap(s, port);
    if (!line_first)
        weft__sim_tell_line(s, p);
}

static int driver_pending(weft_port *port)
{
    sim_port *p = of(port);

    return p->ready || p->line || p->queued_count > 0 || p->woken;
}

static void driver_wake(weft_port *port)
{
    sim_port *p = of(port);

    p->woken = 1;
    if (p->waiting)
        weft__sim_wake(weft__sim_current(), p->waiting);
    if (p->pollable)
        weft__sim_stir(weft__sim_current());
}

static weft_handle driver_pollable(weft_port *port)
{
    sim *s = weft__sim_current();
    sim_port *p = of(port);

    if (!p->pollable && s->handles_open < s->opt.max_handles) {
        p->pollable = weft__sim_sock_new(s, SIM_PORT);
        p->pollable->port = p;
        weft__sim_handle_new(s, p->pollable);
    }
    return p->pollable ? (weft_handle)p->pollable->handle : WEFT_NOHANDLE;
}

static enum weft_path driver_path(weft_port *port, enum weft_opcode code)
{
    (void)port;
    switch (code) {
    case WEFT_OP_PWRITE:
    case WEFT_OP_FSYNC:
        return WEFT_PATH_NONE;
    case WEFT_OP_CALL:
        return WEFT_PATH_POOL;
    default:
        return WEFT_PATH_SIM;
    }
}

static const char *driver_why(weft_port *port, enum weft_opcode code)
{
    return driver_path(port, code) == WEFT_PATH_NONE ? "the simulated files are read-only" : "";
}

/* The buffer serves a receive that starved, if there is one. */
static void driver_release(weft_port *port, uint32_t bid)
{
    sim *s = weft__sim_current();
    sim_port *p = of(port);
    sim_flight *f = p->starved;

    weft__buffers_give(&p->buffers, bid);
    if (f) {
        weft__sim_queue_remove(f);
        weft__sim_execute(s, f);
    }
}

/* clang-format off */
#define SLOTS \
    .name = "sim", .open = driver_open, .close = driver_close, .submit = driver_submit, .cancel = driver_cancel, .enter = driver_enter, \
    .pending = driver_pending, .wake = driver_wake, .pollable = driver_pollable, .path = driver_path, .why = driver_why, \
    .release = driver_release, .socket = weft__sim_driver_socket, .listen = weft__sim_driver_listen, .address = weft__sim_driver_address, \
    .setopt = weft__sim_driver_setopt, .getopt = weft__sim_driver_getopt, .shutdown = weft__sim_driver_shutdown, \
    .close_handle = weft__sim_driver_close_handle, .file_at_once = weft__sim_file_at_once
/* clang-format on */

const weft_port_driver weft__sim_driver_table = {SLOTS};
const weft_port_driver weft__sim_ready_table = {
    SLOTS, .forget = weft__sim_forget, .attempt = weft__sim_attempt, .watch = weft__sim_watch, .unwatched = weft__sim_unwatched};
