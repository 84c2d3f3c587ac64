/* A port driver written with nothing but the public headers: it answers every op with its own number, at the next
 * enter. A stand-alone port and a runtime both run on it; a table with an empty slot is refused by name. */
#include <errno.h>
#include <weft/weft.h>

#include "test.h"

typedef struct mine {
    weft_op *head, **tail; /* submitted, by wait_next */
    weft_parker parker;    /* where enter waits */
    long entered;
} mine;

static mine one; /* the tests open one port at a time */

static int mine_open(weft_port *port, const weft_port_config *config)
{
    (void)config;
    CHECK(weft_port_state(port) == NULL);
    memset(&one, 0, sizeof one);
    one.tail = &one.head;
    weft_port_set_state(port, &one);
    return 0;
}

static void mine_close(weft_port *port)
{
    mine *m = weft_port_state(port);
    CHECK(m == &one && !m->head);
}

static void mine_submit(weft_port *port, weft_op *op)
{
    mine *m = weft_port_state(port);
    op->wait_next = NULL;
    *m->tail = op;
    m->tail = &op->wait_next;
}

static void mine_cancel(weft_port *port, weft_op *op)
{
    (void)port;
    (void)op; /* it ends at the next enter anyway */
}

static void mine_enter(weft_port *port, int64_t deadline_ns)
{
    mine *m = weft_port_state(port);
    const weft_env *env = weft_port_env(port);
    m->entered++;
    if (!m->head && deadline_ns > WEFT_NOW)
        env->park(env->self, &m->parker, deadline_ns);
    while (m->head) {
        weft_op *op = m->head;
        m->head = op->wait_next;
        if (!m->head)
            m->tail = &m->head;
        weft_port_complete(port, op, 1000 + op->code);
    }
}

static void mine_wake(weft_port *port)
{
    mine *m = weft_port_state(port);
    const weft_env *env = weft_port_env(port);
    env->unpark(env->self, &m->parker);
}

static enum weft_path mine_path(weft_port *port, enum weft_opcode code)
{
    (void)port;
    return code == WEFT_OP_STAT ? WEFT_PATH_NONE : WEFT_PATH_CALL;
}

static const weft_port_driver driver = {
    .name = "mine",
    .open = mine_open,
    .close = mine_close,
    .submit = mine_submit,
    .cancel = mine_cancel,
    .enter = mine_enter,
    .wake = mine_wake,
    .path = mine_path,
};

static void a_port_of_ones_own(void)
{
    weft_port *port;
    weft_op nop, stat;
    weft_stat out;
    weft_completion done[2];
    CHECK_OK(weft_port_open(&port, &(weft_port_options){.driver = &driver}));
    CHECK(strcmp(weft_port_name(port), "mine") == 0);
    weft_op_nop(&nop);
    nop.key = 7;
    weft_op_stat(&stat, NULL, "/", &out, 0);
    stat.key = 8;
    CHECK_OK(weft_port_submit(port, &nop));
    CHECK_OK(weft_port_submit(port, &stat));
    CHECK_EQ(weft_port_reap(port, done, 2, 2, WEFT_NEVER), 2);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(done[i].result, done[i].key == 7 ? 1000 + WEFT_OP_NOP : -ENOTSUP);
    CHECK_OK(weft_port_close(port));
}

static int sleeps(int argc, char **argv)
{
    weft_info info;
    (void)argc;
    (void)argv;
    CHECK_OK(weft_runtime_info(weft_current(), &info));
    CHECK(strcmp(info.port, "mine") == 0);
    int64_t until = weft_after(2 * WEFT_MILLISECOND);
    CHECK_OK(weft_sleep(until));
    CHECK(weft_now() >= until);
    return 0;
}

static void a_runtime_on_it(void)
{
    CHECK_EQ(weft_main(sleeps, 0, NULL, &(weft_options){.driver = &driver, .workers = 1, .mode = WEFT_SHARED}), 0);
    CHECK(one.entered > 0);
}

static char said[512];

static void listen_to(void *self, enum weft_log_level level, const char *text, size_t n)
{
    (void)self;
    (void)level;
    strncat(said, text, n < sizeof said - strlen(said) - 1 ? n : 0);
}

static void an_empty_slot_is_named(void)
{
    weft_port_driver lacking = driver;
    weft_env env = *weft_env_posix();
    weft_runtime *rt;
    lacking.wake = NULL;
    env.log = listen_to;
    CHECK_EQ(weft_start(&rt, &(weft_options){.driver = &lacking, .env = &env}), -EINVAL);
    CHECK(strstr(said, "wake"));
}

int main(void)
{
    a_port_of_ones_own();
    a_runtime_on_it();
    an_empty_slot_is_named();
    return 0;
}
