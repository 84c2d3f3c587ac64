/* In a sandbox that refuses the newer system calls: `auto` finds a driver that works, waits are as exact as
 * milliseconds allow, and opening below a directory still lets nothing escape. Each case runs in a child that cannot
 * undo the filter. */
#include "bed.h"

#include <fcntl.h>

#include "refused.h"

static void ring_refused(void)
{
    unsetenv("WEFT_PORT");
    if (refuse(425 /* io_uring_setup */, EPERM) < 0)
        _exit(NO_FILTERS);
    const weft_port_driver *d = weft_driver_named("auto");
    CHECK(d && strcmp(d->name, "epoll") == 0);
    weft_port *p;
    CHECK_OK(weft_port_open(&p, NULL));
    CHECK(strcmp(weft_port_name(p), "epoll") == 0);
    weft_op op;
    weft_completion c;
    weft_op_post(&op, 5);
    CHECK_OK(weft_port_submit(p, &op));
    CHECK_EQ(weft_port_reap(p, &c, 1, 1, WEFT_NEVER), 1);
    CHECK_EQ(c.result, 5);
    CHECK_OK(weft_port_close(p));
}

static void fine_waits_refused(void)
{
    static bed b;
    weft_desc x;
    int raw;
    char c;
    job r = {0};
    setenv("WEFT_PORT", "epoll", 1);
    if (refuse(441 /* epoll_pwait2 */, ENOSYS) < 0)
        _exit(NO_FILTERS);
    bed_open(&b, NULL);
    bed_pair(&x, &raw, AF_UNIX);
    weft_op_recv(&r.op, &x, &c, 1);
    bed_start(&b, &r);
    bed_settle(&b); /* the first event says that it is writable */
    int64_t at = bed_after(2500 * WEFT_MICROSECOND);
    weft__port_enter(&b.port, at);
    CHECK(bed_now() >= at); /* rounded up, in one wait */
    CHECK_EQ(send(raw, "x", 1, 0), 1);
    CHECK_EQ(bed_await(&b, &r), 1);
    close(raw);
    bed_shut(&b, &x);
    bed_close(&b);
}

static void openat2_refused(int error)
{
    static bed b;
    job j = {0};
    weft_desc dir;
    setenv("WEFT_PORT", "epoll", 1);
    if (refuse(437 /* openat2 */, error) < 0)
        _exit(NO_FILTERS);
    bed_open(&b, NULL);
    weft__desc_init(&dir, open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC), WEFT_DESC_DIR);
    static const struct {
        const char *path;
        int result;
    } paths[] = {{"status", 0}, {"../self/status", -EXDEV}, {"root/etc", -EXDEV}, {"/etc/passwd", -EXDEV},
                 {"task/../status", 0}};
    for (int i = 0; i < 5; i++) {
        weft_op_open(&j.op, &dir, paths[i].path, WEFT_OPEN_READ | WEFT_OPEN_BENEATH, 0);
        int64_t h = bed_run(&b, &j);
        CHECK_EQ(h < 0 ? h : 0, paths[i].result);
        if (h >= 0)
            close((int)h);
    }
    bed_shut(&b, &dir);
    bed_close(&b);
}

static void openat2_unknown(void) { openat2_refused(ENOSYS); }
static void openat2_forbidden(void) { openat2_refused(EPERM); }

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"ring_refused", ring_refused},
        {"fine_waits_refused", fine_waits_refused},
        {"openat2_unknown", openat2_unknown},
        {"openat2_forbidden", openat2_forbidden},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        in_sandbox(cases[i].name, cases[i].run);
    return 0;
}
