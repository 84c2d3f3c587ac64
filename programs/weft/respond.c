/*
 * Routes and plain answers. Runs in the connection's fiber; waits only where the output buffer is full.
 *
 * /healthz is answered before anything else, so that it needs no disk and no directory. Without a directory the
 * built-in page and its figures are all there is.
 */
#include "respond.h"

#include "access_log.h"
#include "cached.h"
#include "page.h"

#include <errno.h>
#include <stdio.h>

void respond_count(struct conn *c, int status, uint64_t body_bytes)
{
    struct counters *counters = &c->local->counters;
    local_count(&counters->requests, 1);
    local_count(&counters->bytes, body_bytes);
    local_count(&counters->status[status / 100 % 6], 1);
    if (!access_log_on())
        return;
    char line[8192], peer[WEFT_ADDR_TEXT];
    weft_addr_format(c->peer, peer, sizeof peer);
    char *colon = c->peer->family == WEFT_ADDR_IP4 ? strrchr(peer, ':') : NULL;
    if (colon != NULL)
        *colon = '\0'; /* logs name hosts, not ports */
    struct out o = out_fixed(line, sizeof line);
    int64_t now;
    local_date(c->local, c->now_ns, &now);
    access_log_format(&o, peer, now, &c->rq, c->in + c->at, status, body_bytes);
    if (!o.truncated)
        access_log_put(line, o.len);
}

bool respond_stays_open(struct conn *c)
{
    if (!c->rq.keep_alive || tracker_draining(&c->server->tracker))
        c->closing = true;
    return !c->closing;
}

int respond_head(struct conn *c, struct http_reply *reply)
{
    struct out *o = conn_out(c, HTTP_RESPONSE_HEAD_PLAIN + reply->extra_len);
    if (o == NULL)
        return -EIO;
    reply->keep_alive = respond_stays_open(c);
    reply->version_1_0 = c->rq.version_1_0;
    http_head(o, reply, local_date(c->local, c->now_ns, NULL));
    return 0;
}

static int send_body(struct conn *c, const char *body, size_t n)
{
    while (n > 0) {
        struct out *o = conn_out(c, 1);
        if (o == NULL)
            return -EIO;
        size_t part = o->cap - o->len < n ? o->cap - o->len : n;
        out_bytes(o, body, part);
        body += part;
        n -= part;
    }
    return 0;
}

int respond_status(struct conn *c, int status)
{
    char body[64];
    int n = snprintf(body, sizeof body, "%d %s\n", status, http_reason(status));
    struct http_reply reply = {.status = status, .type = "text/plain; charset=utf-8", .length = (uint64_t)n};
    static const char allow[] = "Allow: GET, HEAD\r\n", retry[] = "Retry-After: 1\r\n";
    if (status == 405) {
        reply.extra = allow;
        reply.extra_len = sizeof allow - 1;
    } else if (status == 503) {
        reply.extra = retry;
        reply.extra_len = sizeof retry - 1;
    }
    int r = respond_head(c, &reply);
    bool head_only = c->rq.head_len > 0 && c->rq.method == HTTP_HEAD;
    if (r == 0 && !head_only)
        r = send_body(c, body, (size_t)n);
    respond_count(c, status, head_only ? 0 : (uint64_t)n);
    return r;
}

int respond_redirect(struct conn *c, const char *path, size_t path_len, const char *query, size_t query_len)
{
    /* Begins with one slash and holds nothing unescaped, so it cannot point to another host. */
    struct out extra = out_growing(HTTP_RESPONSE_HEAD_MAX);
    out_lit(&extra, "Location: /");
    out_url(&extra, path, path_len);
    out_lit(&extra, "/");
    if (query != NULL) {
        out_lit(&extra, "?");
        out_bytes(&extra, query, query_len);
    }
    out_lit(&extra, "\r\n");
    int r;
    if (extra.truncated) {
        r = respond_status(c, 414);
    } else {
        struct http_reply reply = {.status = 301, .extra = extra.base, .extra_len = extra.len};
        r = respond_head(c, &reply);
        respond_count(c, 301, 0);
    }
    out_free(&extra);
    return r;
}

int respond_body(struct conn *c, const char *type, const char *body, size_t n, const struct http_entity *entity)
{
    struct http_reply reply = {.status = 200, .type = type, .length = n, .entity = entity};
    if (entity != NULL) {
        struct http_plan plan;
        int64_t now;
        local_date(c->local, c->now_ns, &now);
        http_plan_make(&plan, &c->rq, c->in + c->at, entity, now);
        if (plan.status == 304 || plan.status == 412)
            reply = (struct http_reply){.status = plan.status, .entity = entity};
    }
    int r = respond_head(c, &reply);
    if (r < 0)
        return r;
    if (reply.status != 200 || c->rq.method == HTTP_HEAD)
        n = 0;
    respond_count(c, reply.status, n);
    return send_body(c, body, n);
}

static bool is(const char *path, const char *name)
{
    return strcmp(path, name) == 0;
}

static int respond_path(struct conn *c, char *path, const struct http_path *p)
{
    if (is(path, "healthz") && !p->directory) {
        static const char ok[] = "ok\n";
        return respond_body(c, "text/plain; charset=utf-8", ok, sizeof ok - 1, NULL);
    }
    if (c->server->options->dir != NULL)
        return respond_file(c, path, p);
    if (*path == '\0')
        return respond_body(c, "text/html; charset=utf-8", page_html, page_html_len, NULL);
    if (is(path, "stats.json") && !p->directory)
        return respond_stats(c);
    return respond_status(c, 404);
}

int respond(struct conn *c)
{
    if (c->rq.method != HTTP_GET && c->rq.method != HTTP_HEAD)
        return respond_status(c, 405);
    if (conn_out(c, CACHED_ANSWER_MAX) == NULL) /* now, so that nothing waits while the path is the worker's */
        return -EIO;
    char *path = c->local->path;
    struct http_path p;
    int r = http_path_resolve(c->in + c->at + c->rq.target.at, c->rq.target.len, path, PATH_CAP, &p);
    if (r == -ENAMETOOLONG)
        return respond_status(c, 414);
    if (r == -EACCES)
        return respond_status(c, 403);
    if (r < 0)
        return respond_status(c, 400);
    return respond_path(c, path, &p);
}
