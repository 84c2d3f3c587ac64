/* The chat server under random kills: of sessions, of rooms, of the supervisor of the rooms, of the door. Clients that
 * know nothing but sockets go on talking: who is thrown out comes back, what was lost is said again, nobody hears what
 * was said in another room, and what one says in a room arrives there in order. At the end nothing is left. */
int chat_main(int argc, char **argv);
#pragma push_macro("main")
#undef main
#define main chat_main
#include "../../examples/chat.c"
#undef main
#pragma pop_macro("main")

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "descriptors.h"
#include "lane/world.h"

#define CLIENTS 6
#define ROOMS 3
#define PER_KILL 3  /* lines that come through between two kills */
#define BIG_KILLS 4 /* of the door and of the supervisor of all rooms: more would be a reason to give up */
#define SILENCE 2000 /* ms: then a line is taken for lost */

static uint64_t kills = 60;
static int port, up, progress, over, ended, byes;
static weft_runtime *runtime;

/* ---- a client ---- */

typedef struct client {
    int fd; /* -1: not connected */
    unsigned index, room, said;
    uint64_t seed;
    int heard[CLIENTS]; /* the latest number from each, in this room and on this connection; -1: none */
    size_t have;
    char buf[8192], line[1024];
} client;

static void hang_up(client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

/* The server may be without a door for a moment. */
static void dial(client *c)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    c->have = 0;
    for (;;) {
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(c->fd >= 0);
        if (connect(c->fd, (const struct sockaddr *)&to, sizeof to) == 0)
            return;
        CHECK(!get(&ended)); /* it has ended before we told it to */
        hang_up(c);
        sched_yield();
    }
}

static void type(client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void type(client *c, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (write(c->fd, text, (size_t)n) != n)
        return; /* thrown out: reading tells */
}

/* The next line: 1; 0 nothing was said for `ms`; -1 the connection has ended. */
static int hear(client *c, int ms)
{
    char *end;

    while (!(end = memchr(c->buf, '\n', c->have))) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, ms) == 0)
            return 0;
        CHECK(c->have < sizeof c->buf);
        const ssize_t n = read(c->fd, c->buf + c->have, sizeof c->buf - c->have);
        if (n <= 0)
            return -1;
        c->have += (size_t)n;
    }
    const size_t size = (size_t)(end - c->buf);
    CHECK(size < sizeof c->line);
    memcpy(c->line, c->buf, size);
    c->line[size] = 0;
    c->have -= size + 1;
    memmove(c->buf, end + 1, c->have);
    return 1;
}

static int begins(const client *c, const char *text) { return strncmp(c->line, text, strlen(text)) == 0; }

static void forget_order(client *c)
{
    for (int i = 0; i < CLIENTS; i++)
        c->heard[i] = -1;
}

/* What others say: only what was said in this room, and in order. Lines that were said again may come twice. */
static void check_talk(client *c)
{
    unsigned who, room;
    int number;

    if (sscanf(c->line, "<c%u> r%u n%d", &who, &room, &number) != 3)
        return;
    CHECK(who < CLIENTS);
    CHECK_EQ(room, c->room);
    CHECK(number >= c->heard[who]);
    c->heard[who] = number;
}

static void ask_to_join(client *c)
{
    forget_order(c);
    type(c, "/join r%u\n", c->room);
}

/* Connects, if need be, takes its name and joins its room, until it is there. */
static void come_in(client *c)
{
    char there[32];

    snprintf(there, sizeof there, "* you are in room r%u", c->room); /* and not back in the one before */
    for (;;) {
        int r = 1;
        if (c->fd < 0) {
            dial(c);
            type(c, "/name c%u\n", c->index);
        } else {
            ask_to_join(c);
        }
        while (r == 1 && (r = hear(c, 10 * SILENCE)) == 1) {
            if (begins(c, "* that name is taken")) /* by our own session, which is just dying */
                type(c, "/name c%u\n", c->index);
            else if (begins(c, "* you are c") || begins(c, "* there is no such room"))
                ask_to_join(c);
            else if (strcmp(c->line, there) == 0)
                return;
        }
        if (r == 0)
            TEST_FAIL("client %u was left without an answer", c->index);
        hang_up(c);
    }
}

/* Says a line until it has come back. */
static void say_it(client *c)
{
    char mine[64];
    const int size = snprintf(mine, sizeof mine, "<c%u> r%u n%u", c->index, c->room, c->said);

    for (;;) {
        if (c->fd < 0)
            come_in(c);
        type(c, "r%u n%u\n", c->room, c->said);
        int r;
        while ((r = hear(c, SILENCE)) == 1) {
            check_talk(c);
            if (begins(c, mine) && c->line[size] == 0)
                return;
            if (begins(c, "* room"))
                forget_order(c); /* it has died; we will be in the next one */
            if (begins(c, "* you are in room"))
                break; /* and are: what was said last may be lost */
            if (begins(c, "* and does not come back")) {
                come_in(c);
                break;
            }
        }
        if (r < 0)
            hang_up(c);
    }
}

static void *talks(void *arg)
{
    client *c = arg;

    come_in(c);
    while (!get(&over)) {
        c->said++;
        say_it(c);
        bump(&progress);
        if (next_random(&c->seed) % 16 == 0) {
            c->room = next_random(&c->seed) % ROOMS;
            come_in(c);
        }
        if (next_random(&c->seed) % 64 == 0)
            hang_up(c); /* clients, too, just go */
    }
    c->room = ROOMS; /* all meet again */
    come_in(c);
    c->said++;
    say_it(c);
    bump(&byes);
    while (get(&byes) < CLIENTS) {
        c->said++;
        say_it(c);
    }
    type(c, "/quit\n");
    while (hear(c, 10 * SILENCE) == 1)
        ;
    hang_up(c);
    return NULL;
}

/* ---- the killer ---- */

static int kill_named(const char *kind, unsigned number)
{
    char name[32];
    weft_id lane;

    snprintf(name, sizeof name, kind, number);
    if (weft_whereis_in(runtime, name, &lane) < 0)
        return 0;
    const int r = weft_kill_in(runtime, lane);
    CHECK(r == 0 || r == -ESRCH);
    return r == 0;
}

static void kill_some(uint64_t *seed)
{
    unsigned big = 0;

    for (uint64_t n = 0; test_again(n, kills);) {
        const unsigned dice = next_random(seed) % 100;
        int hit;
        if (dice < 4 && big < BIG_KILLS) {
            hit = kill_named(dice % 2 ? "door" : "rooms", 0);
            big++;
        } else if (dice < 50) {
            hit = kill_named("room/r%u", next_random(seed) % ROOMS);
        } else {
            hit = kill_named("user/c%u", next_random(seed) % CLIENTS);
        }
        n += (unsigned)hit;
        const int now = get(&progress);
        while (hit && get(&progress) < now + PER_KILL) /* they live: the test's time limit ends it if not */
            sched_yield();
    }
}

static void *drives(void *arg)
{
    static client c[CLIENTS];
    pthread_t thread[CLIENTS];
    uint64_t seed = *(uint64_t *)arg;

    until(&up, 1);
    for (unsigned i = 0; i < CLIENTS; i++) {
        c[i] = (client){.fd = -1, .index = i, .room = i % ROOMS, .seed = seed + i + 1};
        thread[i] = thread_of(talks, &c[i]);
    }
    kill_some(&seed);
    put(&over, 1);
    for (unsigned i = 0; i < CLIENTS; i++)
        CHECK_EQ(pthread_join(thread[i], NULL), 0);
    CHECK_EQ(kill(getpid(), SIGTERM), 0);
    return NULL;
}

/* ---- the server ---- */

/* Beside the main fiber, which supervises: waits until the door is open. */
static int tell_when_up(void *arg)
{
    weft_child_info info;
    int r;

    (void)arg;
    do {
        r = weft_supervisor_child(weft_lane_self(), "door", &info, soon());
        CHECK(r == 0 || r == -ENOENT); /* as yet */
    } while (r < 0 || info.state != WEFT_CHILD_RUNNING);
    char text[WEFT_ADDR_TEXT];
    weft_addr_format(&where, text, sizeof text);
    port = atoi(strrchr(text, ':') + 1);
    put(&up, 1);
    return 0;
}

static int test_start(int argc, char **argv)
{
    runtime = weft_current();
    CHECK_OK(weft_spawn(NULL, tell_when_up, NULL));
    return start(argc, argv);
}

int main(int argc, char **argv)
{
    static spy s;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    char *args[] = {"chat", "127.0.0.1:0", NULL};
    weft_options opt = {.workers = 2, .env = spy_open(&s), .blocked_ns = -1};
    const int before = open_descriptors();

    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);

    if (argc > 1)
        kills = strtoull(argv[1], NULL, 10);
    const pthread_t driver = thread_of(drives, &seed);
    CHECK_EQ(weft_main(test_start, 2, args, &opt), 0);
    put(&ended, 1);
    CHECK_EQ(pthread_join(driver, NULL), 0);
    CHECK_EQ(open_descriptors(), before);
    spy_close(&s);
    return 0;
}
