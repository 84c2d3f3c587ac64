/*
 * Command lines. Called once by the main thread, before there is a runtime; owns nothing, the strings stay argv's.
 */
#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct complaint {
    char *text;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static int complain(struct complaint c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c.text, c.size, format, args);
    va_end(args);
    return -EINVAL;
}

static int parse_choice(const char *name, const char *value, const char *const *choices, const char **out,
    struct complaint c)
{
    char listed[128] = "";
    size_t len = 0;
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (strcmp(value, choices[i]) == 0) {
            *out = choices[i];
            return 0;
        }
        int n = snprintf(listed + len, sizeof listed - len, "%s%s", i > 0 ? ", " : "", choices[i]);
        len += n > 0 && (size_t)n < sizeof listed - len ? (size_t)n : 0;
    }
    return complain(c, "--%s: '%s' is none of %s", name, value, listed);
}

static int parse_count(const char *name, const char *value, unsigned max, unsigned *out, struct complaint c)
{
    char *end;
    errno = 0;
    unsigned long n = *value >= '0' && *value <= '9' ? strtoul(value, &end, 10) : 0;
    if (n == 0 || errno != 0 || *end != '\0' || n > max)
        return complain(c, "--%s: '%s' is not a number from 1 to %u", name, value, max);
    *out = (unsigned)n;
    return 0;
}

/* How much memory, in MiB; none is a choice. */
static int parse_mib(const char *name, const char *value, size_t *out, struct complaint c)
{
    unsigned mib = 0;
    if (strcmp(value, "0") != 0) {
        int r = parse_count(name, value, 1024 * 1024, &mib, c);
        if (r < 0)
            return r;
    }
    *out = (size_t)mib << 20;
    return 0;
}

/* Seconds with up to nine decimals, without the C library's floating point: locales decide how that reads. */
static int parse_seconds(const char *name, const char *value, int64_t *out_ns, struct complaint c)
{
    const char *at = value;
    int64_t ns = 0, unit = 1000000000;
    int digits = 0;
    for (; *at >= '0' && *at <= '9' && digits < 7; at++, digits++)
        ns = ns * 10 + (*at - '0') * unit;
    if (digits > 0 && *at == '.')
        for (at++; *at >= '0' && *at <= '9' && unit > 1; at++)
            ns += (*at - '0') * (unit /= 10);
    if (*at != '\0' || ns == 0)
        return complain(c, "--%s: '%s' is not a number of seconds above 0", name, value);
    *out_ns = ns;
    return 0;
}

static int set_option(struct options *o, const char *name, const char *value, struct complaint c)
{
    static const char *const modes[] = {"single-io", "shared", "per-core", NULL};
    static const char *const ports[] = {"auto", "uring", "epoll", NULL};
    if (strcmp(name, "listen") == 0) {
        o->listen = value;
        return *value != '\0' ? 0 : complain(c, "--listen: an address is needed, such as 127.0.0.1:8080");
    }
    if (strcmp(name, "log") == 0) {
        o->log = value;
        return *value != '\0' ? 0 : complain(c, "--log: a file, '-' or 'none' is needed");
    }
    if (strcmp(name, "mode") == 0)
        return parse_choice(name, value, modes, &o->mode, c);
    if (strcmp(name, "port") == 0)
        return parse_choice(name, value, ports, &o->port, c);
    if (strcmp(name, "workers") == 0)
        return parse_count(name, value, 1024, &o->workers, c);
    if (strcmp(name, "max-connections") == 0)
        return parse_count(name, value, 10000000, &o->max_connections, c);
    if (strcmp(name, "cache") == 0)
        return parse_mib(name, value, &o->cache_bytes, c);
    if (strcmp(name, "cache-valid") == 0)
        return parse_seconds(name, value, &o->cache_valid_ns, c);
    if (strcmp(name, "idle-timeout") == 0)
        return parse_seconds(name, value, &o->idle_timeout_ns, c);
    if (strcmp(name, "header-timeout") == 0)
        return parse_seconds(name, value, &o->header_timeout_ns, c);
    return parse_seconds(name, value, &o->drain_timeout_ns, c);
}

/* Is it the name of an option that takes a value? The last four are of HTTP only, as is the directory. */
static bool known(const char *name, size_t len, bool http)
{
    static const char *const names[] = {"listen", "mode", "port", "workers", "max-connections", "idle-timeout",
        "drain-timeout", "header-timeout", "log", "cache", "cache-valid"};
    for (size_t i = 0; i < sizeof names / sizeof *names - (http ? 0 : 4); i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    return false;
}

int options_parse(struct options *options, bool with_dir, int argc, char *const *argv, char *error, size_t size)
{
    struct complaint c = {error, size};
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (!only_arguments && strcmp(arg, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
            options->help = true;
        } else if (!only_arguments && arg[0] == '-' && arg[1] != '\0') {
            size_t len = strcspn(arg, "=");
            if (strncmp(arg, "--", 2) != 0 || !known(arg + 2, len - 2, with_dir))
                return complain(c, "unknown option '%.*s'", (int)len, arg);
            char name[32];
            snprintf(name, sizeof name, "%.*s", (int)(len - 2), arg + 2);
            const char *value = arg[len] == '=' ? arg + len + 1 : i + 1 < argc ? argv[++i] : NULL;
            if (value == NULL)
                return complain(c, "--%s needs a value", name);
            int r = set_option(options, name, value, c);
            if (r < 0)
                return r;
        } else if (!with_dir || options->dir != NULL) {
            return complain(c, "unexpected argument '%s'", arg);
        } else if (*arg == '\0') {
            return complain(c, "the directory's name is empty");
        } else {
            options->dir = arg;
        }
    }
    return 0;
}
