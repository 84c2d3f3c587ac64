/* A chat server whose rooms and sessions are lanes. docs/lanes.md walks through it.
 *
 *     chat [ADDRESS]        127.0.0.1:7000 unless said otherwise; then, in several terminals: nc 127.0.0.1 7000
 *
 * The lanes, and who owns whom:
 *
 *     chat                  the root lane: supervises the two below
 *       rooms               a supervisor: as many rooms as there are
 *         room/NAME ...     who is in it; ends when it has been empty for a while
 *       door                listens; if it dies it is started again, at the same address
 *         session ...       one for each connection
 *
 * Everything that happens to a room or a session arrives in its mailbox and is dealt with by one loop, one thing at a
 * time. Any of these lanes may be killed at any moment: what it had is given back, and the others hear of it. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#define NAME_SIZE 24                  /* of rooms and people, the closing zero counted */
#define KEY_SIZE (NAME_SIZE + 5)      /* "room/NAME", "user/NAME": what their lanes are registered as */
#define LINE_SIZE 512
#define PATIENCE (5 * WEFT_SECOND)    /* for an answer, and for a client that does not read */

/* What a message is about (its tag). */
enum about {
    LINE = 1, /* reader to its own session: the client has typed this */
    GONE,     /* reader to its own session: the client has hung up */
    TEXT,     /* room to session: to be shown */
    JOIN,     /* session to room, a call: my name; the answer is a text */
    LEAVE,    /* session to room */
    SAY,      /* session to room: this line */
    WHO       /* session to room, a call: the answer is a text */
};

/* ---- rooms ---- */

struct member {
    weft_id session, monitor;
    char name[NAME_SIZE];
};

struct room {
    const char *name;
    struct member *members; /* in the lane's memory: it goes with the lane, however that ends */
    unsigned count, space;
};

static struct member *member_of(struct room *r, weft_id session)
{
    for (unsigned i = 0; i < r->count; i++)
        if (weft_id_equal(r->members[i].session, session))
            return &r->members[i];
    return NULL;
}

/* A member whose mailbox is full does not read; it misses the line, and the room waits for nobody. */
static void tell_all(struct room *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell_all(struct room *r, const char *format, ...)
{
    char text[LINE_SIZE + NAME_SIZE + 8];
    va_list args;
    va_start(args, format);
    ssize_t n = weft_vformat(text, sizeof text, format, args);
    va_end(args);
    size_t size = n < (ssize_t)sizeof text ? (size_t)n : sizeof text - 1;
    for (unsigned i = 0; i < r->count; i++)
        weft_send_with(r->members[i].session, text, size, .full = WEFT_FULL_REFUSE, .tag = TEXT);
}

static int add_member(struct room *r, weft_id session, const weft_message *msg)
{
    if (r->count == r->space) {
        unsigned space = r->space ? 2 * r->space : 8;
        struct member *more = weft_realloc(r->members, space * sizeof *more);
        if (!more)
            return -ENOMEM;
        r->members = more;
        r->space = space;
    }
    struct member *m = &r->members[r->count];
    *m = (struct member){.session = session};
    memcpy(m->name, msg->data, msg->size < sizeof m->name ? msg->size : sizeof m->name - 1);
    int e = weft_monitor(session, &m->monitor); /* however it ends, we are told */
    if (e < 0)
        return e;
    r->count++;
    tell_all(r, "* %s is here\n", m->name);
    return 0;
}

static void join(struct room *r, const weft_message *msg)
{
    int e = member_of(r, msg->from) ? 0 : add_member(r, msg->from, msg);
    char text[NAME_SIZE + 64];
    weft_format(text, sizeof text, e < 0 ? "* room %s cannot take you\n" : "* you are in room %s\n", r->name);
    weft_reply(msg, text, strlen(text)); /* -ESRCH: it did not wait; then it leaves, or its end is told */
}

static void leave(struct room *r, weft_id session, const char *how)
{
    struct member *m = member_of(r, session);
    if (!m)
        return;
    struct member gone = *m;
    *m = r->members[--r->count];
    weft_demonitor(gone.monitor, 1);
    tell_all(r, "* %s %s\n", gone.name, how);
}

static void say(struct room *r, const weft_message *msg)
{
    struct member *m = member_of(r, msg->from);
    if (m)
        tell_all(r, "<%s> %.*s\n", m->name, (int)msg->size, (const char *)msg->data);
}

static void who(struct room *r, const weft_message *msg)
{
    weft_text t = {0};
    for (unsigned i = 0; i < r->count; i++)
        weft_text_printf(&t, "* %s\n", r->members[i].name);
    char *text = weft_text_take(&t);
    weft_reply(msg, text ? text : "", text ? strlen(text) : 0);
    weft_free(text);
}

static void room_hears(struct room *r, const weft_message *msg)
{
    const weft_down *down = weft_msg_down(msg);
    if (down)
        leave(r, down->exit.lane, down->exit.kind == WEFT_EXIT_NORMAL ? "has left" : "is gone");
    else if (msg->tag == JOIN)
        join(r, msg);
    else if (msg->tag == LEAVE)
        leave(r, msg->from, "has left");
    else if (msg->tag == SAY)
        say(r, msg);
    else if (msg->tag == WHO)
        who(r, msg);
}

/* A room's main fiber; the argument is its key. */
static int room(void *arg)
{
    const char *key = arg;
    struct room r = {.name = strchr(key, '/') + 1};
    int e = weft_register(key);
    if (e == -EEXIST)
        return 0; /* somebody was quicker to open it: ending normally before being ready means "not wanted" */
    if (e == 0)
        e = weft_child_ready(0);
    while (e == 0) {
        weft_message *msg;
        e = weft_receive(&msg, r.count ? WEFT_NEVER : weft_after(WEFT_SECOND));
        if (e == -ETIMEDOUT)
            return 0; /* nobody is here any more */
        if (e == 0) {
            room_hears(&r, msg);
            weft_msg_free(msg);
        }
    }
    return e;
}

/* ---- sessions ---- */

struct session {
    weft_id conn;
    char name[NAME_SIZE];
    char room[KEY_SIZE];    /* its key; empty: in no room */
    weft_id lane, monitor;  /* of the room */
};

static int show(struct session *s, const char *text, size_t size)
{
    return weft_write_all(s->conn, text, size, NULL, weft_after(PATIENCE));
}

static int print(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int print(struct session *s, const char *format, ...)
{
    char text[LINE_SIZE];
    va_list args;
    va_start(args, format);
    ssize_t n = weft_vformat(text, sizeof text, format, args);
    va_end(args);
    return show(s, text, n < (ssize_t)sizeof text ? (size_t)n : sizeof text - 1);
}

/* Asks the room and shows the answer. */
static int ask_room(struct session *s, weft_id lane, enum about about, const char *text)
{
    weft_message *msg, *answer;
    int sent = 0, e = weft_msg_alloc(&msg, strlen(text));
    if (e < 0)
        return e;
    memcpy(msg->data, text, strlen(text));
    msg->tag = about;
    e = weft_call_msg(lane, msg, &answer, weft_after(PATIENCE), &sent);
    if (!sent)
        weft_msg_free(msg);
    if (e < 0)
        return e;
    e = show(s, answer->data, answer->size);
    weft_msg_free(answer);
    return e;
}

/* The room's lane; it is opened if it is not there. -ESRCH: it is neither there, nor can it be opened just now. */
static int find_room(const char *key, weft_id *lane)
{
    weft_id rooms;
    int e = weft_whereis(key, lane);
    if (e == 0 || weft_whereis("rooms", &rooms) < 0)
        return e;
    e = weft_supervisor_start_dynamic(rooms, (void *)(uintptr_t)key, strlen(key) + 1, lane, weft_after(PATIENCE));
    return e < 0 || lane->gen ? e : weft_whereis(key, lane);
}

static void leave_room(struct session *s)
{
    if (s->room[0]) {
        weft_demonitor(s->monitor, 1);
        weft_send_with(s->lane, NULL, 0, .tag = LEAVE, .deadline = weft_after(PATIENCE));
    }
    s->room[0] = 0;
}

/* Rooms may die at any moment, while they are asked, too: then another one is there soon. */
static int enter_room(struct session *s, const char *key)
{
    int64_t until = weft_after(PATIENCE);
    for (;;) {
        int e = find_room(key, &s->lane);
        if (e == 0)
            e = weft_monitor(s->lane, &s->monitor);
        if (e == 0) {
            e = ask_room(s, s->lane, JOIN, s->name);
            if (e == 0) {
                weft_format(s->room, sizeof s->room, "%s", key);
                return 0;
            }
            weft_demonitor(s->monitor, 1);
        }
        if (e != -ESRCH || weft_now() > until)
            return e;
        e = weft_sleep(weft_after(WEFT_MILLISECOND)); /* its supervisor is about to start it again */
        if (e < 0)
            return e;
    }
}

static bool is_name(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '-')
            return false;
    return n > 0 && n < NAME_SIZE;
}

/* A name belongs to one lane at a time, and is free as soon as that is dead: there is no table to keep. */
static int take_name(struct session *s, const char *name)
{
    char key[KEY_SIZE], old[KEY_SIZE];
    weft_format(key, sizeof key, "user/%s", name);
    int e = weft_register(key);
    if (e < 0)
        return print(s, e == -EEXIST ? "* that name is taken\n" : "* that name cannot be had\n");
    if (s->name[0]) {
        weft_format(old, sizeof old, "user/%s", s->name);
        weft_unregister(old);
    }
    weft_format(s->name, sizeof s->name, "%s", name);
    return print(s, "* you are %s\n", name);
}

static int command(struct session *s, const char *word, const char *rest)
{
    char key[KEY_SIZE];
    if (strcmp(word, "/name") == 0 && is_name(rest) && !s->room[0])
        return take_name(s, rest);
    if (strcmp(word, "/join") == 0 && is_name(rest) && s->name[0]) {
        leave_room(s);
        weft_format(key, sizeof key, "room/%s", rest);
        int e = enter_room(s, key);
        return e == -ESRCH || e == -ETIMEDOUT ? print(s, "* there is no such room now\n") : e;
    }
    if (strcmp(word, "/who") == 0 && s->room[0])
        return ask_room(s, s->lane, WHO, "") == -EPIPE ? -EPIPE : 0;
    if (strcmp(word, "/quit") == 0)
        return weft_lane_exit(0); /* ends both fibers; what comes after is given back like anything else */
    return print(s, "* /name NAME, then /join ROOM; there: /who, and whatever you like to say; /quit\n");
}

static int typed(struct session *s, const char *line)
{
    char word[8] = "";
    if (line[0] != '/' && s->room[0]) {
        int e = weft_send_with(s->lane, line, strlen(line), .tag = SAY, .deadline = weft_after(PATIENCE));
        return e == -ESRCH ? 0 : e; /* the room has died: the news is on its way */
    }
    size_t n = strcspn(line, " ");
    if (n < sizeof word)
        memcpy(word, line, n);
    return command(s, word, line[n] ? line + n + 1 : "");
}

/* The room has ended. Its supervisor opens another one under the same name; whoever comes first does, too. */
static int room_lost(struct session *s)
{
    char key[KEY_SIZE];
    memcpy(key, s->room, sizeof key);
    s->room[0] = 0;
    int e = print(s, "* room %s has gone\n", strchr(key, '/') + 1);
    if (e == 0)
        e = enter_room(s, key);
    return e == -ESRCH || e == -ETIMEDOUT ? print(s, "* and does not come back\n") : e;
}

static int session_hears(struct session *s, const weft_message *msg, bool *done)
{
    char line[LINE_SIZE + 1];
    const weft_down *down = weft_msg_down(msg);
    if (down)
        return s->room[0] && weft_id_equal(down->ref, s->monitor) ? room_lost(s) : 0;
    if (msg->tag == TEXT) /* what was said before we left another room may come after that */
        return weft_id_equal(msg->from, s->lane) ? show(s, msg->data, msg->size) : 0;
    if (msg->tag == LINE && msg->size <= LINE_SIZE) {
        memcpy(line, msg->data, msg->size);
        line[msg->size] = 0;
        return typed(s, line);
    }
    *done = msg->tag == GONE;
    return 0;
}

/* The session's second fiber: what the client types becomes messages to its own lane. With the mailbox full it waits,
 * so a client that types faster than it is served is read slowly. */
static int reader(void *arg)
{
    struct session *s = arg;
    char buf[LINE_SIZE];
    size_t have = 0;
    for (;;) {
        ssize_t n = have < sizeof buf ? weft_read(s->conn, buf + have, sizeof buf - have, WEFT_NEVER) : -EMSGSIZE;
        if (n <= 0)
            return weft_send_with(weft_lane_self(), NULL, 0, .tag = GONE);
        have += (size_t)n;
        for (char *end; (end = memchr(buf, '\n', have));) {
            size_t size = (size_t)(end - buf), text = size && buf[size - 1] == '\r' ? size - 1 : size;
            int e = text ? weft_send_with(weft_lane_self(), buf, text, .tag = LINE) : 0;
            if (e < 0)
                return e;
            have -= size + 1;
            memmove(buf, end + 1, have);
        }
    }
}

/* A session's main fiber. However it ends, also by a kill, its connection is closed, its memory and its name are free,
 * and its room is told. */
static int session(void *arg)
{
    struct session s = {.conn = *(weft_id *)arg};
    bool done = false;
    int e = print(&s, "* welcome: /name NAME, /join ROOM\n");
    if (e == 0)
        e = weft_spawn(NULL, reader, &s);
    while (e >= 0 && !done) {
        weft_message *msg;
        e = weft_receive(&msg, WEFT_NEVER);
        if (e == 0) {
            e = session_hears(&s, msg, &done);
            weft_msg_free(msg);
        }
    }
    return e;
}

/* ---- the tree ---- */

static const char *address = "127.0.0.1:7000";
static weft_addr where; /* what was got for it: a door that is started again takes the same */

static int door(void *arg)
{
    weft_id l;
    char text[WEFT_ADDR_TEXT];
    bool again = where.family != 0;
    (void)arg;
    int e = weft_register("door");
    if (e == 0)
        e = again ? weft_listen_addr(&l, &where, NULL) : weft_listen(&l, address, NULL);
    if (e == 0)
        e = weft_local_addr(l, &where);
    if (e < 0)
        return e; /* before we are ready: we could not start, and this is why */
    if (!again) {
        weft_addr_format(&where, text, sizeof text);
        printf("listening on %s\n", text);
        fflush(stdout);
    }
    weft_child_ready(0);
    return weft_accept_each(l, session, &(weft_accept_options){.name = "session"});
}

static const weft_child_spec one_room = {.run = room, .ready = 1, .restart = WEFT_TRANSIENT, .lane.name = "room"};

/* There are many rooms: that some of them fail is no reason to give up. */
static const weft_supervisor_spec all_rooms = {
    .strategy = WEFT_DYNAMIC, .children = &one_room, .count = 1, .intensity = 1000, .period_ns = WEFT_SECOND};

static int rooms(void *arg)
{
    (void)arg;
    int e = weft_register("rooms");
    return e < 0 ? e : weft_supervise(&all_rooms);
}

static const weft_child_spec parts[] = {
    {.id = "rooms", .run = rooms, .ready = 1, .grace_ns = WEFT_NEVER},
    {.id = "door", .run = door, .ready = 1},
};
static const weft_supervisor_spec chat = {
    .children = parts, .count = 2, .intensity = 10, .period_ns = 10 * WEFT_SECOND};

static int stop_on_signal(void *arg)
{
    const int end[] = {SIGINT, SIGTERM, 0};
    (void)arg;
    int e = weft_signal_wait(end, WEFT_NEVER);
    return e < 0 ? 0 : weft_lane_exit(0);
}

static int start(int argc, char **argv)
{
    if (argc > 1)
        address = argv[1];
    int e = weft_spawn(NULL, stop_on_signal, NULL);
    return e < 0 ? e : weft_supervise(&chat);
}

int main(int argc, char **argv) { return weft_main(start, argc, argv, NULL); }
