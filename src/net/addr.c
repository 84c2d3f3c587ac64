/* Addresses as text. No state, no runtime; any thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "net/sock.h"

/* Decimal digits up to `max` and nothing else: the number, or -EINVAL. */
static int64_t number(const char *text, size_t n, int64_t max)
{
    int64_t value = 0;
    if (n == 0 || n > 10)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        value = value * 10 + (text[i] - '0');
    }
    return value <= max ? value : -EINVAL;
}

static int parse_unix(const char *name, weft_addr *a)
{
    size_t n = strlen(name);
    a->family = WEFT_ADDR_UNIX;
    if (n == 0 || n >= sizeof a->path)
        return -EINVAL; /* a path keeps a closing zero, an abstract name its leading one: the same room */
    memcpy(a->path, name, n);
    if (name[0] == '@') {
        if (n == 1)
            return -EINVAL;
        a->path[0] = 0;
    }
    a->path_len = (uint16_t)n;
    return 0;
}

static int parse_zone(const char *zone, size_t n, weft_addr *a)
{
    char name[IF_NAMESIZE];
    int64_t index = number(zone, n, UINT32_MAX);
    if (index < 0) {
        if (n == 0 || n >= sizeof name)
            return -EINVAL;
        memcpy(name, zone, n);
        name[n] = 0;
        index = if_nametoindex(name);
    }
    if (index <= 0)
        return -EINVAL;
    a->scope = (uint32_t)index;
    return 0;
}

/* What stands between the brackets. */
static int parse_ip6(const char *text, size_t n, weft_addr *a)
{
    char host[INET6_ADDRSTRLEN];
    const char *zone = memchr(text, '%', n);
    size_t host_len = zone ? (size_t)(zone - text) : n;
    if (host_len >= sizeof host)
        return -EINVAL;
    memcpy(host, text, host_len);
    host[host_len] = 0;
    if (inet_pton(AF_INET6, host, a->ip6) != 1)
        return -EINVAL;
    a->family = WEFT_ADDR_IP6;
    return zone ? parse_zone(zone + 1, n - host_len - 1, a) : 0;
}

static int parse_ip4(const char *text, size_t n, weft_addr *a)
{
    char host[INET_ADDRSTRLEN];
    if (n >= sizeof host)
        return -EINVAL;
    memcpy(host, text, n);
    host[n] = 0;
    a->family = WEFT_ADDR_IP4;
    return inet_pton(AF_INET, host, a->ip4) == 1 ? 0 : -EINVAL;
}

static int parse(const char *text, weft_addr *a)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, a);
    const char *colon = strrchr(text, ':');
    if (!colon)
        return -EINVAL;
    int64_t port = number(colon + 1, strlen(colon + 1), 65535);
    if (port < 0)
        return -EINVAL;
    a->port = (uint16_t)port;
    size_t n = (size_t)(colon - text);
    if (n == 0 || (n == 1 && text[0] == '*')) {
        a->family = WEFT_ADDR_IP6; /* the any address, which takes both families */
        return 0;
    }
    if (text[0] == '[')
        return text[n - 1] == ']' && n > 2 ? parse_ip6(text + 1, n - 2, a) : -EINVAL;
    return parse_ip4(text, n, a);
}

int weft_addr_parse(const char *text, weft_addr *out)
{
    if (!text || !out)
        return -EINVAL;
    weft_addr a;
    memset(&a, 0, sizeof a);
    int r = parse(text, &a);
    if (r == 0)
        *out = a;
    return r;
}

static int format_unix(const weft_addr *a, char *text, size_t size)
{
    size_t n = a->path_len < sizeof a->path ? a->path_len : sizeof a->path;
    if (n && a->path[0] == 0)
        return snprintf(text, size, "unix:@%.*s", (int)(n - 1), a->path + 1);
    return snprintf(text, size, "unix:%.*s", (int)n, a->path);
}

static int format_ip6(const weft_addr *a, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, a->ip6, host, sizeof host);
    if (a->scope)
        return snprintf(text, size, "[%s%%%u]:%u", host, a->scope, a->port);
    return snprintf(text, size, "[%s]:%u", host, a->port);
}

size_t weft_addr_format(const weft_addr *addr, char *buf, size_t size)
{
    int n;
    if (addr->family == WEFT_ADDR_UNIX)
        n = format_unix(addr, buf, size);
    else if (addr->family == WEFT_ADDR_IP6)
        n = format_ip6(addr, buf, size);
    else if (addr->family == WEFT_ADDR_IP4)
        n = snprintf(buf, size, "%u.%u.%u.%u:%u", addr->ip4[0], addr->ip4[1], addr->ip4[2], addr->ip4[3], addr->port);
    else
        n = snprintf(buf, size, "none");
    return n < 0 ? 0 : (size_t)n;
}
