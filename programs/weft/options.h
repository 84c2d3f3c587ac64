/*
 * The command line of `weft serve` and `weft echo`.
 */
#ifndef WEFT_PROGRAM_OPTIONS_H
#define WEFT_PROGRAM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options {
    const char *listen;
    const char *mode; /* NULL: the runtime's default */
    const char *port; /* NULL: the runtime's default */
    const char *log;  /* a file, "-" or "none" */
    const char *dir;  /* NULL: the built-in page */
    unsigned workers; /* 0: the runtime's default */
    unsigned max_connections;
    size_t cache_bytes; /* of small files in each worker's memory; 0: none */
    int64_t cache_valid_ns;
    int64_t idle_timeout_ns;
    int64_t header_timeout_ns;
    int64_t drain_timeout_ns;
    bool help;
};

/*
 * options_parse reads the arguments after the program's name into *options, which holds the defaults before. Options
 * are "--name value" or "--name=value"; "--" ends them. with_dir tells whether one argument, the directory, is taken.
 *
 * Returns 0, or -EINVAL and one line without a newline in `error` that says what is wrong.
 */
int options_parse(struct options *options, bool with_dir, int argc, char *const *argv, char *error, size_t size);

#endif
