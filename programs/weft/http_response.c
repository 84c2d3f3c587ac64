/*
 * Response heads. Pure; any thread may call it. Each piece that is known before is one copy.
 */
#include "http_response.h"

struct line {
    uint16_t status;
    uint16_t len;
    const char *text; /* "HTTP/1.1 200 OK\r\nServer: weft\r\nDate: " */
};

#define LINE(status, reason) \
    {status, sizeof("HTTP/1.1 " #status " " reason "\r\nServer: weft\r\nDate: ") - 1, \
        "HTTP/1.1 " #status " " reason "\r\nServer: weft\r\nDate: "}

static const struct line lines[] = {
    LINE(200, "OK"),
    LINE(206, "Partial Content"),
    LINE(301, "Moved Permanently"),
    LINE(304, "Not Modified"),
    LINE(400, "Bad Request"),
    LINE(403, "Forbidden"),
    LINE(404, "Not Found"),
    LINE(405, "Method Not Allowed"),
    LINE(408, "Request Timeout"),
    LINE(412, "Precondition Failed"),
    LINE(413, "Content Too Large"),
    LINE(414, "URI Too Long"),
    LINE(416, "Range Not Satisfiable"),
    LINE(417, "Expectation Failed"),
    LINE(431, "Request Header Fields Too Large"),
    LINE(500, "Internal Server Error"),
    LINE(501, "Not Implemented"),
    LINE(503, "Service Unavailable"),
    LINE(505, "HTTP Version Not Supported"),
};

static const struct line *line_of(int status)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (lines[i].status == status)
            return &lines[i];
    return NULL;
}

const char *http_reason(int status)
{
    static const char *const reasons[] = {"OK", "Partial Content", "Moved Permanently", "Not Modified", "Bad Request",
        "Forbidden", "Not Found", "Method Not Allowed", "Request Timeout", "Precondition Failed", "Content Too Large",
        "URI Too Long", "Range Not Satisfiable", "Expectation Failed", "Request Header Fields Too Large",
        "Internal Server Error", "Not Implemented", "Service Unavailable", "HTTP Version Not Supported"};
    _Static_assert(sizeof reasons / sizeof *reasons == sizeof lines / sizeof *lines, "one phrase for each status");
    const struct line *line = line_of(status);
    return line != NULL ? reasons[line - lines] : "";
}

size_t http_head_date_at(int status)
{
    const struct line *line = line_of(status);
    return line != NULL ? line->len : 0;
}

static void entity_fields(struct out *o, const struct http_entity *entity)
{
    out_lit(o, "\r\nETag: ");
    out_str(o, entity->etag);
    out_lit(o, "\r\nLast-Modified: ");
    char *to = out_room(o, HTTP_DATE_LEN);
    if (to != NULL) {
        http_date_format(to, entity->modified_s);
        o->len += HTTP_DATE_LEN;
    }
    out_lit(o, "\r\nAccept-Ranges: bytes");
}

void http_head(struct out *o, const struct http_reply *reply, const char *date)
{
    const struct line *line = line_of(reply->status);
    if (line == NULL)
        line = line_of(500);
    out_bytes(o, line->text, line->len);
    out_bytes(o, date, HTTP_DATE_LEN);
    if (reply->type != NULL) {
        out_lit(o, "\r\nContent-Type: ");
        out_str(o, reply->type);
    }
    if (reply->status != 304) {
        out_lit(o, "\r\nContent-Length: ");
        out_uint(o, reply->length);
    }
    if (reply->entity != NULL)
        entity_fields(o, reply->entity);
    if (!reply->keep_alive)
        out_lit(o, "\r\nConnection: close\r\n");
    else if (reply->version_1_0)
        out_lit(o, "\r\nConnection: keep-alive\r\n");
    else
        out_lit(o, "\r\n");
    if (reply->extra != NULL)
        out_bytes(o, reply->extra, reply->extra_len);
    out_lit(o, "\r\n");
}
