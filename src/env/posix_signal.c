/* Process signals for runtimes: who watches which, and the one handler that tells them. A table by signal number;
 * entries change under a lock and are read by the handler without one. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "arch/layout.h"
#include "base/atomic.h"
#include "env/posix.h"

enum { SIGNALS = 65 };

static struct watch {
    void (*fn)(void *ctx, int signal); /* atomic: set last, cleared first */
    void *ctx;
} watches[SIGNALS];

static uint32_t inside; /* handlers under way (atomic) */
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

const char *weft__posix_setting(void *self, const char *name)
{
    (void)self;
    return getenv(name);
}

static void handler(int signal)
{
    int saved = errno;
    /* Before the look at fn; pairs with the look at `inside` after it was cleared. */
    weft__add_seq(&inside, 1, "signal.enter");
    void (*fn)(void *, int) = weft__load_seq(&watches[signal].fn, "signal.handler");
    if (fn)
        fn(watches[signal].ctx, signal);
    weft__sub_seq(&inside, 1, "signal.leave");
    errno = saved;
}

static void forget(void *ctx)
{
    for (int i = 1; i < SIGNALS; i++)
        if (watches[i].fn && watches[i].ctx == ctx)
            weft__store_seq(&watches[i].fn, NULL, "signal.forget");
    while (weft__load_seq(&inside, "signal.forget"))
        weft__posix_relax(NULL);
}

static int watch(int number, void (*fn)(void *, int), void *ctx)
{
    if (number < 1 || number >= SIGNALS)
        return -EINVAL;
    struct watch *w = &watches[number];
    if (w->fn)
        return w->ctx == ctx ? 0 : -EBUSY;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    /* ThreadSanitizer runs handlers only inside calls it knows: a sleep that restarts
     * by itself would never get there. */
    action.sa_flags = WEFT__TSAN ? 0 : SA_RESTART;
    w->ctx = ctx;
    weft__store_seq(&w->fn, fn, "signal.watch");
    if (sigaction(number, &action, NULL) < 0) {
        weft__store_seq(&w->fn, NULL, "signal.watch");
        return -errno;
    }
    return 0;
}

int weft__posix_signals(void *self, const int *signals, void (*fn)(void *ctx, int signal), void *ctx)
{
    int r = 0;
    (void)self;
    pthread_mutex_lock(&changing);
    if (!fn)
        forget(ctx);
    for (; fn && r == 0 && *signals; signals++)
        r = watch(*signals, fn, ctx);
    pthread_mutex_unlock(&changing);
    return r;
}
