/* weft_dup: two ids, one descriptor. Closing one of them ends the calls that wait through it and no others; the
 * kernel's close comes with the last one and the last operation. */
#include <weft/file.h>

#include "lane/world.h"
#include "lane/lives.h"
#include "net/cases.h"

static unsigned handles_of(weft_id id)
{
    weft_id_info i;

    CHECK_OK(weft_id_inspect(id, &i));
    return i.handles;
}

static int shares(void *arg)
{
    weft_id a, b, a2;
    char c;

    (void)arg;
    connect_pair(&a, &b);
    CHECK_EQ(handles_of(a), 1);
    CHECK_OK(weft_dup(a, &a2));
    CHECK(!weft_id_equal(a, a2));
    CHECK_EQ(handles_of(a), 2);
    CHECK_EQ(handles_of(a2), 2);
    CHECK_EQ(weft_write(a2, "x", 1, SOON), 1);
    CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
    CHECK_EQ(c, 'x');
    CHECK_OK(weft_close(a));
    CHECK_EQ(weft_write(a, "y", 1, SOON), -EBADF);
    CHECK_EQ(weft_close(a), -EBADF);
    CHECK_EQ(weft_write(a2, "z", 1, SOON), 1);
    CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
    CHECK_EQ(c, 'z');
    CHECK_EQ(weft_read(b, &c, 1, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT); /* nothing was closed */
    CHECK_OK(weft_close(a2));
    CHECK_EQ(weft_read(b, &c, 1, SOON), 0);
    return 0;
}

typedef struct reader {
    weft_id sock;
    ssize_t got;
    char c;
} reader;

static int reads_one(void *arg)
{
    reader *r = arg;

    r->got = weft_read(r->sock, &r->c, 1, SOON);
    return 0;
}

static int reads_buffer(void *arg)
{
    reader *r = arg;
    weft_buffer buf;

    r->got = weft_read_buffer(r->sock, &buf, SOON);
    if (r->got > 0) {
        r->c = *(char *)buf.data;
        weft_port_release(&buf);
    }
    return 0;
}

/* Whichever of the two is closed, the host of the descriptor or its guest: what waits through the other goes on. */
static int cancels_its_own(int (*waits)(void *), int close_the_first)
{
    weft_id a, b, f[2];
    reader r[2];

    connect_pair(&a, &b);
    r[0].sock = a;
    CHECK_OK(weft_dup(a, &r[1].sock));
    reader *closed = &r[!close_the_first], *open = &r[close_the_first];
    CHECK_OK(weft_spawn(&f[0], reads_one, closed));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_close(closed->sock));
    CHECK_OK(weft_join(f[0], NULL, SOON));
    CHECK_EQ(closed->got, -ECANCELED);

    /* And with both waiting at once. The one that ends first frees the record of its handle, the descriptor stays. */
    CHECK_OK(weft_dup(open->sock, &closed->sock));
    CHECK_OK(weft_spawn(&f[0], reads_one, closed));
    CHECK_OK(weft_spawn(&f[1], waits, open));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_yield());
    CHECK_OK(weft_close(closed->sock));
    CHECK_OK(weft_join(f[0], NULL, SOON));
    CHECK_EQ(closed->got, -ECANCELED);
    CHECK_EQ(weft_join(f[1], NULL, weft_after(WEFT_MILLISECOND)), -ETIMEDOUT);
    CHECK_EQ(weft_write(b, "q", 1, SOON), 1);
    CHECK_OK(weft_join(f[1], NULL, SOON));
    CHECK_EQ(open->got, 1);
    CHECK_EQ(open->c, 'q');
    CHECK_EQ(handles_of(open->sock), 1);
    CHECK_OK(weft_close(open->sock));
    CHECK_EQ(weft_read(b, &r->c, 1, SOON), 0);
    return 0;
}

static int cancels_only_its_own(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++)
        CHECK_EQ(cancels_its_own(i & 2 ? reads_buffer : reads_one, i & 1), 0);
    return 0;
}

static int closing_ends_the_streaming_form(void *arg)
{
    weft_id a, b, f;
    reader r;
    char c;

    (void)arg;
    connect_pair(&a, &b);
    CHECK_OK(weft_dup(a, &r.sock));
    CHECK_OK(weft_spawn(&f, reads_buffer, &r));
    CHECK_OK(weft_yield());
    CHECK_OK(weft_close(r.sock));
    CHECK_OK(weft_join(f, NULL, SOON));
    CHECK_EQ(r.got, -ECANCELED);
    CHECK_EQ(weft_write(b, "n", 1, SOON), 1); /* the other id reads it: no receive is left armed that would take it */
    CHECK_EQ(weft_read(a, &c, 1, SOON), 1);
    CHECK_EQ(c, 'n');
    return 0;
}

/* ---- between lanes ---- */

/* Works on an id that shares its descriptor with another lane's, perhaps on another worker. */
static int echoes(void *arg)
{
    weft_id s = *(weft_id *)arg;
    char c;

    for (;;) {
        const ssize_t n = weft_read(s, &c, 1, SOON);
        if (n <= 0)
            return (int)n;
        CHECK_EQ(weft_write_all(s, &c, 1, NULL, SOON), 0);
    }
}

static int shares_with_another_lane(void *arg)
{
    weft_id a, b, theirs, lane;
    char c = 0;
    int r;

    (void)arg;
    for (int i = 0; i < 40; i++) {
        connect_pair(&a, &b);
        CHECK_OK(weft_dup(a, &theirs));
        CHECK_OK(weft_lane_spawn_with(&lane, echoes, &theirs, .copy = sizeof theirs, .gives = 1));
        CHECK_EQ(weft_close(theirs), -EBADF);
        /* What we write goes straight to the peer, what the peer writes comes back from the lane. */
        for (int k = 0; k < 4; k++) {
            CHECK_EQ(weft_write(k & 1 ? a : b, "e", 1, SOON), 1);
            CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
            CHECK_EQ(c, 'e');
        }
        if (i % 3 == 0) { /* the lane's end closes its id, and not ours */
            CHECK_OK(weft_cancel(lane));
            CHECK_OK(weft_lane_join(lane, &r, SOON));
            CHECK_EQ(weft_write(a, "f", 1, SOON), 1);
            CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
            CHECK_EQ(c, 'f');
            CHECK_OK(weft_close(a));
            CHECK_EQ(weft_read(b, &c, 1, SOON), 0);
            CHECK_OK(weft_close(b));
            continue;
        }
        CHECK_OK(weft_close(a));
        CHECK_EQ(weft_write(b, "g", 1, SOON), 1);
        CHECK_EQ(weft_read(b, &c, 1, SOON), 1);
        CHECK_EQ(c, 'g');
        CHECK_OK(weft_close(b));
        CHECK_OK(weft_lane_join(lane, &r, SOON));
        CHECK(r == 0 || r == -ECONNRESET);
    }
    return 0;
}

enum { SHARERS = 6 };

static int writes_and_closes(void *arg)
{
    weft_id s = *(weft_id *)arg, more;

    for (int i = 0; i < 20; i++) {
        CHECK_EQ(weft_write(s, "w", 1, SOON), 1);
        CHECK_OK(weft_dup(s, &more));
        CHECK_OK(weft_close(s));
        s = more;
    }
    return 0; /* the last ones go at the same moment, wherever they are */
}

static int last_one_closes(void *arg)
{
    weft_id a, b, copy, lane;
    size_t n = 0;
    char buf[64];

    (void)arg;
    for (int round = 0; round < 10; round++) {
        connect_pair(&a, &b);
        for (int i = 0; i < SHARERS; i++) {
            CHECK_OK(weft_dup(a, &copy));
            CHECK_OK(weft_lane_spawn_with(&lane, writes_and_closes, &copy, .copy = sizeof copy, .gives = 1, .detached = 1));
        }
        CHECK_OK(weft_close(a));
        n = 0;
        for (ssize_t r; (r = weft_read(b, buf, sizeof buf, SOON)) != 0;) {
            CHECK_OK(r);
            n += (size_t)r;
        }
        CHECK_EQ(n, SHARERS * 20); /* the end comes after the last byte of the last of them */
        CHECK_OK(weft_close(b));
    }
    return 0;
}

/* ---- other kinds, and refusals ---- */

static int accepts_through_both(void *arg)
{
    char text[WEFT_ADDR_TEXT];
    weft_id l = listen_here(text), l2, c, s;

    (void)arg;
    CHECK_OK(weft_dup(l, &l2));
    for (int i = 0; i < 4; i++) {
        CHECK_OK(weft_connect(&c, text, SOON));
        CHECK_OK(weft_accept(i & 1 ? l : l2, &s, NULL, SOON));
        CHECK_OK(weft_close(c));
        CHECK_OK(weft_close(s));
    }
    CHECK_OK(weft_close(l));
    CHECK_OK(weft_connect(&c, text, SOON));
    CHECK_OK(weft_accept(l2, &s, NULL, SOON));
    return 0;
}

static int reads_files_through_both(void *arg)
{
    weft_id d, d2, f, f2;
    weft_stat st;
    char c[4];

    (void)arg;
    CHECK_OK(weft_open(&d, "/proc/self", WEFT_OPEN_READ | WEFT_OPEN_DIRECTORY, 0, SOON));
    CHECK_OK(weft_dup(d, &d2));
    CHECK_OK(weft_close(d));
    CHECK_OK(weft_open_at(&f, d2, "status", WEFT_OPEN_READ, 0, SOON));
    CHECK_OK(weft_close(d2));
    CHECK_OK(weft_dup(f, &f2));
    CHECK_OK(weft_close(f));
    CHECK_EQ(weft_pread(f, c, 4, 0, SOON), -EBADF);
    CHECK_EQ(weft_pread(f2, c, 4, 0, SOON), 4);
    CHECK(memcmp(c, "Name", 4) == 0);
    CHECK_OK(weft_stat_id(f2, &st, SOON));
    return 0;
}

static int two_at_most(void *arg)
{
    weft_id l, l2, none = WEFT_NOID;

    (void)arg;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_dup(l, &l2));
    CHECK_EQ(weft_dup(l, &none), -EAGAIN);
    CHECK(weft_id_equal(none, WEFT_NOID));
    CHECK_EQ(handles_of(l), 2);
    CHECK_OK(weft_close(l));
    CHECK_OK(weft_room(WEFT_ROOM_IDS, 1, SOON));
    CHECK_OK(weft_dup(l2, &l));
    return 0;
}

static int refusals(void *arg)
{
    weft_id l, t, out, lane;
    weft_limits two = {.ids = 2};
    int r;

    (void)arg;
    CHECK_OK(weft_listen(&l, test_address(), NULL));
    CHECK_OK(weft_timer_open(&t));
    CHECK_EQ(weft_dup(t, &out), -EINVAL);
    CHECK_EQ(weft_dup(l, NULL), -EINVAL);
    CHECK_EQ(weft_dup(weft_self(), &out), -EINVAL);
    CHECK_EQ(weft_dup(weft_lane_self(), &out), -EINVAL);
    CHECK_EQ(weft_dup(WEFT_NOID, &out), -EBADF);
    CHECK_OK(weft_close(l));
    CHECK_EQ(weft_dup(l, &out), -EBADF);
    CHECK_OK(weft_lane_spawn_with(&lane, two_at_most, NULL, .limits = &two));
    CHECK_OK(weft_lane_join(lane, &r, SOON));
    CHECK_EQ(r, 0);
    return 0;
}

int main(int argc, char **argv)
{
    static const test_case cases[] = {
        CASE(shares), CASE(cancels_only_its_own), CASE(closing_ends_the_streaming_form), CASE(shares_with_another_lane),
        CASE(last_one_closes), CASE(accepts_through_both), CASE(reads_files_through_both), CASE(refusals),
    };
    weft_id out;

    CHECK_EQ(weft_dup(WEFT_NOID, &out), -EPERM); /* no fiber */
    return RUN_IN_FEW_LIVES_TOO(cases, argc, argv);
}
