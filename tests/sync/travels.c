/* A held mutex travels in a message: nobody's on the way, then the receiver's, as often locked as before; and who waits
 * for it is told if the message ends without having been opened, however it ends. */
#include "lane/stake.h"
#include "world.h"

static weft_mutex m;
static int phase;

/* ---- it arrives ---- */

static int accepts(void *arg)
{
    weft_message *msg;
    weft_mutex *got = NULL;
    weft_mutex_info info;

    (void)arg;
    CHECK_OK(weft_receive(&msg, soon()));
    CHECK_EQ(msg->size, 5);
    CHECK(memcmp(msg->data, "hello", 5) == 0);
    CHECK_EQ(msg->tag, 77);
    CHECK_EQ(weft_mutex_try(&m), -EAGAIN); /* nobody's, and locked */
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
    CHECK_OK(weft_mutex_accept(msg, &got));
    CHECK(got == &m);
    weft_mutex_look(&m, &info);
    CHECK(weft_id_equal(info.fiber, weft_self()) && weft_id_equal(info.lane, weft_lane_self()));
    CHECK(strstr(info.site, "travels.c") != NULL);
    CHECK_EQ(weft_mutex_accept(msg, NULL), -EINVAL); /* once */
    CHECK_OK(weft_msg_free(msg));
    CHECK_OK(weft_mutex_unlock(&m)); /* it had been locked twice */
    put(&phase, 1);
    while (get(&phase) < 2)
        CHECK_OK(weft_yield());
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
    return 0;
}

static void it_arrives(void)
{
    weft_id l;

    put(&phase, 0);
    CHECK_OK(weft_mutex_init(&m, WEFT_MUTEX_RECURSIVE, "the parcel"));
    CHECK_OK(weft_lane_spawn(&l, accepts, NULL));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_send(&m, l, "hello", 5, &(weft_send_options){.tag = 77}));
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM); /* it has left */
    reached(&phase, 1);
    put(&phase, 2);
    CHECK_OK(weft_mutex_lock(&m, soon())); /* after the second unlock */
    CHECK_OK(weft_mutex_unlock(&m));
    ended(l);
}

/* ---- it does not ---- */

static int waits_for_it(void *arg)
{
    (void)arg;
    const int r = weft_mutex_lock(&m, soon());
    CHECK_OK(weft_mutex_consistent(&m));
    CHECK_OK(weft_mutex_unlock(&m));
    return r == -EOWNERDEAD ? 0 : 1;
}

static int never_looks(void *arg)
{
    weft_message *msg;

    if (arg) { /* takes the message, and dies with it */
        CHECK_OK(weft_receive(&msg, soon()));
        put(&phase, 1);
    }
    return weft_park(WEFT_NEVER);
}

static int frees_it(void *arg)
{
    weft_message *msg;

    (void)arg;
    CHECK_OK(weft_receive(&msg, soon()));
    return weft_msg_free(msg);
}

/* The receiver dies with the message in its mailbox, or in its hands. */
static void the_receiver_dies(int (*fn)(void *), void *arg)
{
    weft_id l, w;

    put(&phase, 0);
    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_lane_spawn(&l, fn, arg));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_send(&m, l, NULL, 0, NULL));
    CHECK_OK(weft_lane_spawn(&w, waits_for_it, NULL));
    if (fn == never_looks) {
        if (arg)
            reached(&phase, 1);
        killed(l);
    } else {
        ended(l);
    }
    ended(w);
}

static int fills_up(void *arg)
{
    (void)arg;
    return weft_park(WEFT_NEVER);
}

/* What cannot be sent stays the sender's. */
static void refused(void)
{
    weft_limits one = {.messages = 1};
    weft_id l, gone;

    CHECK_OK(weft_mutex_init(&m, WEFT_MUTEX_RECURSIVE, NULL));
    CHECK_EQ(weft_mutex_send(&m, weft_lane_self(), NULL, 0, NULL), -EPERM); /* not the caller's */
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_EQ(weft_mutex_send(&m, weft_lane_self(), NULL, 1, NULL), -EINVAL);
    CHECK_OK(weft_lane_spawn_with(&l, fills_up, NULL, .limits = &one));
    CHECK_OK(weft_send(l, "x", 1, NULL));
    CHECK_EQ(weft_mutex_send(&m, l, NULL, 0, &(weft_send_options){.full = WEFT_FULL_REFUSE}), -EAGAIN);
    CHECK_EQ(weft_mutex_send(&m, l, NULL, 0, &(weft_send_options){.deadline = weft_after(WEFT_MILLISECOND)}), -ETIMEDOUT);
    gone = l;
    killed(l);
    CHECK_EQ(weft_mutex_send(&m, gone, NULL, 0, NULL), -ESRCH);
    CHECK_OK(weft_mutex_unlock(&m));
    CHECK_OK(weft_mutex_unlock(&m)); /* as often as before */
    CHECK_EQ(weft_mutex_unlock(&m), -EPERM);
    CHECK_EQ(weft_mutex_accept(NULL, NULL), -EINVAL);
    CHECK_OK(weft_send(weft_lane_self(), "y", 1, NULL));
    weft_message *msg;
    CHECK_OK(weft_receive(&msg, soon()));
    CHECK_EQ(weft_mutex_accept(msg, NULL), -EINVAL); /* it brings none */
    CHECK_OK(weft_msg_free(msg));
}

/* To oneself, and on: whoever passes the message on passes the mutex on. */
static int gives_back(void *arg)
{
    weft_message *msg;

    CHECK_OK(weft_receive(&msg, soon()));
    return weft_send_msg(*(weft_id *)arg, msg, NULL);
}

static void passed_on(void)
{
    weft_id l, self = weft_lane_self();
    weft_message *msg;

    CHECK_OK(weft_mutex_init(&m, 0, NULL));
    CHECK_OK(weft_lane_spawn_with(&l, gives_back, &self, .copy = sizeof self));
    CHECK_OK(weft_mutex_lock(&m, WEFT_NEVER));
    CHECK_OK(weft_mutex_send(&m, l, "there and back", 14, NULL));
    CHECK_OK(weft_receive(&msg, soon()));
    CHECK_EQ(msg->size, 14);
    CHECK_OK(weft_mutex_accept(msg, NULL));
    CHECK_OK(weft_msg_free(msg));
    CHECK_OK(weft_mutex_unlock(&m));
    ended(l);
}

/* ---- in a lane's memory ---- */

static weft_mutex *kept;
static weft_id outside_of_it;

static int gets_kept(void *arg)
{
    weft_message *msg;

    (void)arg;
    CHECK_OK(weft_receive(&msg, soon()));
    CHECK_EQ(weft_send_msg(outside_of_it, msg, NULL), -EPERM); /* it cannot be passed on to there either, and stays */
    CHECK_OK(weft_mutex_accept(msg, NULL));
    CHECK_OK(weft_msg_free(msg));
    return weft_mutex_unlock(kept);
}

static int keeps(void *arg)
{
    weft_id l;

    (void)arg;
    kept = weft_calloc(1, sizeof *kept);
    CHECK(kept != NULL);
    CHECK_OK(weft_mutex_lock(kept, WEFT_NEVER));
    CHECK_EQ(weft_mutex_send(kept, outside_of_it, "x", 1, NULL), -EPERM);
    CHECK_OK(weft_mutex_unlock(kept)); /* it was the caller's still */
    CHECK_OK(weft_lane_spawn(&l, gets_kept, NULL));
    CHECK_OK(weft_mutex_lock(kept, WEFT_NEVER));
    CHECK_OK(weft_mutex_send(kept, l, NULL, 0, NULL));
    CHECK_OK(weft_mutex_lock(kept, soon()));
    CHECK_OK(weft_mutex_unlock(kept));
    ended(l);
    put(&phase, 1);
    while (get(&phase) < 2)
        CHECK_OK(weft_yield());
    return 0;
}

/* A message keeps no memory: a mutex there goes to nobody who may outlive it, and nobody who may sends it. */
static void in_vats(void)
{
    weft_id l;

    put(&phase, 0);
    outside_of_it = weft_lane_self();
    CHECK_OK(weft_lane_spawn(&l, keeps, NULL));
    reached(&phase, 1);
    weft__vat_lenient = 1;
    CHECK_OK(weft_mutex_lock(kept, WEFT_NEVER));
    CHECK_EQ(weft_mutex_send(kept, l, NULL, 0, NULL), -EPERM);
    CHECK_OK(weft_mutex_unlock(kept));
    weft__vat_lenient = 0;
    put(&phase, 2);
    ended(l);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    it_arrives();
    in_vats();
    for (int i = 0; i < 20; i++) {
        the_receiver_dies(never_looks, NULL);
        the_receiver_dies(never_looks, &m);
        the_receiver_dies(frees_it, NULL);
        passed_on();
    }
    refused();
    return 0;
}

static void *outside(void *arg)
{
    CHECK_EQ(weft_mutex_send(&m, WEFT_NOID, NULL, 0, NULL), -EPERM);
    CHECK_EQ(weft_mutex_accept(NULL, NULL), -EPERM);
    return arg;
}

int main(void)
{
    CHECK_EQ(pthread_join(thread_of(outside, NULL), NULL), 0);
    run_clean(run, 2);
    return 0;
}
