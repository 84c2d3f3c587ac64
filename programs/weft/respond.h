/*
 * Answers: what each request of the HTTP server gets.
 */
#ifndef WEFT_PROGRAM_RESPOND_H
#define WEFT_PROGRAM_RESPOND_H

#include "conn.h"
#include "http_path.h"
#include "http_response.h"

/* The file that is sent whole into the output buffer when it is at most this long; longer ones go by sendfile. */
#define SMALL_FILE CACHE_FILE_MAX

/* respond answers the request in c->rq. 0, or the error that ends the connection. */
int respond(struct conn *c);

/* respond_status answers with a status and a line of text that says it. */
int respond_status(struct conn *c, int status);

/* respond_redirect answers 301 to a path, which is encoded, with the request's query kept. */
int respond_redirect(struct conn *c, const char *path, size_t path_len, const char *query, size_t query_len);

/* respond_body answers 200 (or 304, where the entity says so) with a body that is in memory. */
int respond_body(struct conn *c, const char *type, const char *body, size_t n, const struct http_entity *entity);

/* respond_head begins a response; reply's keep_alive and version_1_0 are filled in here. What follows is the body. */
int respond_head(struct conn *c, struct http_reply *reply);

/* respond_stays_open tells whether another request may follow the answer to this one; if not, it is the last. */
bool respond_stays_open(struct conn *c);

/* respond_count accounts for a response that has been written or will be: counters and log. */
void respond_count(struct conn *c, int status, uint64_t body_bytes);

/*
 * respond_file answers with a file or directory below the working directory, which is the root that is served. `path`
 * is the decoded path in the worker's memory, where it is changed. There is room for CACHED_ANSWER_MAX in c->out.
 */
int respond_file(struct conn *c, char *path, const struct http_path *target);

/* respond_stats answers with the server's live figures as JSON. */
int respond_stats(struct conn *c);

#endif
