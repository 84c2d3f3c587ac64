/*
 * The generated page for a directory that has no index.html.
 */
#ifndef WEFT_PROGRAM_LISTING_H
#define WEFT_PROGRAM_LISTING_H

#include "out.h"

struct listing_entry {
    char *name;
    bool directory;
    bool has_details; /* size and time are known */
    uint64_t size;
    int64_t modified_s;
};

struct listing {
    struct listing_entry *entries;
    size_t count, cap;
    bool cut; /* there were more than the limit */
};

#define LISTING_MAX 10000

/* listing_add takes a copy of a name. Names that begin with a dot are left out. Returns 0 or -ENOMEM. */
int listing_add(struct listing *l, const char *name, size_t len, bool directory);

/* listing_sort puts directories first, each part by name with numbers in them read as numbers. */
void listing_sort(struct listing *l);

/* listing_render writes the page; `path` is the decoded path without slashes at its ends, "" for the root. */
void listing_render(const struct listing *l, const char *path, struct out *o);

void listing_free(struct listing *l);

#endif
