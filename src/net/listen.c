/* Listening. Owner lane's worker.
 *
 * The file of a Unix socket is removed by the listener that made it, and only while it still is that file: who
 * replaced it keeps what is theirs. In per-core mode a listener shares its port with the ones that the accept loop
 * adds on the other workers. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "net/sock.h"

/* The file goes first, with the last id: nobody can find the way to a socket that is about to close. Where two ids are
 * closed at one moment by different workers neither may be found alone, and the file goes with `over`. */
static void remove_file(weft__listener *l)
{
    struct stat st;
    if (l->path[0] && lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
        unlink(l->path);
    l->path[0] = 0;
}

static void close_listener(weft__resource *r)
{
    weft__handle *h = weft__handle_of(r);
    if (weft__handle_alone(h))
        remove_file(weft__listener_of(weft__handle_host(h)));
    weft__handle_close(r);
}

static void listener_over(weft__handle *host) { remove_file(weft__listener_of(host)); }

static int pack(weft__resource *r, int64_t deadline)
{
    (void)deadline;
    return weft__handle_pack(weft__handle_of(r));
}

static void copy(weft__resource *fresh, const weft__resource *of, int shared)
{
    weft__handle_copy(weft__handle_of(fresh), weft__handle_of(of), shared);
}

static size_t where(const weft_id_info *info, char *buf, size_t size) { return weft_addr_format(&info->local, buf, size); }

const weft__resource_kind weft__listener_type = {.name = "listener", .kind = WEFT__LISTENER, .close = close_listener, .pack = pack,
                                                 .copy = copy, .replaced = weft__handle_replaced, .where = where,
                                                 .source = &weft__accept_source};

int weft__listener_find(weft_id id, weft__listener **out)
{
    weft__handle *h;
    int r = weft__handle_find(id, WEFT__KINDS_LISTENER, &h);
    if (r == 0)
        *out = weft__listener_of(h);
    return r;
}

/* Remembers the file that was made. Where another driver than the system's keeps Unix sockets, there is none. */
static void remember_file(weft__listener *l, const weft_addr *a)
{
    struct stat st;
    if (a->family != WEFT_ADDR_UNIX || a->path[0] == 0 || a->path_len >= sizeof l->path ||
        weft__handle_port()->driver->listen != weft__posix_listen)
        return;
    memcpy(l->path, a->path, a->path_len);
    l->path[a->path_len] = 0;
    if (lstat(l->path, &st) < 0) {
        l->path[0] = 0;
        return;
    }
    l->device = st.st_dev;
    l->inode = st.st_ino;
}

static int open_listener(const weft_addr *a, const weft_listen_flags *flags, weft_handle *out)
{
    weft_port *port = weft__handle_port();
    return port->driver->listen ? port->driver->listen(port, out, a, flags) : -ENOTSUP;
}

/* Sharing a port would hide that somebody else has it: any listener of this user that shares as well would do. So the
 * port is taken alone first, where its number is fixed. */
static int port_is_free(const weft_addr *a, weft_listen_flags flags)
{
    weft_handle raw;
    flags.reuse_port = 0;
    if (a->port == 0)
        return 0;
    int r = open_listener(a, &flags, &raw);
    if (r == 0)
        weft__handle_drop(raw, WEFT__LISTENER);
    return r;
}

int weft_listen_addr(weft_id *out, const weft_addr *address, const weft_listen_options *opt)
{
    static const weft_listen_options defaults;
    weft__fiber *f = weft__fiber_self();
    if (!f)
        return -EPERM;
    if (!out || !address)
        return -EINVAL;
    if (!opt)
        opt = &defaults;
    int local = address->family == WEFT_ADDR_UNIX;
    int shards = !local && f->crew->home->rt->mode == WEFT_PER_CORE;
    weft_listen_flags flags = {opt->backlog, !local && (opt->reuse_port || shards), opt->v6only, opt->unix_mode};
    int r = shards && !opt->reuse_port ? port_is_free(address, flags) : 0;
    if (r < 0)
        return r;
    weft_handle raw;
    r = open_listener(address, &flags, &raw);
    if (r < 0)
        return r;
    weft__handle *h;
    r = weft__handle_make(&weft__listener_type, raw, WEFT_DESC_LISTENER, &h);
    if (r < 0) {
        weft__listener none = {.backlog = 0};
        remember_file(&none, address); /* what was made and is not to be */
        remove_file(&none);
        return r;
    }
    weft__listener *l = weft__listener_of(h);
    l->backlog = flags.backlog;
    l->reuse_port = (uint8_t)(flags.reuse_port != 0);
    l->v6only = (uint8_t)(flags.v6only != 0);
    l->local = (uint8_t)local;
    l->h.over = listener_over;
    remember_file(l, address);
    *out = weft__resource_id(&h->res);
    return 0;
}

int weft_listen(weft_id *out, const char *address, const weft_listen_options *opt)
{
    weft_addr a;
    int r = weft_addr_parse(address, &a);
    if (r < 0)
        return r;
    r = weft_listen_addr(out, &a, opt);
    if (r == -EAFNOSUPPORT && address[0] != '[' && a.family == WEFT_ADDR_IP6) {
        a.family = WEFT_ADDR_IP4; /* "any address" on a machine without IPv6 */
        r = weft_listen_addr(out, &a, opt);
    }
    return r;
}

int weft__listener_shard(weft__listener *l, weft__lane *lane, weft__listener **out)
{
    weft_addr a;
    weft_port *port = weft__handle_port();
    int r = port->driver->address ? port->driver->address(port, l->h.desc->handle, 0, &a) : -ENOTSUP;
    if (r < 0)
        return r;
    const weft__listener *host = weft__listener_host(l);
    weft_listen_flags flags = {host->backlog, 1, host->v6only, 0};
    weft_handle raw;
    r = open_listener(&a, &flags, &raw);
    if (r < 0)
        return r;
    weft__resource *res;
    r = weft__resource_make_for(lane, &weft__listener_type, &res);
    if (r < 0) {
        weft__handle_drop(raw, WEFT__LISTENER);
        return r;
    }
    weft__handle *h = weft__container(res, weft__handle, res);
    weft__handle_init(h, raw, WEFT_DESC_LISTENER);
    *out = weft__listener_of(h);
    return 0;
}
