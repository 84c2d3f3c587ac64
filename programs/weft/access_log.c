/*
 * The access log. Workers append to a buffer under a mutex held for a copy; a thread of its own writes it out, so a
 * slow disk or a full pipe never stops a worker. There are two buffers: one fills while the other is written. When both
 * are full, lines are dropped and the log says how many: a log that is behind must not grow without a bound.
 *
 * access_log_open and access_log_close are called by the main thread; the rest by any thread. The writer calls nothing
 * of weft.
 */
#include "access_log.h"

#include "http_date.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOG_BUFFER ((size_t)1 << 18)

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t writer;
    int fd; /* -1: off */
    bool end;
    uint64_t dropped;
    char *filling; /* guarded by lock */
    size_t len;
    char *writing; /* the writer's */
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .fd = -1};

static void write_out(const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t wrote = write(state.fd, bytes, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return; /* a full disk or a closed pipe: the server serves on */
        bytes += wrote;
        n -= (size_t)wrote;
    }
}

static void *write_lines(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&state.lock);
    for (;;) {
        while (state.len == 0 && !state.end)
            pthread_cond_wait(&state.more, &state.lock);
        if (state.len == 0)
            break;
        char *full = state.filling;
        size_t n = state.len;
        uint64_t dropped = state.dropped;
        state.filling = state.writing;
        state.writing = full;
        state.len = 0;
        state.dropped = 0;
        pthread_mutex_unlock(&state.lock);
        write_out(full, n);
        if (dropped > 0) {
            char note[80];
            int len = snprintf(note, sizeof note, "# %llu lines dropped: the log could not keep up\n",
                (unsigned long long)dropped);
            write_out(note, (size_t)len);
        }
        pthread_mutex_lock(&state.lock);
    }
    pthread_mutex_unlock(&state.lock);
    return NULL;
}

static int start_writer(void)
{
    state.filling = malloc(LOG_BUFFER);
    state.writing = malloc(LOG_BUFFER);
    if (state.filling == NULL || state.writing == NULL)
        return -ENOMEM;
    /* Signals are for the fiber that waits for them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&state.writer, NULL, write_lines, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

int access_log_open(const char *where)
{
    if (strcmp(where, "none") == 0)
        return 0;
    int fd = strcmp(where, "-") == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                                     : open(where, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int r = start_writer();
    if (r < 0) {
        free(state.filling);
        free(state.writing);
        close(fd);
        return r;
    }
    state.fd = fd;
    return 0;
}

void access_log_close(void)
{
    if (state.fd < 0)
        return;
    pthread_mutex_lock(&state.lock);
    state.end = true;
    pthread_cond_signal(&state.more);
    pthread_mutex_unlock(&state.lock);
    pthread_join(state.writer, NULL);
    close(state.fd);
    state.fd = -1;
    free(state.filling);
    free(state.writing);
}

bool access_log_on(void)
{
    return state.fd >= 0;
}

void access_log_put(const char *line, size_t n)
{
    pthread_mutex_lock(&state.lock);
    bool first = state.len == 0;
    if (n <= LOG_BUFFER - state.len) {
        memcpy(state.filling + state.len, line, n);
        state.len += n;
    } else {
        state.dropped++;
    }
    if (first)
        pthread_cond_signal(&state.more);
    pthread_mutex_unlock(&state.lock);
}

static void escaped(struct out *o, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') {
            char escape[4] = {'\\', 'x', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
            out_bytes(o, escape, sizeof escape);
        } else {
            out_bytes(o, &c, 1);
        }
    }
}

static void field(struct out *o, const struct http_request *rq, const char *base, enum http_field which)
{
    size_t n;
    const char *value = rq->head_len > 0 ? http_request_field(rq, base, which, &n) : NULL;
    out_lit(o, " \"");
    if (value != NULL && n > 0)
        escaped(o, value, n < 512 ? n : 512);
    else
        out_lit(o, "-");
    out_lit(o, "\"");
}

void access_log_format(struct out *o, const char *peer, int64_t unix_seconds, const struct http_request *rq,
    const char *base, int status, uint64_t bytes)
{
    char date[HTTP_DATE_LEN], when[40];
    http_date_format(date, unix_seconds);
    snprintf(when, sizeof when, "%.2s/%.3s/%.4s:%.8s +0000", date + 5, date + 8, date + 12, date + 17);

    out_str(o, peer);
    out_lit(o, " - - [");
    out_str(o, when);
    out_lit(o, "] \"");
    if (rq->head_len > 0 && rq->target.len > 0) {
        out_str(o, llhttp_method_name((llhttp_method_t)rq->method));
        out_lit(o, " ");
        escaped(o, base + rq->target.at, rq->target.len < 2048 ? rq->target.len : 2048);
        out_str(o, rq->version_1_0 ? " HTTP/1.0" : " HTTP/1.1");
    } else {
        out_lit(o, "-");
    }
    out_lit(o, "\" ");
    out_uint(o, (uint64_t)status);
    out_lit(o, " ");
    out_uint(o, bytes);
    field(o, rq, base, HTTP_FIELD_REFERER);
    field(o, rq, base, HTTP_FIELD_USER_AGENT);
    out_lit(o, "\n");
}
