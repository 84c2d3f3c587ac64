/* Unix sockets and IPv6. */
#include "cases.h"

#include <sys/stat.h>
#include <sys/socket.h>

static char folder[] = "/tmp/weft-net-XXXXXX";

static void ping(weft_id l, const char *address)
{
    weft_id a, b;
    weft_addr peer;
    char c;
    CHECK_OK(weft_connect(&a, address, SOON));
    CHECK_OK(weft_accept(l, &b, &peer, SOON));
    CHECK_EQ(weft_write(a, "x", 1, SOON), 1);
    CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
    CHECK_OK(weft_close(a));
    CHECK_EQ(weft_read(b, &c, 1, SOON), 0);
    CHECK_OK(weft_close(b));
}

static int exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* In single-io mode the close reaches the port a little later, but the file is gone at once. */
static int a_sockets_file_comes_and_goes(void *arg)
{
    (void)arg;
    char path[64], address[80], text[WEFT_ADDR_TEXT];
    weft_id l, other;
    weft_addr a;
    weft_listen_options opt = {.unix_mode = 0600};
    struct stat st;
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(address, sizeof address, "unix:%s", path);
    CHECK_OK(weft_listen(&l, address, &opt));
    CHECK_EQ(lstat(path, &st), 0);
    CHECK(S_ISSOCK(st.st_mode));
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK_OK(weft_local_addr(l, &a));
    weft_addr_format(&a, text, sizeof text);
    CHECK(strcmp(text, address) == 0);
    ping(l, address);
    CHECK_ERR(weft_listen(&other, address, NULL), -EADDRINUSE);
    CHECK(exists(path)); /* who failed to make it does not remove it */
    CHECK_OK(weft_close(l));
    CHECK(!exists(path));
    CHECK_ERR(weft_connect(&other, address, SOON), -ENOENT);
    return 0;
}

static int a_file_that_was_replaced_stays(void *arg)
{
    (void)arg;
    char path[64], address[80];
    weft_id l, other;
    snprintf(path, sizeof path, "%s/r", folder);
    snprintf(address, sizeof address, "unix:%s", path);
    CHECK_OK(weft_listen(&l, address, NULL));
    CHECK_EQ(unlink(path), 0);
    CHECK_OK(weft_listen(&other, address, NULL)); /* somebody else's now */
    CHECK_OK(weft_close(l));
    CHECK(exists(path));
    ping(other, address);
    CHECK_OK(weft_close(other));
    CHECK(!exists(path));
    return 0;
}

static int refused(void *arg)
{
    weft_id l, other;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_ERR(weft_listen(&other, arg, NULL), -EAGAIN);
    return 0;
}

/* A listener that there is no id for leaves no file. */
static int a_limit_leaves_no_file(void *arg)
{
    (void)arg;
    char path[64], address[80];
    weft_id lane, l;
    int r = 1;
    snprintf(path, sizeof path, "%s/l", folder);
    snprintf(address, sizeof address, "unix:%s", path);
    CHECK_OK(weft_lane_spawn_with(&lane, refused, address, .limits = &(weft_limits){.ids = 1}));
    CHECK_OK(weft_lane_join(lane, &r, WEFT_NEVER));
    CHECK_EQ(r, 0);
    CHECK(!exists(path));
    CHECK_OK(weft_listen(&l, address, NULL));
    CHECK_OK(weft_close(l));
    return 0;
}

static int an_abstract_name(void *arg)
{
    (void)arg;
    char address[80];
    weft_id l;
    snprintf(address, sizeof address, "unix:@%s-%d", folder + 5, (int)getpid());
    CHECK_OK(weft_listen(&l, address, NULL));
    ping(l, address);
    return 0;
}

static int shout(void *arg)
{
    weft_conn *conn = arg;
    CHECK_EQ(conn->peer.family, WEFT_ADDR_UNIX);
    return weft_write_all(conn->id, "!", 1, NULL, SOON);
}

static int accept_on(void *arg) { return weft_accept_each(*(weft_id *)arg, shout, NULL); }

static int an_accept_loop_on_a_unix_socket(void *arg)
{
    (void)arg;
    char address[80], c;
    weft_id l, fiber, sock;
    int result;
    snprintf(address, sizeof address, "unix:%s/loop", folder);
    CHECK_OK(weft_listen(&l, address, NULL));
    CHECK_OK(weft_spawn(&fiber, accept_on, &l));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(weft_connect(&sock, address, SOON));
        CHECK_EQ(weft_read(sock, &c, 1, SOON), 1);
        CHECK_EQ(weft_read(sock, &c, 1, SOON), 0);
        CHECK_OK(weft_close(sock));
    }
    CHECK_OK(weft_cancel(fiber));
    CHECK_OK(weft_join(fiber, &result, WEFT_NEVER));
    CHECK_EQ(result, 0);
    return 0;
}

static int has_ip6(void)
{
    weft_id l;
    int r = weft_listen(&l, "[::1]:0", NULL);
    if (r == 0)
        weft_close(l);
    return r == 0;
}

static int ip6(void *arg)
{
    (void)arg;
    weft_id l;
    weft_addr a;
    char text[WEFT_ADDR_TEXT];
    if (!has_ip6()) {
        printf("skipped: this machine has no IPv6 loopback\n");
        return 0;
    }
    CHECK_OK(weft_listen(&l, "[::1]:0", NULL));
    CHECK_OK(weft_local_addr(l, &a));
    CHECK_EQ(a.family, WEFT_ADDR_IP6);
    weft_addr_format(&a, text, sizeof text);
    ping(l, text);
    return 0;
}

/* "*" takes both families, or the one that there is. */
static int any_address(void *arg)
{
    (void)arg;
    weft_id l;
    weft_addr a;
    char text[64];
    CHECK_OK(weft_listen(&l, "*:0", NULL));
    CHECK_OK(weft_local_addr(l, &a));
    snprintf(text, sizeof text, "127.0.0.1:%u", a.port);
    ping(l, text);
    if (has_ip6()) {
        CHECK_EQ(a.family, WEFT_ADDR_IP6);
        snprintf(text, sizeof text, "[::1]:%u", a.port);
        ping(l, text);
    }
    return 0;
}

static const test_case cases[] = {
    CASE(a_sockets_file_comes_and_goes), CASE(a_file_that_was_replaced_stays), CASE(a_limit_leaves_no_file),
    CASE(an_abstract_name), CASE(an_accept_loop_on_a_unix_socket), CASE(ip6), CASE(any_address)};

int main(int argc, char **argv)
{
    CHECK(mkdtemp(folder));
    int r = RUN(cases, argc, argv);
    CHECK_EQ(rmdir(folder), 0); /* nothing was left in it */
    return r;
}
