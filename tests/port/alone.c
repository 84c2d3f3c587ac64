/* See alone.h. */
#include "port/alone.h"

#include <errno.h>
#include <sys/socket.h>

weft_port *alone_open(const weft_port_options *opt)
{
    weft_port *p = NULL;
    if (!weft_driver_named(NULL))
        SKIP("no driver named %s in this build", getenv("WEFT_PORT"));
    int r = weft_port_open(&p, opt);
    if (r == -ENOSYS || r == -EPERM)
        SKIP("the kernel refuses it: %s", strerror(-r));
    CHECK_OK(r);
    return p;
}

void alone_close(weft_port *p)
{
    int64_t limit = alone_soon();
    int r;
    while ((r = weft_port_close(p)) == -EBUSY)
        CHECK(alone_now() < limit);
    CHECK_OK(r);
}

int64_t alone_now(void) { return weft_env_posix()->now(weft_env_posix()->self); }
int64_t alone_soon(void) { return alone_now() + 30 * WEFT_SECOND; }

int alone_pair(weft_port *p, uint64_t key, weft_desc **d)
{
    int fd[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
    CHECK_OK(weft_port_attach(p, fd[0], WEFT_DESC_STREAM, key, d));
    return fd[1];
}

weft_completion alone_one(weft_port *p)
{
    weft_completion c;
    CHECK_EQ(weft_port_reap(p, &c, 1, 1, alone_soon()), 1);
    return c;
}

int alone_main(int argc, char **argv, const alone_case *cases, size_t n)
{
    int ran = 0;
    for (size_t i = 0; i < n; i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
            continue;
        printf("%s\n", cases[i].name);
        fflush(stdout);
        cases[i].run();
        ran++;
    }
    CHECK(ran > 0);
    return 0;
}
