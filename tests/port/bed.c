/* The suite's bed; see bed.h. */
#include "bed.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/un.h>

static job *job_of(weft_op *op) { return weft__container(op, job, op); }

static void ended(bed *b, weft_op *op)
{
    CHECK_EQ(op->state, WEFT_OP_DONE);
    CHECK_EQ(weft__add_acq_rel(&job_of(op)->ended, 1u, "test"), 0); /* an op ends once */
    b->ended++;
    if (b->on_end)
        b->on_end(b, op);
}

static void deliver(void *ctx, weft_op *op) { ended(ctx, op); }

int is_uring(const bed *b) { return strcmp(b->port.driver->name, "uring") == 0; }

void bed_open(bed *b, const weft_port_config *config)
{
    const weft_port_config none = {.entries = 64};
    memset(b, 0, sizeof *b);
    b->env = weft_env_posix();
    const weft_port_driver *driver = weft_driver_named(NULL);
    if (!driver)
        SKIP("no driver named %s in this build", getenv("WEFT_PORT"));
    const weft__port_owner owner = {.deliver = deliver, .ctx = b};
    CHECK_OK(weft__pool_open(&b->pool, b->env, &(weft__pool_options){.threads = 3}));
    int r = weft__port_init(&b->port, b->env, driver, config ? config : &none, &owner, b->pool);
    if (r == -ENOSYS || r == -EPERM)
        SKIP("the kernel refuses %s: %s", driver->name, strerror(-r));
    CHECK_OK(r);
}

void bed_close(bed *b)
{
    CHECK_EQ(b->port.flying, 0);
    CHECK_EQ(b->port.lent, 0);
    CHECK_EQ(b->started, b->ended);
    weft__port_fini(&b->port);
    weft__pool_close(b->pool);
}

int64_t bed_now(void) { return weft_env_posix()->now(weft_env_posix()->self); }
int64_t bed_after(int64_t ns) { return bed_now() + ns; }

void bed_start(bed *b, job *j)
{
    j->ended = 0;
    j->bed = b;
    b->started++;
    weft__port_start(&b->port, &j->op);
    if (j->op.state == WEFT_OP_DONE && !weft__load_acquire(&j->ended, "test"))
        ended(b, &j->op);
}

void bed_until(bed *b, const uint32_t *word, uint32_t n)
{
    int64_t limit = bed_after(BED_LIMIT);
    while (weft__load_acquire(word, "test") < n) {
        if (bed_now() >= limit)
            TEST_FAIL("nothing came: %u of %u, %u ops in flight", *word, n, b->port.flying);
        weft__port_enter(&b->port, limit);
    }
}

int64_t bed_await(bed *b, job *j)
{
    bed_until(b, &j->ended, 1);
    return j->op.result;
}

int64_t bed_run(bed *b, job *j)
{
    bed_start(b, j);
    return bed_await(b, j);
}

void bed_settle(bed *b)
{
    for (int i = 0; i < 4; i++)
        weft__port_enter(&b->port, WEFT_NOW);
}

void bed_cancel(bed *b, job *j) { weft__port_cancel(&b->port, &j->op); }

static void inet_pair(int fds[2])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(test_loopback())};
    socklen_t len = sizeof in;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(l >= 0 && bind(l, (struct sockaddr *)&in, sizeof in) == 0 && listen(l, 1) == 0);
    CHECK(getsockname(l, (struct sockaddr *)&in, &len) == 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fds[0] >= 0 && connect(fds[0], (struct sockaddr *)&in, sizeof in) == 0);
    fds[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fds[1] >= 0);
    close(l);
}

static void pair(int fds[2], int family)
{
    if (family == AF_INET)
        inet_pair(fds);
    else
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0);
}

void bed_pair(weft_desc *a, int *raw, int family)
{
    int fds[2];
    pair(fds, family);
    weft__desc_init(a, fds[0], WEFT_DESC_STREAM);
    *raw = fds[1];
}

void bed_pair2(weft_desc *a, weft_desc *b, int family)
{
    int fds[2];
    pair(fds, family);
    weft__desc_init(a, fds[0], WEFT_DESC_STREAM);
    weft__desc_init(b, fds[1], WEFT_DESC_STREAM);
}

void bed_listener(bed *b, weft_desc *l, weft_addr *addr, int family)
{
    static uint32_t serial;
    const uint32_t host = test_loopback();
    weft_addr want = {.family = WEFT_ADDR_IP4, .ip4 = {127, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host}};
    if (family == AF_INET6)
        want = (weft_addr){.family = WEFT_ADDR_IP6, .ip6 = {[15] = 1}};
    if (family == AF_UNIX) {
        want = (weft_addr){.family = WEFT_ADDR_UNIX};
        int n = snprintf(want.path + 1, sizeof want.path - 1, "weft-%d-%u", (int)getpid(), ++serial);
        want.path_len = (uint16_t)(1 + n);
    }
    weft_handle h;
    CHECK_OK(b->port.driver->listen(&b->port, &h, &want, NULL));
    CHECK_OK(b->port.driver->address(&b->port, h, 0, addr));
    weft__desc_init(l, h, WEFT_DESC_LISTENER);
}

int bed_raw_connect(const weft_addr *addr)
{
    struct sockaddr_storage ss;
    unsigned len;
    CHECK_OK(weft__addr_to_sockaddr(addr, &ss, &len));
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (struct sockaddr *)&ss, len) == 0);
    return fd;
}

static uint32_t shut;
static void on_closed(weft_desc *d, int result)
{
    (void)d;
    CHECK_EQ(result, 0);
    shut++;
}

void bed_shut(bed *b, weft_desc *d)
{
    uint32_t before = shut;
    d->closed = on_closed;
    weft__desc_close(&b->port, d);
    bed_until(b, &shut, before + 1);
    CHECK_EQ(d->handle, WEFT_NOHANDLE);
}

size_t bed_fill(int fd)
{
    static char zeros[65536];
    size_t n = 0;
    ssize_t r;
    while ((r = send(fd, zeros, sizeof zeros, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
        n += (size_t)r;
    return n;
}

static void on_sigpipe(int sig)
{
    (void)sig;
    static const char text[] = "a SIGPIPE came through\n";
    (void)!write(2, text, sizeof text - 1);
    _exit(1);
}

int bed_main(int argc, char **argv, const bed_case *cases, size_t n)
{
    int ran = 0;
    signal(SIGPIPE, on_sigpipe);
    for (size_t i = 0; i < n; i++) {
        static bed b;
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
            continue;
        printf("%s\n", cases[i].name);
        fflush(stdout);
        int before = open_descriptors();
        bed_open(&b, cases[i].config);
        cases[i].run(&b);
        bed_close(&b);
        CHECK_EQ(open_descriptors(), before);
        ran++;
    }
    CHECK(ran > 0);
    return 0;
}
