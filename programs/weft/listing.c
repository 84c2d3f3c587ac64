/*
 * Directory listings. A listing belongs to one fiber; nothing here waits. Names come from the file system and are
 * hostile until proven otherwise: they are escaped for HTML where they are shown and for URLs where they are linked.
 * A link is "./name", so that no name can be taken for a scheme.
 */
#include "listing.h"

#include "http_date.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int listing_add(struct listing *l, const char *name, size_t len, bool directory)
{
    if (len == 0 || name[0] == '.')
        return 0;
    if (l->count == LISTING_MAX) {
        l->cut = true;
        return 0;
    }
    if (l->count == l->cap) {
        size_t cap = l->cap > 0 ? l->cap * 2 : 32;
        struct listing_entry *grown = realloc(l->entries, cap * sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        l->entries = grown;
        l->cap = cap;
    }
    char *copy = malloc(len + 1);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, name, len);
    copy[len] = '\0';
    l->entries[l->count++] = (struct listing_entry){.name = copy, .directory = directory};
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct listing_entry *x = a, *y = b;
    if (x->directory != y->directory)
        return x->directory ? -1 : 1;
    return strverscmp(x->name, y->name);
}

void listing_sort(struct listing *l)
{
    if (l->count > 1)
        qsort(l->entries, l->count, sizeof *l->entries, compare);
}

static void render_size(struct out *o, uint64_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    char text[32];
    unsigned unit = 0;
    uint64_t tenths = size * 10;
    if (size >= 1024) {
        for (tenths = 0; size >= 1024 && unit < 6; unit++) {
            tenths = (size % 1024) * 10 / 1024;
            size /= 1024;
        }
        tenths += size * 10;
        snprintf(text, sizeof text, "%llu.%llu %s", (unsigned long long)(tenths / 10),
            (unsigned long long)(tenths % 10), units[unit]);
    } else {
        snprintf(text, sizeof text, "%llu B", (unsigned long long)size);
    }
    out_str(o, text);
}

/* "2026-11-21 08:55", from the same calendar as the HTTP dates. */
static void render_time(struct out *o, int64_t seconds)
{
    char date[HTTP_DATE_LEN];
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    http_date_format(date, seconds);
    unsigned month = 0;
    while (month < 11 && memcmp(months + 3 * month, date + 8, 3) != 0)
        month++;
    char text[32];
    snprintf(text, sizeof text, "%.4s-%02u-%.2s %.5s", date + 12, month + 1, date + 5, date + 17);
    out_str(o, text);
}

static void render_entry(struct out *o, const struct listing_entry *e)
{
    size_t len = strlen(e->name);
    out_lit(o, "<tr><td><a href=\"./");
    out_url(o, e->name, len);
    if (e->directory)
        out_lit(o, "/");
    out_lit(o, "\">");
    out_html(o, e->name, len);
    if (e->directory)
        out_lit(o, "/");
    out_lit(o, "</a></td><td>");
    if (e->has_details && !e->directory)
        render_size(o, e->size);
    out_lit(o, "</td><td>");
    if (e->has_details)
        render_time(o, e->modified_s);
    out_lit(o, "</td></tr>\n");
}

void listing_render(const struct listing *l, const char *path, struct out *o)
{
    out_lit(o, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width\"><title>/");
    out_html(o, path, strlen(path));
    out_lit(o, "</title>\n<style>:root{color-scheme:light dark}"
               "body{font:16px/1.6 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
               "h1{font-size:1.3rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}"
               "td{padding:.15rem .5rem;border-top:1px solid #8883}td:first-child{overflow-wrap:anywhere}"
               "td+td{text-align:right;white-space:nowrap;opacity:.75;font-variant-numeric:tabular-nums}"
               "a{text-decoration:none}a:hover{text-decoration:underline}</style></head>\n<body><h1>/");
    out_html(o, path, strlen(path));
    out_lit(o, "</h1>\n<table>\n");
    if (*path != '\0')
        out_lit(o, "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    for (size_t i = 0; i < l->count; i++)
        render_entry(o, &l->entries[i]);
    out_lit(o, "</table>\n");
    if (l->count == 0)
        out_lit(o, "<p>This directory is empty.</p>\n");
    if (l->cut)
        out_lit(o, "<p>There are more entries than are shown here.</p>\n");
    out_lit(o, "</body></html>\n");
}

void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->entries[i].name);
    free(l->entries);
    *l = (struct listing){0};
}
