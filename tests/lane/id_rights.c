/* DESIGN rule 6, kind by kind and call by call: a stale resource answers -EBADF, another lane's -EPERM, what is an
 * address and has ended -ESRCH, another kind -EINVAL; another runtime's id and bits that are no id are as good as
 * stale. Whichever way the lane that had them ended. */
#include "lane/lives.h"
#include "lane/estate.h"

/* ---- calls ---- */

static int call_close(weft_id id) { return weft_close(id); }
static int call_dup(weft_id id) { weft_id out; return weft_dup(id, &out); }
/* Never: the lane is our own. */
static int call_give(weft_id id) { return weft_give(id, weft_lane_self(), NULL, WEFT_NOW); }
static int call_read(weft_id id) { char c; return (int)weft_read(id, &c, 1, WEFT_NOW); }
static int call_readv(weft_id id) { char c; struct iovec v = {&c, 1}; return (int)weft_readv(id, &v, 1, WEFT_NOW); }
static int call_write(weft_id id) { return (int)weft_write(id, "", 1, WEFT_NOW); }
static int call_write_all(weft_id id) { return weft_write_all(id, "", 1, NULL, WEFT_NOW); }
static int call_read_buffer(weft_id id) { weft_buffer b; return (int)weft_read_buffer(id, &b, WEFT_NOW); }
static int call_shutdown(weft_id id) { return weft_shutdown(id, 1); }
static int call_accept(weft_id id) { weft_id s; return weft_accept(id, &s, NULL, WEFT_NOW); }
static int no_handler(void *arg) { return arg != NULL; }
static int call_accept_each(weft_id id) { weft_scope s; weft_scope_enter(&s, WEFT_NOW); int r = weft_accept_each(id, no_handler, NULL); weft_scope_leave(&s); return r; }
static int call_local_addr(weft_id id) { weft_addr a; return weft_local_addr(id, &a); }
static int call_sock_get(weft_id id) { int v; return weft_sock_get(id, WEFT_NODELAY, &v); }
static int call_pread(weft_id id) { char c; return (int)weft_pread(id, &c, 1, 0, SOON); }
static int call_fsync(weft_id id) { return weft_fsync(id, 0, SOON); }
static int call_stat(weft_id id) { weft_stat st; return weft_stat_id(id, &st, SOON); }
static int call_readdir(weft_id id) { _Alignas(8) char buf[512]; return (int)weft_readdir(id, buf, sizeof buf, SOON); }
static int call_open_at(weft_id id) { weft_id f; return weft_open_at(&f, id, "no such file", WEFT_OPEN_READ, 0, SOON); }
static int call_timer_set(weft_id id) { return weft_timer_set(id, WEFT_NEVER, 0); }
static int call_timer_wait(weft_id id) { return weft_timer_wait(id, NULL, WEFT_NOW); }
static int call_block_drop(weft_id id) { return weft_block_drop((weft_block){id}); }
static int call_slice_sub(weft_id id) { weft_slice s; return weft_slice_sub(&s, (weft_slice){id}, 99, 99); }
static int call_slice_drop(weft_id id) { return weft_slice_drop((weft_slice){id}); }
static int call_rope_length(weft_id id) { size_t n; return weft_rope_length((weft_rope){id}, &n, NULL); }
static int call_rope_drop(weft_id id) { return weft_rope_drop((weft_rope){id}); }

static int call_unpark(weft_id id) { return weft_unpark(id); }
static int call_unpark_in(weft_id id) { return weft_unpark_in(weft_current(), id); }
static int call_join(weft_id id) { return weft_join(id, NULL, WEFT_NOW); }
static int call_detach(weft_id id) { return weft_detach(id); }
static int call_trace(weft_id id) { static weft_trace t; return weft_trace_of(id, &t); }
static int call_lane_join(weft_id id) { return weft_lane_join(id, NULL, WEFT_NOW); }
static int call_lane_detach(weft_id id) { return weft_lane_detach(id); }
static int call_kill(weft_id id) { return weft_kill(id); }
static int call_kill_in(weft_id id) { return weft_kill_in(weft_current(), id); }
static int call_cancel(weft_id id) { return weft_cancel(id); }
static int call_cancel_in(weft_id id) { return weft_cancel_in(weft_current(), id); }
static int call_send(weft_id id) { return weft_send(id, "", 1, NULL); }
static int call_link(weft_id id) { return weft_link(id); }
static int call_unlink(weft_id id) { return weft_unlink(id); }
static int call_grant(weft_id id) { return weft_grant(id, weft_self(), WEFT_RIGHT_CANCEL); }
static int call_register(weft_id id) { return weft_register_as(id, "a name that stays free"); }
static int call_demonitor(weft_id id) { return weft_demonitor(id, 0); }
static int call_alias_close(weft_id id) { return weft_alias_close(id); }

#define K(kind) (1u << WEFT_ID_##kind)
#define ANY_RESOURCE (K(SOCKET) | K(LISTENER) | K(FILE) | K(DIR) | K(TIMER))

/* OPEN: anybody may. OWN: others get -EPERM. */
enum who { OWN, OPEN };

static const struct call {
    const char *name;
    int (*fn)(weft_id id);
    unsigned takes; /* kinds */
    int gone;       /* what it answers for one that is gone */
    enum who who;
} calls[] = {
    {"close", call_close, ANY_RESOURCE, -EBADF, OWN},
    {"dup", call_dup, ANY_RESOURCE, -EBADF, OWN}, /* timers: see id_dup */
    {"give", call_give, ANY_RESOURCE, -EBADF, OWN},
    {"read", call_read, K(SOCKET), -EBADF, OWN},
    {"readv", call_readv, K(SOCKET), -EBADF, OWN},
    {"write", call_write, K(SOCKET), -EBADF, OWN},
    {"write_all", call_write_all, K(SOCKET), -EBADF, OWN},
    {"read_buffer", call_read_buffer, K(SOCKET), -EBADF, OWN},
    {"shutdown", call_shutdown, K(SOCKET), -EBADF, OWN},
    {"accept", call_accept, K(LISTENER), -EBADF, OWN},
    {"accept_each", call_accept_each, K(LISTENER), -EBADF, OWN},
    {"local_addr", call_local_addr, K(SOCKET) | K(LISTENER), -EBADF, OWN},
    {"sock_get", call_sock_get, K(SOCKET) | K(LISTENER), -EBADF, OWN},
    {"pread", call_pread, K(FILE), -EBADF, OWN},
    {"fsync", call_fsync, K(FILE) | K(DIR), -EBADF, OWN},
    {"stat_id", call_stat, K(FILE) | K(DIR), -EBADF, OWN},
    {"readdir", call_readdir, K(DIR), -EBADF, OWN},
    {"open_at", call_open_at, K(DIR), -EBADF, OWN},
    {"timer_set", call_timer_set, K(TIMER), -EBADF, OWN},
    {"timer_wait", call_timer_wait, K(TIMER), -EBADF, OWN},
    {"block_drop", call_block_drop, K(BLOCK), -EBADF, OWN},
    {"slice_sub", call_slice_sub, K(SLICE), -EBADF, OWN},
    {"slice_drop", call_slice_drop, K(SLICE), -EBADF, OWN},
    {"rope_length", call_rope_length, K(ROPE), -EBADF, OWN},
    {"rope_drop", call_rope_drop, K(ROPE), -EBADF, OWN},
    {"unpark", call_unpark, K(FIBER), -ESRCH, OPEN},
    {"unpark_in", call_unpark_in, K(FIBER), -ESRCH, OPEN},
    {"join", call_join, K(FIBER), -ESRCH, OWN},
    {"detach", call_detach, K(FIBER), -ESRCH, OWN},
    {"trace_of", call_trace, K(FIBER), -ESRCH, OWN},
    {"lane_join", call_lane_join, K(LANE), -ESRCH, OWN},
    {"lane_detach", call_lane_detach, K(LANE), -ESRCH, OWN},
    {"kill", call_kill, K(LANE), -ESRCH, OWN},
    {"kill_in", call_kill_in, K(LANE), -ESRCH, OWN},
    {"cancel", call_cancel, K(LANE) | K(FIBER), -ESRCH, OWN},
    {"cancel_in", call_cancel_in, K(LANE) | K(FIBER), -ESRCH, OWN},
    {"send", call_send, K(LANE) | K(ALIAS), -ESRCH, OPEN},
    {"link", call_link, K(LANE), -ESRCH, OPEN},
    {"unlink", call_unlink, K(LANE), -ESRCH, OPEN},
    {"grant", call_grant, K(LANE), -ESRCH, OWN},
    {"register_as", call_register, K(LANE), -ESRCH, OWN},
    {"demonitor", call_demonitor, K(MONITOR), -ESRCH, OWN},
    {"alias_close", call_alias_close, K(ALIAS), -ESRCH, OWN},
};

enum { CALLS = sizeof calls / sizeof *calls };

static void answers(const struct call *c, weft_id id, const char *what, int wanted, int or_this)
{
    const int r = c->fn(id);

    if (r != wanted && r != or_this)
        TEST_FAIL("weft_%s with %s %s: %s (%d), not %s (%d)", c->name, what, weft_id_kind_name(id), weft_strerror(r), r,
                  weft_strerror(wanted), wanted);
}

/* Another kind of resource that is gone, or another lane's, may be told so as well. */
static void wrong_kinds(const estate *e, int or_this)
{
    for (int i = 0; i < CALLS; i++)
        for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++) {
            if (!estate_has(k) || calls[i].takes & 1u << k)
                continue;
            answers(&calls[i], e->id[k], "the wrong kind", -EINVAL,
                    calls[i].gone == -EBADF && ANY_RESOURCE & 1u << k ? or_this : -EINVAL);
        }
}

static void right_kinds_of_others(const estate *e)
{
    for (int i = 0; i < CALLS; i++)
        for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++)
            if (estate_has(k) && calls[i].takes & 1u << k && calls[i].who == OWN)
                answers(&calls[i], e->id[k], "another lane's", -EPERM, -EPERM);
}

static void all_are_gone(const estate *e)
{
    for (int i = 0; i < CALLS; i++)
        for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++)
            if (estate_has(k) && calls[i].takes & 1u << k)
                answers(&calls[i], e->id[k], "a stale", calls[i].gone, calls[i].gone);
}

static int is_no_name(const struct call *c) { return c->fn == call_link || c->fn == call_unlink; }

static void no_ids(void)
{
    const uint16_t ns = weft_self().ns, tag = (uint16_t)(ns - WEFT_ID_FIBER);
    uint64_t state = 7;

    for (int i = 0; i < CALLS; i++) {
        const int none = is_no_name(&calls[i]) ? -EINVAL : calls[i].gone; /* these say so to WEFT_NOID */
        answers(&calls[i], WEFT_NOID, "no", none, none);
        answers(&calls[i], (weft_id){weft_self().key, ns, 0}, "generation 0 of a", none, none);
        for (unsigned kind = WEFT_ID_MONITOR + 1; kind < 64; kind++) /* kinds that there are not */
            for (uint32_t key = 0x80000000u; key < 0x80000020u; key++)
                answers(&calls[i], (weft_id){key, (uint16_t)(tag + kind), 0x8000}, "no", calls[i].gone, calls[i].gone);
        for (int n = 0; n < 200; n++) { /* another runtime's, perhaps */
            const weft_id id = {next_random(&state) | (n & 1 ? 0x80000000u : 0), (uint16_t)(next_random(&state) & 0x7fff),
                                (uint16_t)(next_random(&state) | 1)};
            answers(&calls[i], id, "no", calls[i].gone, calls[i].gone);
        }
        /* A generation that has not come yet of records that there are. */
        for (unsigned k = 1; k <= WEFT_ID_MONITOR; k++)
            if (estate_has(k) && calls[i].takes & 1u << k)
                for (uint32_t key = 0x80000000u; key < 0x80000040u; key++)
                    answers(&calls[i], (weft_id){key, (uint16_t)(tag + k), 0xfff0}, "no", calls[i].gone, calls[i].gone);
    }
}

/* ---- the cases ---- */

static void let_go(const estate *e)
{
    CHECK_OK(weft_cancel(e->id[WEFT_ID_FIBER]));
    CHECK_OK(weft_cancel(e->id[WEFT_ID_LANE]));
    CHECK_OK(weft_join(e->id[WEFT_ID_FIBER], NULL, SOON));
    CHECK_OK(weft_lane_join(e->id[WEFT_ID_LANE], NULL, SOON));
}

static int stranger(void *arg)
{
    const estate *e = *(estate **)arg;

    right_kinds_of_others(e);
    wrong_kinds(e, -EPERM);
    return 0;
}

static int living(void *arg)
{
    static estate e;
    estate *at = &e;
    weft_id lane;
    weft_id_info i;
    int r;

    (void)arg;
    estate_make(&e);
    wrong_kinds(&e, -EINVAL);
    no_ids();
    for (int pinned = 0; pinned < 2; pinned++) { /* on our worker, and on whichever */
        CHECK_OK(weft_lane_spawn_with(&lane, stranger, &at, .copy = sizeof at, .pinned = pinned));
        CHECK_OK(weft_lane_join(lane, &r, SOON));
        CHECK_EQ(r, 0);
    }
    for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++) /* none of it has done anything */
        CHECK(!estate_has(k) || weft_id_inspect(e.id[k], &i) == 0);
    let_go(&e);
    return 0;
}

static int closed_one_by_one(void *arg)
{
    static estate e;

    (void)arg;
    for (int round = 0; round < 2; round++) {
        estate_make(&e);
        let_go(&e);
        for (unsigned k = WEFT_ID_SOCKET; k <= WEFT_ID_TIMER; k++)
            CHECK_OK(weft_close(e.id[k]));
        CHECK_OK(weft_block_drop((weft_block){e.id[WEFT_ID_BLOCK]}));
        CHECK_OK(weft_slice_drop((weft_slice){e.id[WEFT_ID_SLICE]}));
        CHECK_OK(weft_rope_drop((weft_rope){e.id[WEFT_ID_ROPE]}));
        CHECK_OK(weft_alias_close(e.id[WEFT_ID_ALIAS]));
        all_are_gone(&e);
        wrong_kinds(&e, -EBADF);
        static estate next; /* the same records, in their next lives */
        estate_make(&next);
        all_are_gone(&e);
        let_go(&next);
        weft_message *m;
        CHECK_OK(weft_receive(&m, SOON)); /* the monitors have fired */
        CHECK_OK(weft_msg_free(m));
        CHECK_OK(weft_receive(&m, SOON));
        CHECK_OK(weft_msg_free(m));
    }
    return 0;
}

enum ending { RETURNS, FAILS, IS_CANCELLED, IS_KILLED, ENDINGS };

typedef struct dying {
    enum ending how;
    estate *e;
    weft_id parent;
} dying;

static int owner(void *arg)
{
    const dying d = *(dying *)arg;

    estate_make(d.e);
    CHECK_OK(weft_send(d.parent, "", 1, NULL));
    if (d.how == RETURNS || d.how == FAILS) { /* the parked fiber has to end first */
        CHECK_OK(weft_cancel(d.e->id[WEFT_ID_FIBER]));
        CHECK_OK(weft_cancel(d.e->id[WEFT_ID_LANE]));
        return d.how == FAILS ? -EPROTO : 0;
    }
    return weft_park(WEFT_NEVER);
}

/* All ids of a lane die with it, and before anybody is told. */
static int all_die_with_their_lane(void *arg)
{
    static estate e;
    dying d = {.e = &e, .parent = weft_lane_self()};
    weft_message *m;
    weft_id lane;
    int r;

    (void)arg;
    for (int round = 0; round < 2 * ENDINGS; round++) {
        d.how = (enum ending)(round % ENDINGS);
        CHECK_OK(weft_lane_spawn_with(&lane, owner, &d, .copy = sizeof d));
        CHECK_OK(weft_receive(&m, SOON));
        CHECK_OK(weft_msg_free(m));
        if (d.how == IS_CANCELLED)
            CHECK_OK(weft_cancel(lane));
        if (d.how == IS_KILLED)
            CHECK_OK(weft_kill(lane));
        CHECK_OK(weft_lane_join(lane, &r, SOON));
        CHECK_EQ(r, d.how == RETURNS ? 0 : d.how == FAILS ? -EPROTO : -ECANCELED);
        all_are_gone(&e);
        wrong_kinds(&e, -EBADF);
        CHECK_EQ(weft_send(lane, "", 1, NULL), -ESRCH);
    }
    return 0;
}

typedef struct abroad {
    const estate *e;
    int dead;
} abroad;

static int in_another_runtime(int argc, char **argv)
{
    const abroad *a = (void *)argv;

    (void)argc;
    for (int i = 0; i < CALLS; i++)
        for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++)
            if (estate_has(k))
                answers(&calls[i], a->e->id[k], "another runtime's", calls[i].gone, calls[i].gone);
    return 0;
}

static void *other_runtime(void *arg)
{
    weft_options opt = {.workers = 1};

    CHECK_EQ(weft_main(in_another_runtime, 1, arg, &opt), 0);
    return NULL;
}

static int from_another_runtime(void *arg)
{
    static estate e;
    abroad a = {.e = &e};
    weft_id_info i;

    (void)arg;
    estate_make(&e);
    CHECK_EQ(pthread_join(thread_of(other_runtime, &a), NULL), 0);
    for (unsigned k = 0; k <= WEFT_ID_MONITOR; k++)
        CHECK(!estate_has(k) || weft_id_inspect(e.id[k], &i) == 0);
    let_go(&e);
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        CASE(living), CASE(closed_one_by_one), CASE(all_die_with_their_lane), CASE(from_another_runtime),
    };

    return RUN_IN_FEW_LIVES_TOO(cases, argc, argv);
}
