/*
 * Files and directories as answers. Runs in the connection's fiber, in its lane: every id opened here is closed here,
 * or by the lane's death.
 *
 * The root is the process's working directory, since an id of one lane means nothing in another. Every open asks the
 * kernel to stay beneath it, symbolic links included, so a path that leaves fails there, whatever the rules for paths
 * let through before.
 *
 * A file that shrinks while it is sent cannot be helped: its length has been promised, so the connection ends early,
 * which a client can tell from a whole answer.
 */
#include "cached.h"
#include "listing.h"
#include "mime.h"
#include "respond.h"
#include "send_file.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define OPEN_FLAGS (WEFT_OPEN_READ | WEFT_OPEN_BENEATH)

static int status_of(int error)
{
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
    case -ENAMETOOLONG:
        return 404;
    case -EACCES:
    case -EPERM:
    case -EXDEV:
    case -ELOOP:
    case -ENXIO:
        return 403;
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -EAGAIN:
        return 503;
    default:
        return 500;
    }
}

/* Answers for an error of the file system; a cancelled wait is no answer but the end. */
static int respond_error(struct conn *c, int error)
{
    if (error == -ECANCELED)
        return error;
    if (status_of(error) == 503)
        c->closing = true; /* a connection less is a descriptor more */
    return respond_status(c, status_of(error));
}

/* Reads exactly n bytes into the output; -ENODATA if the file has become shorter. */
static int copy_slice(struct conn *c, weft_id file, uint64_t offset, size_t n)
{
    struct out *o = conn_out(c, n);
    if (o == NULL)
        return -EIO;
    while (n > 0) {
        ssize_t got = weft_pread(file, o->base + o->len, n, offset, conn_write_deadline(c));
        if (got <= 0)
            return got < 0 ? (int)got : -ENODATA;
        o->len += (size_t)got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    c->now_ns = weft_now();
    return 0;
}

static int send_slice(struct conn *c, weft_id file, uint64_t offset, uint64_t n)
{
    if (n <= SMALL_FILE)
        return copy_slice(c, file, offset, (size_t)n);
    int r = conn_flush(c);
    return r < 0 ? r : send_file(c->id, file, offset, n, conn_patience(c));
}

static int send_whole(struct conn *c, const struct found *f, const char *type, const struct http_entity *entity)
{
    struct http_reply reply = {.status = 200, .type = type, .length = entity->size, .entity = entity};
    int r = respond_head(c, &reply);
    if (r < 0)
        return r;
    bool head_only = c->rq.method == HTTP_HEAD;
    respond_count(c, 200, head_only ? 0 : entity->size);
    if (head_only)
        return 0;
    r = send_slice(c, f->file, 0, entity->size);
    if (r == 0 && entity->size <= SMALL_FILE)
        cached_keep(c, f, type, entity, c->out.base + c->out.len - entity->size);
    return r;
}

static size_t content_range(char *to, size_t cap, const struct http_range *range, uint64_t size)
{
    int n = snprintf(to, cap, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)range->first,
        (unsigned long long)range->last, (unsigned long long)size);
    return (size_t)n;
}

static int send_range(struct conn *c, weft_id file, const char *type, const struct http_entity *entity,
    const struct http_range *range)
{
    char extra[96];
    uint64_t n = range->last - range->first + 1;
    struct http_reply reply = {.status = 206, .type = type, .length = n, .entity = entity, .extra = extra,
        .extra_len = content_range(extra, sizeof extra, range, entity->size)};
    int r = respond_head(c, &reply);
    if (r < 0)
        return r;
    respond_count(c, 206, n);
    return send_slice(c, file, range->first, n);
}

#define PART_HEAD_MAX ((size_t)320)

/* What comes before a part: "\r\n--boundary\r\nContent-Type: ...\r\nContent-Range: ...\r\n\r\n". */
static size_t part_head(char *to, const struct conn *c, const char *type, const struct http_range *range,
    uint64_t size)
{
    char field[96];
    content_range(field, sizeof field, range, size);
    int n = snprintf(to, PART_HEAD_MAX, "\r\n--weft%016llx\r\nContent-Type: %s\r\n%s\r\n",
        (unsigned long long)c->server->boundary, type, field);
    return (size_t)n;
}

static int send_ranges(struct conn *c, weft_id file, const char *type, const struct http_entity *entity,
    const struct http_plan *plan)
{
    char piece[PART_HEAD_MAX], multipart[64], last[40];
    int last_len = snprintf(last, sizeof last, "\r\n--weft%016llx--\r\n", (unsigned long long)c->server->boundary);
    snprintf(multipart, sizeof multipart, "multipart/byteranges; boundary=weft%016llx",
        (unsigned long long)c->server->boundary);
    uint64_t total = (uint64_t)last_len;
    for (int i = 0; i < plan->ranges; i++)
        total += part_head(piece, c, type, &plan->range[i], entity->size) + plan->range[i].last -
            plan->range[i].first + 1;

    struct http_reply reply = {.status = 206, .type = multipart, .length = total, .entity = entity};
    int r = respond_head(c, &reply);
    if (r < 0)
        return r;
    respond_count(c, 206, total);
    for (int i = 0; i < plan->ranges && r == 0; i++) {
        const struct http_range *range = &plan->range[i];
        size_t n = part_head(piece, c, type, range, entity->size);
        struct out *o = conn_out(c, n);
        if (o == NULL)
            return -EIO;
        out_bytes(o, piece, n);
        r = send_slice(c, file, range->first, range->last - range->first + 1);
    }
    struct out *o = r == 0 ? conn_out(c, (size_t)last_len) : NULL;
    if (o == NULL)
        return r < 0 ? r : -EIO;
    out_bytes(o, last, (size_t)last_len);
    return 0;
}

static int unsatisfiable(struct conn *c, const struct http_entity *entity)
{
    char extra[64];
    int n = snprintf(extra, sizeof extra, "Content-Range: bytes */%llu\r\n", (unsigned long long)entity->size);
    struct http_reply reply = {.status = 416, .extra = extra, .extra_len = (size_t)n};
    respond_count(c, 416, 0);
    return respond_head(c, &reply);
}

static int send_regular(struct conn *c, const struct found *f)
{
    const char *type = mime_type(f->path);
    const weft_stat *st = &f->st;
    struct http_entity entity;
    int r = cached_look(c, f);
    if (r != 0)
        return r < 0 ? r : 0;
    int64_t seconds = st->mtime_ns / WEFT_SECOND, rest = st->mtime_ns % WEFT_SECOND;
    http_entity_make(&entity, st->inode, st->size, rest < 0 ? seconds - 1 : seconds,
        (uint32_t)(rest < 0 ? rest + WEFT_SECOND : rest));

    struct http_plan plan;
    int64_t now;
    local_date(c->local, c->now_ns, &now);
    http_plan_make(&plan, &c->rq, c->in + c->at, &entity, now);
    switch (plan.status) {
    case 200:
        return send_whole(c, f, type, &entity);
    case 206:
        return plan.ranges == 1 ? send_range(c, f->file, type, &entity, &plan.range[0])
                                : send_ranges(c, f->file, type, &entity, &plan);
    case 416:
        return unsatisfiable(c, &entity);
    default: {
        struct http_reply reply = {.status = plan.status, .entity = &entity};
        respond_count(c, plan.status, 0);
        return respond_head(c, &reply);
    }
    }
}

/* Adds size and time where they can be had; an entry that vanished meanwhile is shown without. */
static int add_details(struct conn *c, struct listing *l, weft_id dir)
{
    for (size_t i = 0; i < l->count; i++) {
        weft_stat st;
        int r = weft_stat_at(dir, l->entries[i].name, &st, WEFT_STAT_NOFOLLOW, conn_write_deadline(c));
        if (r == -ECANCELED)
            return r;
        if (r < 0 || S_ISLNK(st.mode)) /* what a link points to may lie outside: its size is not ours to tell */
            continue;
        l->entries[i].has_details = true;
        l->entries[i].directory = S_ISDIR(st.mode);
        l->entries[i].size = st.size;
        l->entries[i].modified_s = st.mtime_ns / WEFT_SECOND;
    }
    return 0;
}

#define LISTING_BYTES_MAX ((size_t)16 << 20)

/* What making a listing takes that is not the lane's by itself. */
struct work {
    struct local *local;
    void *records; /* a pooled buffer */
    struct listing listing;
    struct out page;
};

/* However it ends, by a kill, too. */
static void end_work(void *arg)
{
    struct work *w = arg;
    if (w->records != NULL)
        buffer_give(w->local, w->records);
    listing_free(&w->listing);
    out_free(&w->page);
}

static int read_directory(struct conn *c, struct work *w, weft_id dir)
{
    /* The pool's buffer for output serves for input first: nothing of the answer has been begun. */
    w->records = buffer_take(w->local);
    if (w->records == NULL)
        return -ENOMEM;
    ssize_t n;
    int r = 0;
    while (r == 0 && (n = weft_readdir(dir, w->records, BUFFER_SIZE, conn_write_deadline(c))) != 0) {
        if (n < 0) {
            r = (int)n;
            break;
        }
        for (char *at = w->records, *end = at + n; at < end && r == 0; at += ((weft_dirent *)(void *)at)->length) {
            const weft_dirent *entry = (const weft_dirent *)(const void *)at;
            r = listing_add(&w->listing, entry->name, entry->name_len, entry->type == 'd');
        }
    }
    buffer_give(w->local, w->records);
    w->records = NULL;
    return r;
}

static int make_listing(struct conn *c, struct work *w, weft_id dir, const char *path)
{
    int r = read_directory(c, w, dir);
    if (r == 0)
        r = add_details(c, &w->listing, dir);
    if (r < 0) {
        listing_free(&w->listing);
        return respond_error(c, r);
    }
    listing_sort(&w->listing);
    w->page = out_growing(LISTING_BYTES_MAX);
    listing_render(&w->listing, path, &w->page);
    listing_free(&w->listing);
    return w->page.truncated ? respond_status(c, 500)
                             : respond_body(c, "text/html; charset=utf-8", w->page.base, w->page.len, NULL);
}

static int send_listing(struct conn *c, weft_id dir, const char *path)
{
    struct work w = {.local = c->local};
    int r = weft_defer(end_work, &w);
    if (r < 0)
        return respond_error(c, r);
    r = make_listing(c, &w, dir, path);
    weft_undefer(1);
    return r;
}

static int respond_listing(struct conn *c, const char *path)
{
    weft_id dir;
    int r = weft_open(&dir, *path != '\0' ? path : ".", OPEN_FLAGS | WEFT_OPEN_DIRECTORY, 0, conn_write_deadline(c));
    if (r < 0)
        return respond_error(c, r);
    r = send_listing(c, dir, path);
    weft_close(dir);
    return r;
}

static int open_and_stat(struct conn *c, struct found *f)
{
    f->looked_ns = weft_now();
    f->wall_ns = weft_wall_clock();
    int r = weft_open(&f->file, f->path, OPEN_FLAGS, 0, conn_write_deadline(c));
    if (r < 0)
        return r;
    r = weft_stat_id(f->file, &f->st, conn_write_deadline(c));
    if (r < 0)
        weft_close(f->file);
    c->now_ns = weft_now();
    return r;
}

/*
 * What is not in memory. This waits, so it takes a copy of the worker's path; in a frame of its own, since a request
 * that needs none shall not touch the page of the stack beyond it: with many connections that is one more for each.
 */
static __attribute__((noinline)) int look_for(struct conn *c, const char *known, size_t len,
    const struct http_path *target)
{
    char path[PATH_CAP];
    memcpy(path, known, len + 1);
    struct found f = {.path = path, .path_len = len};
    int r = open_and_stat(c, &f);
    if (r < 0 || !S_ISREG(f.st.mode))
        cached_forget(c, &f);
    if (r == -ENOENT && target->directory) {
        path[target->len] = '\0';
        return respond_listing(c, path);
    }
    if (r < 0)
        return respond_error(c, r);

    if (S_ISREG(f.st.mode))
        r = send_regular(c, &f);
    else if (S_ISDIR(f.st.mode) && !target->directory)
        r = respond_redirect(c, path, target->len, target->query, target->query_len);
    else
        r = respond_status(c, 403);
    weft_close(f.file);
    return r;
}

int respond_file(struct conn *c, char *path, const struct http_path *target)
{
    static const char index[] = "index.html";
    size_t len = target->len;
    if (target->directory) {
        if (len + 1 + sizeof index > PATH_CAP)
            return respond_status(c, 414);
        if (len > 0)
            path[len++] = '/';
        memcpy(path + len, index, sizeof index);
        len += sizeof index - 1;
    } else if (*path == '\0') {
        return respond_status(c, 400);
    }
    int r = cached_answer(c, path, len);
    if (r != 0)
        return r < 0 ? r : 0;
    return look_for(c, path, len, target);
}
