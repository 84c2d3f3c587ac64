/*
 * The live figures of the server as JSON, for the built-in page and for anybody who collects figures. Runs in the
 * connection's fiber; reads counters of all workers, each exact at some recent moment.
 */
#include "respond.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Resident bytes of the process, 0 where that cannot be told. The file is the kernel's: reading it does not wait. */
static uint64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return 0;
    unsigned long long size, resident;
    int fields = fscanf(f, "%llu %llu", &size, &resident);
    fclose(f);
    return fields == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void number(struct out *o, const char *name, uint64_t value)
{
    out_lit(o, ",\n  \"");
    out_str(o, name);
    out_lit(o, "\": ");
    out_uint(o, value);
}

static void server_figures(struct out *o, struct conn *c)
{
    struct totals t;
    counters_sum(&t);
    number(o, "uptime_ms", (uint64_t)((weft_now() - c->server->started_ns) / WEFT_MILLISECOND));
    number(o, "requests", t.requests);
    number(o, "bytes", t.bytes);
    number(o, "connections", t.connections);
    number(o, "connections_open", atomic_load_explicit(&c->server->tracker.open, memory_order_relaxed));
    number(o, "connections_max", c->server->options->max_connections);
    number(o, "connections_refused", t.refused);
    static const char *const classes[] = {"status_1xx", "status_2xx", "status_3xx", "status_4xx", "status_5xx"};
    for (int i = 2; i <= 5; i++)
        number(o, classes[i - 1], t.status[i]);
    number(o, "resident_bytes", resident_bytes());
}

static void runtime_figures(struct out *o)
{
    weft_info info;
    weft_stats s;
    weft_runtime *rt = weft_current();
    if (weft_runtime_info(rt, &info) == 0) {
        out_lit(o, ",\n  \"mode\": \"");
        out_str(o, weft_mode_name(info.mode));
        out_lit(o, "\",\n  \"port\": \"");
        out_str(o, info.port);
        out_lit(o, "\"");
        number(o, "workers", info.workers);
    }
    if (weft_runtime_stats(rt, &s) == 0) {
        number(o, "fibers", s.fibers_spawned - s.fibers_ended);
        number(o, "lanes", s.lanes_spawned - s.lanes_ended);
        number(o, "switches", s.switches);
        number(o, "ops", s.ops_completed);
        number(o, "kernel_entries", s.kernel_entries);
        number(o, "steals", s.steals);
        number(o, "stacks_used", s.stacks_used);
    }
}

int respond_stats(struct conn *c)
{
    char text[2048];
    struct out o = out_fixed(text, sizeof text);
    out_lit(&o, "{\n  \"version\": \"");
    out_str(&o, weft_version());
    out_lit(&o, "\"");
    server_figures(&o, c);
    runtime_figures(&o);
    out_lit(&o, "\n}\n");
    if (o.truncated)
        return respond_status(c, 500);
    static const char fresh[] = "Cache-Control: no-store\r\n";
    struct http_reply reply = {.status = 200, .type = "application/json", .length = o.len, .extra = fresh,
        .extra_len = sizeof fresh - 1};
    int r = respond_head(c, &reply);
    if (r < 0)
        return r;
    bool head_only = c->rq.method == HTTP_HEAD;
    respond_count(c, 200, head_only ? 0 : o.len);
    struct out *to = head_only ? NULL : conn_out(c, o.len);
    if (!head_only && to == NULL)
        return -EIO;
    if (to != NULL)
        out_bytes(to, text, o.len);
    return 0;
}
