/* Making, naming and tuning of POSIX stream sockets: the driver table's calls that never wait. Any thread, no state.
 * Every handle made here is non-blocking and close-on-exec. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "port/port.h"

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) <= sizeof(((weft_addr *)0)->path), "a Unix path fits");

int weft__addr_to_sockaddr(const weft_addr *addr, void *ss, unsigned *len)
{
    memset(ss, 0, sizeof(struct sockaddr_storage));
    switch (addr->family) {
    case WEFT_ADDR_IP4: {
        struct sockaddr_in *in = ss;
        in->sin_family = AF_INET;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->ip4, sizeof addr->ip4);
        *len = sizeof *in;
        return 0;
    }
    case WEFT_ADDR_IP6: {
        struct sockaddr_in6 *in6 = ss;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        in6->sin6_scope_id = addr->scope;
        memcpy(&in6->sin6_addr, addr->ip6, sizeof addr->ip6);
        *len = sizeof *in6;
        return 0;
    }
    case WEFT_ADDR_UNIX: {
        struct sockaddr_un *un = ss;
        int abstract = addr->path_len > 0 && addr->path[0] == 0;
        if (addr->path_len == 0 || addr->path_len > sizeof un->sun_path - (abstract ? 0 : 1))
            return -EINVAL;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, addr->path, addr->path_len);
        *len = (unsigned)(offsetof(struct sockaddr_un, sun_path) + addr->path_len + (abstract ? 0 : 1));
        return 0;
    }
    default:
        return -EAFNOSUPPORT;
    }
}

void weft__addr_from_sockaddr(weft_addr *addr, const void *ss, unsigned len)
{
    memset(addr, 0, sizeof *addr);
    const struct sockaddr *sa = ss;
    if (len < sizeof sa->sa_family)
        return; /* an unnamed Unix peer on some systems */
    if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = ss;
        addr->family = WEFT_ADDR_IP4;
        addr->port = ntohs(in->sin_port);
        memcpy(addr->ip4, &in->sin_addr, sizeof addr->ip4);
    } else if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in6 = ss;
        addr->family = WEFT_ADDR_IP6;
        addr->port = ntohs(in6->sin6_port);
        addr->scope = in6->sin6_scope_id;
        memcpy(addr->ip6, &in6->sin6_addr, sizeof addr->ip6);
    } else if (sa->sa_family == AF_UNIX) {
        const struct sockaddr_un *un = ss;
        size_t n = len - offsetof(struct sockaddr_un, sun_path);
        if (n > sizeof addr->path)
            n = sizeof addr->path;
        if (n > 0 && un->sun_path[0] != 0)
            n = strnlen(un->sun_path, n); /* the length may count the terminator, or more */
        addr->family = WEFT_ADDR_UNIX;
        addr->path_len = (uint16_t)n;
        memcpy(addr->path, un->sun_path, n);
    }
}

int weft__posix_socket(weft_port *port, weft_handle *out, const weft_addr *like)
{
    (void)port;
    int family = like->family == WEFT_ADDR_IP4 ? AF_INET : like->family == WEFT_ADDR_IP6 ? AF_INET6 : AF_UNIX;
    if (like->family != WEFT_ADDR_IP4 && like->family != WEFT_ADDR_IP6 && like->family != WEFT_ADDR_UNIX)
        return -EAFNOSUPPORT;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (family != AF_UNIX) { /* what a listener accepts has it from there; a refusal costs time only */
        const int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    *out = fd;
    return 0;
}

/* Whether the socket file at this address belongs to nobody any more: connecting to it is refused. */
static int is_stale(const struct sockaddr_un *un, unsigned len)
{
    struct stat st;
    if (un->sun_path[0] == 0 || lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    int r = connect(fd, (const struct sockaddr *)un, len) < 0 ? errno : 0;
    close(fd);
    return r == ECONNREFUSED; /* a live server with a full queue answers EAGAIN: it is never robbed */
}

static int bind_unix(int fd, const struct sockaddr_un *un, unsigned len, unsigned mode)
{
    if (bind(fd, (const struct sockaddr *)un, len) < 0) {
        if (errno != EADDRINUSE)
            return -errno;
        if (!is_stale(un, len))
            return -EADDRINUSE;
        if (unlink(un->sun_path) < 0 && errno != ENOENT)
            return -errno;
        if (bind(fd, (const struct sockaddr *)un, len) < 0)
            return -errno;
    }
    if (mode && un->sun_path[0] != 0 && chmod(un->sun_path, (mode_t)mode) < 0) {
        int r = -errno;
        unlink(un->sun_path);
        return r;
    }
    return 0;
}

static int option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int prepare_inet(int fd, const weft_addr *addr, const weft_listen_flags *flags)
{
    int r = option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0 && flags->reuse_port)
        r = option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0 && addr->family == WEFT_ADDR_IP6)
        r = option(fd, IPPROTO_IPV6, IPV6_V6ONLY, flags->v6only ? 1 : 0);
    return r;
}

int weft__posix_listen(weft_port *port, weft_handle *out, const weft_addr *addr, const weft_listen_flags *flags)
{
    static const weft_listen_flags none;
    struct sockaddr_storage ss;
    unsigned len;
    if (!flags)
        flags = &none;
    int r = weft__addr_to_sockaddr(addr, &ss, &len);
    if (r < 0)
        return r;
    weft_handle h = WEFT_NOHANDLE;
    r = weft__posix_socket(port, &h, addr);
    if (r < 0)
        return r;
    int fd = (int)h;
    if (addr->family == WEFT_ADDR_UNIX) {
        r = bind_unix(fd, (const struct sockaddr_un *)&ss, len, flags->mode);
    } else {
        r = prepare_inet(fd, addr, flags);
        if (r == 0 && bind(fd, (const struct sockaddr *)&ss, len) < 0)
            r = -errno;
    }
    int backlog = flags->backlog > 0 ? flags->backlog : INT32_MAX; /* the system caps it: net.core.somaxconn */
    if (r == 0 && listen(fd, backlog) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    *out = h;
    return 0;
}

int weft__posix_address(weft_port *port, weft_handle h, int peer, weft_addr *out)
{
    (void)port;
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct sockaddr *sa = (struct sockaddr *)&ss;
    int r = peer ? getpeername((int)h, sa, &len) : getsockname((int)h, sa, &len);
    if (r < 0)
        return -errno;
    weft__addr_from_sockaddr(out, &ss, len);
    return 0;
}

static int option_name(enum weft_sockopt opt, int *level, int *name)
{
    *level = SOL_SOCKET;
    switch (opt) {
    case WEFT_NODELAY:
        *level = IPPROTO_TCP;
        *name = TCP_NODELAY;
        return 0;
    case WEFT_KEEPALIVE:
        *name = SO_KEEPALIVE;
        return 0;
    case WEFT_RCVBUF:
        *name = SO_RCVBUF;
        return 0;
    case WEFT_SNDBUF:
        *name = SO_SNDBUF;
        return 0;
    case WEFT_REUSEADDR:
        *name = SO_REUSEADDR;
        return 0;
    case WEFT_REUSEPORT:
        *name = SO_REUSEPORT;
        return 0;
    case WEFT_V6ONLY:
        *level = IPPROTO_IPV6;
        *name = IPV6_V6ONLY;
        return 0;
    case WEFT_LINGER_S:
        *name = SO_LINGER;
        return 0;
    case WEFT_SOCKERR:
        *name = SO_ERROR;
        return 0;
    case WEFT_RCVLOWAT:
        *name = SO_RCVLOWAT;
        return 0;
    }
    return -ENOTSUP;
}

int weft__posix_setopt(weft_port *port, weft_handle h, enum weft_sockopt opt, int value)
{
    (void)port;
    int level, name, r = option_name(opt, &level, &name);
    if (r < 0)
        return r;
    if (opt != WEFT_LINGER_S)
        return option((int)h, level, name, value);
    /* negative: off, 0: reset on close */
    struct linger l = {.l_onoff = value >= 0, .l_linger = value >= 0 ? value : 0};
    return setsockopt((int)h, level, name, &l, sizeof l) < 0 ? -errno : 0;
}

int weft__posix_getopt(weft_port *port, weft_handle h, enum weft_sockopt opt, int *value)
{
    (void)port;
    int level, name, r = option_name(opt, &level, &name);
    if (r < 0)
        return r;
    struct linger l;
    int v;
    socklen_t len = opt == WEFT_LINGER_S ? sizeof l : sizeof v;
    if (getsockopt((int)h, level, name, opt == WEFT_LINGER_S ? (void *)&l : (void *)&v, &len) < 0)
        return -errno;
    *value = opt != WEFT_LINGER_S ? v : l.l_onoff ? l.l_linger : -1;
    return 0;
}

int weft__posix_shutdown(weft_port *port, weft_handle h, int how)
{
    (void)port;
    return shutdown((int)h, how) < 0 ? -errno : 0;
}

int weft__posix_close_handle(weft_port *port, weft_handle h)
{
    (void)port;
    /* EINTR on Linux: the descriptor is gone all the same, and closing again could hit somebody else's. */
    return close((int)h) < 0 && errno != EINTR ? -errno : 0;
}
